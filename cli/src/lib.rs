//! The product's binary `drover`: `serve` (all roles in one process; the default), `demo`, `healthcheck`, `schema`, `user`.

mod demo;
mod healthcheck;
mod schema;
mod serve;
mod user;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use shared::config::{self, SecretUrl, Settings};
use shared::service;

#[derive(Parser)]
#[command(
    name = "drover",
    version,
    about = "Moves running process instances to other process definitions, by the thousand and the million."
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Subcommand)]
enum Command {
    /// All roles in one process: API, seed-, exec- and monitor-worker (the default)
    Serve(Box<ServeArgs>),
    /// A whole migration with live progress, on data of its own; then serves it
    Demo(Box<DemoCommand>),
    /// Is a process ready? Exit status 0 or 1
    Healthcheck(healthcheck::HealthcheckArgs),
    /// The schema of the database: migrate it, or ask for its version
    #[command(subcommand)]
    Schema(Box<schema::SchemaCommand>),
    /// Users of the API: hashes for AUTH_FILE
    #[command(subcommand)]
    User(user::UserCommand),
}

#[derive(clap::Args)]
struct ServeArgs {
    #[command(flatten)]
    settings: Settings,
}

#[derive(clap::Args)]
struct DemoCommand {
    #[command(flatten)]
    demo: demo::DemoArgs,
    #[command(flatten)]
    settings: Settings,
}

/// Runs what the command line asks for. Exit status: 0 done, 1 failed, 2 wrong usage, 130 ended by a second signal.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = config::refuse_passwords_in_arguments(std::env::args()) {
        eprintln!("drover: {error:#}");
        return ExitCode::from(2);
    }
    let Cli { command, settings } = Cli::parse();
    let result = match command {
        None => serve(settings),
        Some(Command::Serve(args)) => serve(args.settings),
        Some(Command::Demo(args)) => demonstrate(args.settings, args.demo),
        Some(Command::Schema(command)) => service::block_on(schema::run(*command)),
        Some(Command::User(command)) => user::run(&command),
        Some(Command::Healthcheck(args)) => service::block_on(async move { healthcheck::run(&args).await }),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("drover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(settings: Settings) -> anyhow::Result<()> {
    let settings = settings.resolve()?;
    service::block_on(service::process("serve", settings, |cx| serve::run(cx, None)))
}

/// The demo has data of its own unless a database is named: in a file that is gone afterwards.
fn demonstrate(settings: Settings, args: demo::DemoArgs) -> anyhow::Result<()> {
    let mut settings = settings.resolve()?;
    // Its own lines are what it is run for: logs only say what is wrong.
    settings.rust_log = settings.rust_log.replace("info", "warn");
    let mut folder = None;
    if settings.database_url.is_none() {
        let scratch = tempfile::tempdir().context("failed to make a folder for the demo's data")?;
        settings.database_url = Some(SecretUrl::new(format!("sqlite:{}", scratch.path().join("demo.db").display())));
        folder = Some(scratch);
    }
    let result = service::block_on(service::process("demo", settings, |cx| serve::run(cx, Some(args))));
    drop(folder);
    result
}
