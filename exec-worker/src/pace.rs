//! How many messages make a micro-batch. A message names a run of some hundred instances or a job row of one, and does not
//! say which; so the number follows what the last ones held.

use std::sync::{Arc, Mutex, PoisonError};

use shared::batch::RUN_INSTANCES;

/// The weight of the newest micro-batch in the average.
const NEWEST: f64 = 0.2;

/// The average number of instances a message; clones share it.
#[derive(Clone)]
pub(crate) struct Pace(Arc<Mutex<f64>>);

impl Default for Pace {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(f64::from(RUN_INSTANCES))))
    }
}

impl Pace {
    /// So many messages held so many instances.
    pub(crate) fn saw(&self, messages: usize, instances: u64) {
        if messages > 0 {
            let seen = instances as f64 / messages as f64;
            let mut average = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *average += (seen - *average) * NEWEST;
        }
    }

    /// Messages that hold about so many instances; at least one.
    pub(crate) fn messages(&self, instances: u32) -> usize {
        let average = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (f64::from(instances) / average.max(1.0)).ceil().max(1.0) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_begins_with_whole_runs_and_follows_what_it_sees() {
        let pace = Pace::default();
        assert_eq!(pace.messages(500), 5);
        for _ in 0..50 {
            pace.saw(10, 10);
        }
        assert!(pace.messages(500) > 300, "{}", pace.messages(500));
        for _ in 0..50 {
            pace.saw(1, 10_000);
        }
        assert_eq!(pace.messages(500), 1);
    }
}
