//! Secrets, and URLs that may hold a password: shown without it, wherever they are shown.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl SecretUrl {
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The whole URL, password included: for the driver alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Does it begin with one of these schemes?
    #[must_use]
    pub fn has_scheme(&self, schemes: &[&str]) -> bool {
        self.0.split_once(':').is_some_and(|(scheme, _)| schemes.contains(&scheme))
    }

    /// A parameter of its query, decoded.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let (_, query) = self.0.split_once('?')?;
        let (_, value) = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
        Some(percent_encoding::percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

impl FromStr for SecretUrl {
    type Err = Infallible;

    fn from_str(url: &str) -> Result<Self, Infallible> {
        Ok(Self::new(url.trim()))
    }
}

impl fmt::Display for SecretUrl {
    /// Without user, password and query: each may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((scheme, rest)) = self.0.split_once("://") else {
            // A file's name is no secret. What is no URL may be one, put into the wrong variable.
            let shown = if self.has_scheme(&["sqlite"]) { self.0.split('?').next().unwrap_or_default() } else { "(not a URL)" };
            return f.write_str(shown);
        };
        let rest = rest.split('?').next().unwrap_or_default();
        // A password may hold a slash that nobody escaped: all before the last @ is left out.
        let rest = rest.rsplit_once('@').map_or(rest, |(_, after)| after);
        write!(f, "{scheme}://{rest}")
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is never shown: a password, a token, hashes of them.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself: for who must have it alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// Is there a `://user:password@` in it?
pub(super) fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let in_query = rest.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with("password=")));
    // A password may hold a slash that nobody escaped: then the last @ lies behind the "path".
    let userinfo = rest.rsplit_once('@').map_or("", |(before, _)| before);
    in_query || userinfo.contains(':') || authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
}
