//! Seeding (design §7.2): chunks become runs while there is room in the window.

use super::Steps;
use crate::fail_point::{Boundary, passes};
use crate::job::WorkRef;
use crate::queue::{Address, Message};
use crate::store::{Error, SeedRoom, Seeded};

impl Steps {
    /// One seed step of the batch: gives the number of runs written. A batch that is gone is nothing to do.
    ///
    /// # Errors
    /// When the database could not be reached or took too long for the batch lock; a later wake covers it.
    pub async fn seed(&self, batch: &str) -> Result<usize, Error> {
        let Some(seeded) = self.store.seed(batch, SeedRoom::Window).await? else { return Ok(0) };
        if passes("seed", Boundary::BeforePublish) {
            self.wake_runs(batch, &seeded).await;
        }
        if seeded.room_left {
            self.publish(&[Message::to(Address::Seed { batch: batch.to_owned() })]).await;
        } else {
            self.look([batch.to_owned()]).await?;
        }
        let _ = passes("seed", Boundary::AfterPublish);
        Ok(seeded.runs.len())
    }

    pub(super) async fn wake_runs(&self, batch: &str, seeded: &Seeded) {
        let wakes: Vec<Message> = seeded.runs.iter().map(|first| Message::to(WorkRef::new(batch, *first))).collect();
        self.publish(&wakes).await;
    }
}
