//! Completing (design §7.5): one statement decides.

use super::Steps;
use crate::fail_point::{Boundary, passes};
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
            if passes("complete", Boundary::BeforePublish) {
                self.announce(BatchEvent::Completed, batch).await;
            }
            let _ = passes("complete", Boundary::AfterPublish);
            return Ok(true);
        }
        self.look([batch.to_owned()]).await?;
        Ok(false)
    }
}
