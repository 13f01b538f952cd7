//! The floor: the effect alone, 500 instances to a transaction, over one and over two connections; the better counts.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use futures::stream::{StreamExt, TryStreamExt};
use shared::id;
use shared::store::sql::SqlStore;
use shared::work::MigrationDecide;

use crate::herd::Herd;

const PER_TRANSACTION: usize = 500;

/// Instances a second, with as many transactions at once.
pub async fn once(store: &Arc<SqlStore>, herd: &mut Herd, at_once: usize) -> Result<f64> {
    let (configuration, batch) = (Arc::new(herd.configuration()), id::new_base());
    let parts: Vec<Vec<String>> = herd.ids.chunks(PER_TRANSACTION).map(<[String]>::to_vec).collect();
    let began = Instant::now();
    futures::stream::iter(parts)
        .map(|ids| {
            let (store, configuration, batch) = (Arc::clone(store), Arc::clone(&configuration), batch.clone());
            // On the runtime's threads, so that two of them can use two cores.
            let task = tokio::spawn(async move { store.floor_step(&batch, &configuration, &ids, &MigrationDecide).await });
            async move { anyhow::Ok(task.await??) }
        })
        .buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    let rate = f64::from(herd.size) / began.elapsed().as_secs_f64();
    herd.moved();
    Ok(rate)
}

/// The better of one and two connections.
pub async fn best(store: &Arc<SqlStore>, herd: &mut Herd, connections: &[usize]) -> Result<f64> {
    let mut best: f64 = 0.0;
    for at_once in connections {
        store.settle().await?;
        best = best.max(once(store, herd, *at_once).await?);
    }
    Ok(best)
}
