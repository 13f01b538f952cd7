//! The look (design §7.4): after each commit, as a new statement after it, publish exactly what would make progress.

use std::collections::BTreeSet;

use super::Steps;
use crate::batch::BatchFacts;
use crate::queue::{Address, Message};
use crate::store::Error;

/// What would make progress with this batch: at most one thing, since a batch with chunks is not complete.
#[must_use]
pub fn progress(facts: &BatchFacts) -> Option<Address> {
    if facts.may_seed() {
        Some(Address::Seed { batch: facts.id.clone() })
    } else if facts.may_complete() {
        Some(Address::Monitor { batch: facts.id.clone() })
    } else {
        None
    }
}

impl Steps {
    /// Looks at each of the batches, and publishes.
    ///
    /// # Errors
    /// When the database could not be read.
    pub async fn look(&self, batches: impl IntoIterator<Item = String>) -> Result<(), Error> {
        let batches: Vec<String> = batches.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        if batches.is_empty() {
            return Ok(());
        }
        let facts = self.store.look(&batches).await?;
        let messages: Vec<Message> = facts.iter().filter_map(progress).map(Message::to).collect();
        self.publish(&messages).await;
        Ok(())
    }
}
