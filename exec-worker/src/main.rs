//! The exec-worker: execution jobs of batches, and instances' own jobs.

fn main() -> std::process::ExitCode {
    shared::service::main("exec-worker", exec_worker::run)
}
