//! `drover schema`: the schema of the database that the settings name. Roles on PostgreSQL refuse a schema that they do not
//! know, so an upgrade begins with `drover schema migrate`; processes that are at work meanwhile go on.

use anyhow::{Context as _, Result};
use shared::config::{DEFAULT_DATABASE_URL, Settings};
use shared::store::sql::{migrate_schema, schema_status};

#[derive(clap::Subcommand)]
pub enum SchemaCommand {
    /// Brings it up to date: before the first start on PostgreSQL, and before each upgrade's new processes
    Migrate(SchemaArgs),
    /// Says its version, and what to do. Exit status 0: this program can work on it
    Status(SchemaArgs),
}

#[derive(clap::Args)]
pub struct SchemaArgs {
    #[command(flatten)]
    settings: Settings,
}

/// # Errors
/// The database cannot be reached, or its schema is newer than this program, or (of `status`) it is not the one it needs.
pub async fn run(command: SchemaCommand) -> Result<()> {
    match command {
        SchemaCommand::Migrate(args) => migrate(&args.settings.resolve()?).await,
        SchemaCommand::Status(args) => status(&args.settings.resolve()?).await,
    }
}

async fn migrate(settings: &Settings) -> Result<()> {
    let (before, after) = migrate_schema(settings.database()).await.with_context(|| format!("failed to migrate {}", name(settings)))?;
    if before == after {
        println!("{} is up to date: schema version {}", name(settings), after.found);
    } else {
        println!("{} is migrated from schema version {} to {}", name(settings), before.found, after.found);
    }
    Ok(())
}

async fn status(settings: &Settings) -> Result<()> {
    let status = schema_status(settings.database()).await.with_context(|| format!("failed to read {}", name(settings)))?;
    anyhow::ensure!(status.is_current(), "{}: {status}", name(settings));
    println!("{}: {status}", name(settings));
    Ok(())
}

/// The database, without its password.
fn name(settings: &Settings) -> String {
    settings.database_url.as_ref().map_or(DEFAULT_DATABASE_URL.to_owned(), ToString::to_string)
}
