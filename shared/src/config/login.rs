//! How a command logs in at a server: from the environment or a file, never from the command line.

use std::path::Path;

use super::secret::Secret;
use super::{either, variable};

/// DROVER_USER with DROVER_PASSWORD, or DROVER_TOKEN; each secret also as `…_FILE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Login {
    Password { user: String, password: Secret },
    Token(Secret),
}

impl Login {
    /// What the environment says; None: nothing.
    ///
    /// # Errors
    /// Both ways at once, half of one, or a file that cannot be read.
    pub fn from_environment() -> anyhow::Result<Option<Self>> {
        let secret = |name: &str| {
            let file = variable(&format!("{name}_FILE"));
            either(name, variable(name).map(Secret::new), file.as_deref().map(Path::new), Secret::new)
        };
        Self::of(variable("DROVER_USER"), secret("DROVER_PASSWORD")?, secret("DROVER_TOKEN")?)
    }

    fn of(user: Option<String>, password: Option<Secret>, token: Option<Secret>) -> anyhow::Result<Option<Self>> {
        match (user, password, token) {
            (None, None, None) => Ok(None),
            (None, None, Some(token)) => Ok(Some(Self::Token(token))),
            (Some(user), Some(password), None) => Ok(Some(Self::Password { user, password })),
            (_, _, Some(_)) => {
                anyhow::bail!("DROVER_TOKEN is set beside DROVER_USER or DROVER_PASSWORD; unset one of the two ways to log in")
            }
            (Some(_), None, None) => anyhow::bail!("DROVER_USER is set without its password; set DROVER_PASSWORD or DROVER_PASSWORD_FILE"),
            (None, Some(_), None) => anyhow::bail!("DROVER_PASSWORD is set without a user; set DROVER_USER"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_way_to_log_in_and_all_of_it() {
        let (user, secret) = (|| Some("ann".to_owned()), || Some(Secret::new("s3cret")));
        assert_eq!(Login::of(None, None, None).unwrap(), None);
        assert_eq!(Login::of(None, None, secret()).unwrap(), Some(Login::Token(Secret::new("s3cret"))));
        let login = Login::of(user(), secret(), None).unwrap().unwrap();
        assert!(!format!("{login:?}").contains("s3cret"), "{login:?}");
        for (given, says) in [
            (Login::of(user(), None, None), "DROVER_PASSWORD"),
            (Login::of(None, secret(), None), "DROVER_USER"),
            (Login::of(user(), secret(), secret()), "DROVER_TOKEN"),
        ] {
            assert!(given.unwrap_err().to_string().contains(says));
        }
    }
}
