//! Users as lines: `NAME HASH tenants=a,b|*|none [read-only]`, `#` begins a comment. A name may have one password and several tokens.

use std::collections::HashMap;

use rand::RngExt;
use shared::store::{Caller, Tenants};

use super::password::{TOKEN_PREFIX, check_hash, digest, hash_with};
use super::remembered::tag;

/// The most users of one API.
const MOST: usize = 10_000;

pub(super) struct Users {
    key: [u8; 32],
    passwords: HashMap<String, (String, Caller)>,
    /// By the keyed hash of the token's hash.
    tokens: HashMap<[u8; 32], Caller>,
    /// What a password is held against where there is no such user.
    nobody: String,
}

impl Users {
    /// # Errors
    /// Names the line, and what is wrong with it; never shows a hash.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let mut salt = [0; 16];
        rand::rng().fill(&mut salt);
        let nobody = hash_with("nobody", &salt, argon2::Params::default())?;
        let mut users = Self { key: rand::rng().random(), passwords: HashMap::new(), tokens: HashMap::new(), nobody };
        for (n, line) in text.split(['\n', ';']).enumerate() {
            let line = line.split('#').next().unwrap_or_default().trim();
            if !line.is_empty() {
                users.add(line).map_err(|reason| anyhow::anyhow!("line {} of the API's users: {reason}", n + 1))?;
            }
        }
        let count = users.passwords.len() + users.tokens.len();
        anyhow::ensure!(count > 0, "the API's users: there is no line of a user");
        anyhow::ensure!(count <= MOST, "the API's users: {count} lines are more than {MOST}");
        Ok(users)
    }

    fn add(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let (Some(name), Some(hash)) = (words.next(), words.next()) else {
            return Err("a line is NAME HASH tenants=… [read-only]".to_owned());
        };
        if name.contains(':') {
            return Err(format!("the name {name} has a colon, which HTTP Basic cannot carry"));
        }
        let caller = caller(name, words)?;
        if let Some(hex) = hash.strip_prefix(TOKEN_PREFIX) {
            let digest = from_hex(hex).ok_or_else(|| format!("{name}: its token's hash is not 64 hexadecimal digits"))?;
            if self.tokens.insert(tag(&self.key, &[&digest]), caller).is_some() {
                return Err(format!("{name}: its token is another line's too"));
            }
            return Ok(());
        }
        check_hash(hash).map_err(|reason| format!("{name}: {reason}; `drover user hash` makes one"))?;
        if self.passwords.insert(name.to_owned(), (hash.to_owned(), caller)).is_some() {
            return Err(format!("{name} has a second password"));
        }
        Ok(())
    }

    pub(super) fn of_token(&self, token: &str) -> Option<Caller> {
        self.tokens.get(&tag(&self.key, &[&digest(token)])).cloned()
    }

    /// What this user's password is to be held against, and who it then is; nobody's hash where there is none.
    pub(super) fn of_name(&self, name: &str) -> (String, Option<Caller>) {
        match self.passwords.get(name) {
            Some((hash, caller)) => (hash.clone(), Some(caller.clone())),
            None => (self.nobody.clone(), None),
        }
    }
}

fn caller<'a>(name: &str, words: impl Iterator<Item = &'a str>) -> Result<Caller, String> {
    let (mut tenants, mut read_only) = (None, false);
    for word in words {
        match word.split_once('=') {
            Some(("tenants", "*")) => tenants = Some(Tenants::All),
            Some(("tenants", "none")) => tenants = Some(Tenants::Of(vec![])),
            Some(("tenants", list)) if list.split(',').all(|tenant| !tenant.is_empty() && tenant != "*") => {
                tenants = Some(Tenants::Of(list.split(',').map(str::to_owned).collect()));
            }
            None if word == "read-only" => read_only = true,
            _ => return Err(format!("{name}: {word:?} is neither tenants=… nor read-only")),
        }
    }
    let tenants = tenants.ok_or_else(|| {
        format!("{name}: say whose things it may touch, beside those of no tenant: tenants=a,b or tenants=none, or tenants=* for all")
    })?;
    Ok(Caller { user: Some(name.to_owned()), tenants, read_only })
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let bytes = hex.as_bytes();
    let mut digest = [0; 32];
    if bytes.len() != 64 {
        return None;
    }
    for (byte, pair) in digest.iter_mut().zip(bytes.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(digest)
}

#[cfg(test)]
pub(in crate::auth) mod tests {
    use super::*;
    use crate::auth::hash_token;

    /// A hash that is made fast.
    pub fn cheap(password: &str) -> String {
        hash_with(password, b"a salt of 16 byt", argon2::Params::new(8, 1, 1, None).unwrap()).unwrap()
    }

    #[test]
    fn lines_are_users_with_their_tenants() {
        let text = format!(
            "# who\nann {} tenants=north,south # an operator\n\nbob {} tenants=* read-only; cyd {} tenants=none",
            cheap("pw"),
            hash_token("tok"),
            hash_token("other")
        );
        let users = Users::parse(&text).unwrap();
        let ann = users.of_name("ann").1.unwrap();
        assert_eq!((ann.user.as_deref(), ann.read_only), (Some("ann"), false));
        assert_eq!(ann.tenants, Tenants::Of(vec!["north".into(), "south".into()]));
        assert_eq!(users.of_token("tok"), Some(Caller { user: Some("bob".into()), tenants: Tenants::All, read_only: true }));
        assert_eq!(users.of_token("other").unwrap().tenants, Tenants::Of(vec![]));
        assert!(users.of_token("none").is_none() && users.of_name("bob").1.is_none());
    }

    #[test]
    fn a_line_that_is_none_is_told_by_its_number_and_without_its_hash() {
        let hash = cheap("pw");
        let huge = hash.replace("m=8", "m=1000000");
        for (text, says) in [
            (format!("\nann {hash}"), "line 2"),
            (format!("ann {hash} tenants="), "tenants="),
            (format!("ann {hash} tenants=* admin"), "admin"),
            (format!("a:n {hash} tenants=*"), "colon"),
            (format!("ann {hash} tenants=*\nann {hash} tenants=*"), "second password"),
            ("ann sha256:abc tenants=*".to_owned(), "64 hexadecimal"),
            ("ann s3cret tenants=*".to_owned(), "no argon2 hash"),
            (format!("ann {huge} tenants=*"), "may not cost so much"),
            ("ann".to_owned(), "NAME HASH"),
            ("# nobody".to_owned(), "no line of a user"),
        ] {
            let error = Users::parse(&text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(says) && !error.contains(&hash) && !error.contains("s3cret"), "{text}: {error}");
        }
    }
}
