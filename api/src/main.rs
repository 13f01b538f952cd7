use std::process::ExitCode;

fn main() -> ExitCode {
    shared::service::main("api", api::run)
}
