//! The floor: the effect alone, 500 instances to a transaction, over one and over two connections; the better counts.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use futures::stream::{StreamExt, TryStreamExt};
use shared::id;
use shared::store::sql::SqlStore;
use shared::work::MigrationDecide;

use crate::herd::Herd;

pub const PER_TRANSACTION: usize = 500;

/// Instances a second, with as many transactions at once. Each is given its number and the ids of its instances.
pub async fn rate<W>(ids: &[String], at_once: usize, transaction: impl Fn(usize, Vec<String>) -> W) -> Result<f64>
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    let parts: Vec<Vec<String>> = ids.chunks(PER_TRANSACTION).map(<[String]>::to_vec).collect();
    let began = Instant::now();
    futures::stream::iter(parts.into_iter().enumerate())
        .map(|(number, ids)| {
            // On the runtime's threads, so that two of them can use two cores.
            let task = tokio::spawn(transaction(number, ids));
            async move { task.await? }
        })
        .buffer_unordered(at_once)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(ids.len() as f64 / began.elapsed().as_secs_f64())
}

/// The floor's [`rate`] over all of the herd.
pub async fn once(store: &Arc<SqlStore>, herd: &mut Herd, at_once: usize) -> Result<f64> {
    let (configuration, batch) = (Arc::new(herd.configuration()), id::new_base());
    let transaction = |_, ids: Vec<String>| {
        let (store, configuration, batch) = (Arc::clone(store), Arc::clone(&configuration), batch.clone());
        async move { Ok(store.floor_step(&batch, &configuration, &ids, &MigrationDecide).await?) }
    };
    let rate = rate(&herd.ids, at_once, transaction).await?;
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
