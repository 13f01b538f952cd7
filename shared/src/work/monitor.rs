//! Completing (design §7.5): one statement decides.

use super::Steps;
use crate::queue::BatchEvent;
use crate::store::Error;

impl Steps {
    /// Completes the batch if nothing of it is left; otherwise looks. True: completed now, by this call.
    ///
    /// # Errors
    /// When the database could not be reached.
    pub async fn monitor(&self, batch: &str) -> Result<bool, Error> {
        if self.store.complete(batch).await? {
            tracing::info!(batch, "batch completed");
            self.announce(BatchEvent::Completed, batch).await;
            return Ok(true);
        }
        self.look([batch.to_owned()]).await?;
        Ok(false)
    }
}
