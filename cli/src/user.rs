//! `drover user`: the secrets of the API's users, as the lines of AUTH_FILE and AUTH_USERS have them. Passwords are read from
//! the standard input: arguments can be read by every user of the machine.

use std::io::{IsTerminal, Read};

use anyhow::{Context as _, Result};

/// The longest password that is read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 1_024;

#[derive(clap::Subcommand)]
pub enum UserCommand {
    /// Reads a password from the standard input and prints its argon2 hash
    Hash,
    /// Makes a bearer token: prints it, and the hash that stands for it
    Token,
}

/// # Errors
/// When there is no password, or it is too long.
pub fn run(command: &UserCommand) -> Result<()> {
    match command {
        UserCommand::Hash => {
            let hash = api::auth::hash_password(&password()?)?;
            println!("{hash}");
            eprintln!("A line of AUTH_FILE:  NAME {hash} tenants=*   (or tenants=a,b; add read-only for one who may only look)");
        }
        UserCommand::Token => {
            let token = shared::id::secret();
            println!("token {token}\nhash  {}", api::auth::hash_token(&token));
            eprintln!("Give the token to who is to use it; a line of AUTH_FILE:  NAME HASH tenants=*");
        }
    }
    Ok(())
}

/// One line; its end is not part of it.
fn password() -> Result<String> {
    if std::io::stdin().is_terminal() {
        eprintln!("The password, then Enter and Ctrl-D (it is shown as you type; or: drover user hash < FILE):");
    }
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_PASSWORD_BYTES + 1).read_to_string(&mut text).context("failed to read the password")?;
    anyhow::ensure!(read as u64 <= MAX_PASSWORD_BYTES, "the password is longer than {MAX_PASSWORD_BYTES} bytes");
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
