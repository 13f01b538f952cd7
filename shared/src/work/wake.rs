//! Waking (design §7.6): publish what the rows say is due. Start-up recovery, lost messages, retries and resume are this.

use std::collections::BTreeSet;

use super::{Steps, look::progress};
use crate::fail_point::{Boundary, passes};
use crate::queue::{Address, Message};
use crate::store::{BatchStore, Error, WakeLimits, Woken};

/// Batches of one page.
const PAGE: u32 = 500;

/// What a monitor remembers between two sweeps: what would have made progress at the last one.
#[derive(Debug, Default)]
pub struct Sweep {
    held: BTreeSet<String>,
}

impl Steps {
    /// One round of wake: rows that are due are moved on and published. Gives what was found; less than the limits means all.
    ///
    /// # Errors
    /// When the database could not be reached.
    pub async fn wake(&self, limits: WakeLimits) -> Result<Woken, Error> {
        let woken = self.store.wake(limits).await?;
        let works = woken.work.iter().cloned().map(Address::from);
        let instances = woken.instances.iter().map(|instance| Address::Instance { instance: instance.clone() });
        let timers = woken.timers.iter().map(|timer| Address::Timer { timer: timer.clone() });
        let messages: Vec<Message> = works.chain(instances).chain(timers).map(Message::to).collect();
        if !messages.is_empty() && passes("wake", Boundary::BeforePublish) {
            self.publish(&messages).await;
            let _ = passes("wake", Boundary::AfterPublish);
        }
        Ok(woken)
    }

    /// Looks at every batch, and publishes for those where the same would have made progress at the sweep before too:
    /// then its message was lost. Gives how many.
    ///
    /// # Errors
    /// When the database could not be read; what is remembered stays as it was.
    pub async fn sweep(&self, sweep: &mut Sweep) -> Result<usize, Error> {
        let (mut held, mut stalled) = (BTreeSet::new(), vec![]);
        let mut pages = Pages::default();
        while let Some(page) = pages.next(&*self.store).await? {
            for address in self.store.look(&page).await?.iter().filter_map(progress) {
                let key = format!("{address:?}");
                if sweep.held.contains(&key) {
                    stalled.push(Message::to(address));
                }
                held.insert(key);
            }
        }
        sweep.held = held;
        if !stalled.is_empty() && passes("sweep", Boundary::BeforePublish) {
            self.publish(&stalled).await;
            let _ = passes("sweep", Boundary::AfterPublish);
        }
        Ok(stalled.len())
    }

    /// All that was published is gone ([`crate::queue::Queue::emptied`]): what is out is due at once, for the next wake, and
    /// what would make progress is published. It only saves time; [`Steps::wake`] and [`Steps::sweep`] find the same later.
    ///
    /// # Errors
    /// When the database could not be reached: it may be done again as a whole.
    pub async fn publish_again(&self) -> Result<(), Error> {
        let mut pages = Pages::default();
        while let Some(page) = pages.next(&*self.store).await? {
            for batch in &page {
                self.store.wakes_lost(batch).await?;
            }
            self.look(page).await?;
        }
        Ok(())
    }
}

/// All batches, page by page.
#[derive(Default)]
pub struct Pages {
    after: Option<String>,
}

impl Pages {
    /// The next batches' ids; none after the last.
    ///
    /// # Errors
    /// When the database could not be read.
    pub async fn next(&mut self, store: &dyn BatchStore) -> Result<Option<Vec<String>>, Error> {
        let page = store.batch_ids(self.after.as_deref(), PAGE).await?;
        self.after = page.last().cloned();
        Ok((!page.is_empty()).then_some(page))
    }
}
