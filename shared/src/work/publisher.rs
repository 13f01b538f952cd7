//! Publishing in the background: a caller is answered after its commit and never waits for a broker (design §6).

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::fail_point::{Boundary, passes};
use crate::queue::{Address, BatchEvent, Message, Queue};

/// What waits to be published, at most; what comes beyond is dropped, since the rows stand and wake finds them.
const CAPACITY: usize = 10_000;
/// Messages published together.
const TOGETHER: usize = 500;

enum Note {
    Wake(Message),
    Announce(BatchEvent, String),
}

/// The sending half; cheap to clone.
#[derive(Clone)]
pub struct Publisher(mpsc::Sender<Note>);

impl Publisher {
    /// The publisher, and the task that does the work: to be spawned by the caller. It ends, with everything published
    /// that was handed in, when the last publisher is dropped.
    pub fn new(queue: Arc<dyn Queue>) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self(sender), run(queue, receiver))
    }

    pub fn wake(&self, addresses: impl IntoIterator<Item = Address>) {
        for address in addresses {
            self.send(Note::Wake(Message::to(address)));
        }
    }

    pub fn announce(&self, event: BatchEvent, batch: &str) {
        self.send(Note::Announce(event, batch.to_owned()));
    }

    fn send(&self, note: Note) {
        if self.0.try_send(note).is_err() {
            tracing::debug!("the publisher is full: the row will be found by the next wake");
        }
    }
}

async fn run(queue: Arc<dyn Queue>, mut notes: mpsc::Receiver<Note>) {
    let mut together = vec![];
    while notes.recv_many(&mut together, TOGETHER).await > 0 {
        if !passes("publisher", Boundary::BeforePublish) {
            together.clear();
        }
        let mut wakes = vec![];
        for note in together.drain(..) {
            match note {
                Note::Wake(message) => wakes.push(message),
                Note::Announce(event, batch) => {
                    if let Err(error) = queue.announce(event, &batch).await {
                        tracing::warn!(batch, event = event.topic(), %error, "the event was not published");
                    }
                }
            }
        }
        if !wakes.is_empty() {
            let failed = queue.publish(&wakes).await.into_iter().filter(Result::is_err).count();
            if failed > 0 {
                tracing::warn!(failed, of = wakes.len(), "wakes were not published; they are found by the next wake");
            }
        }
        let _ = passes("publisher", Boundary::AfterPublish);
    }
}
