//! Dead letters: messages that no worker could be rid of, or read (design §6). Their rows are looked at as after a commit, and
//! stand for `wake`.

use super::Steps;
use crate::fail_point::{Boundary, passes};
use crate::queue::Address;
use crate::store::Error;

impl Steps {
    /// Looks at what the message was about. It is done with afterwards.
    ///
    /// # Errors
    /// When the database could not be read.
    pub async fn bury(&self, address: Address) -> Result<(), Error> {
        if passes("dead", Boundary::BeforePublish) {
            match address {
                Address::Seed { batch } | Address::Execute { batch, .. } | Address::Monitor { batch } => self.look([batch]).await?,
                // Nothing is looked at: the next wake finds what is due.
                Address::Instance { .. } | Address::Timer { .. } => {}
            }
        }
        let _ = passes("dead", Boundary::AfterPublish);
        Ok(())
    }
}
