//! The seed-worker: chunks of batches become runs.

fn main() -> std::process::ExitCode {
    shared::service::main("seed-worker", seed_worker::run)
}
