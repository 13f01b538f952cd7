//! Long computations beside a runtime that goes on.
//!
//! Of a runtime's threads one waits for all sockets. When it hears that an answer has come it works at that task itself, and as long
//! as it does nobody hears of any other: with two transactions at once, one waits for the other's documents to be read, decided and
//! written, though a core is idle. tokio can hand the waiting over by itself (`enable_eager_driver_handoff`), but not yet in what
//! it calls stable; `block_in_place` does, but moves the task to another thread, where its memory costs more to free.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Documents from which on it is worth it: waking a thread takes some microseconds.
const WORTH_IT: usize = 20;

/// Before a computation over so many documents: another thread listens meanwhile.
pub(crate) fn listen_elsewhere(documents: usize) {
    if documents < WORTH_IT {
        return;
    }
    let runtime = Handle::try_current().ok();
    if let Some(runtime) = runtime.filter(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread) {
        // One task waits for this thread, two wake another one, which then goes on to listen. They do nothing, and so need not be
        // tracked.
        for _ in 0..2 {
            runtime.spawn(async {});
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::net::UdpSocket;
    use tokio::time::Instant;

    use super::*;

    const SOON: Duration = Duration::from_secs(20);

    async fn socket() -> (UdpSocket, std::net::SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    /// A task that was woken by its socket computes until another one has heard of its own.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn others_hear_of_their_sockets_while_one_computes() {
        let ((first, to_first), (second, to_second)) = (socket().await, socket().await);
        let (computing, is_computing) = mpsc::channel();
        let (heard, has_heard) = mpsc::channel();
        let runtime = Handle::current();
        let computes = runtime.spawn(async move {
            first.recv(&mut [0; 8]).await.unwrap();
            listen_elsewhere(WORTH_IT);
            computing.send(()).unwrap();
            has_heard.recv_timeout(SOON)
        });
        let hears = runtime.spawn(async move {
            second.recv(&mut [0; 8]).await.unwrap();
            heard.send(()).unwrap();
        });
        let sends = std::thread::spawn(move || {
            // One listens, the other one sleeps: a count of parking and waking that is odd.
            let metrics = runtime.metrics();
            let begun = Instant::now();
            while !(0..metrics.num_workers()).all(|worker| metrics.worker_park_unpark_count(worker) % 2 == 1) {
                assert!(begun.elapsed() < SOON, "the runtime's threads have nothing to do");
                std::thread::yield_now();
            }
            let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.send_to(b"compute", to_first).unwrap();
            is_computing.recv_timeout(SOON).unwrap();
            socket.send_to(b"hear", to_second).unwrap();
        });
        computes.await.unwrap().expect("the other one is not heard of before this one is done");
        hears.await.unwrap();
        sends.join().unwrap();
    }
}
