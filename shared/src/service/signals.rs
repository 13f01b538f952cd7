//! SIGTERM and SIGINT: the first asks the process to finish what it has in hand, the second ends it at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What a second signal ends the process with. Nothing is lost by it: rows stay, messages come again.
pub const EXIT_AT_ONCE: i32 = 130;

/// Both signals, from now on.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// # Errors
    /// When the system refuses the handlers.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Cancels `shutdown` at the first signal, and exits at the second.
    pub async fn watch(mut self, shutdown: CancellationToken) {
        let name = self.next().await;
        tracing::info!(signal = name, "stopping: finishing what is in hand; a second signal ends at once");
        shutdown.cancel();
        let name = self.next().await;
        tracing::warn!(signal = name, code = EXIT_AT_ONCE, "a second signal: ending at once");
        std::process::exit(EXIT_AT_ONCE);
    }
}
