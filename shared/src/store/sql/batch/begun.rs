//! Batches that this process has seen begun: `batch_start` need not be written again for them.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Above that all are forgotten, at the price of one statement each.
const REMEMBERED: usize = 10_000;

#[derive(Default)]
pub(crate) struct Begun(Mutex<HashSet<String>>);

impl Begun {
    pub(super) fn contains(&self, batch: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(batch)
    }

    pub(super) fn add(&self, batches: impl IntoIterator<Item = String>) {
        let mut set = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if set.len() >= REMEMBERED {
            set.clear();
        }
        set.extend(batches);
    }
}
