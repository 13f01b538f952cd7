//! The monitor-worker: batches complete, and what is due is woken.

fn main() -> std::process::ExitCode {
    shared::service::main("monitor-worker", monitor_worker::run)
}
