//! Secrets as they are kept: passwords as argon2 hashes (PHC strings), tokens as SHA-256. A token is long and random, so that
//! a fast hash of it tells nothing; a password is not.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use rand::RngExt;
use sha2::{Digest, Sha256};

/// The most that a hash may ask for: memory in KiB, and passes.
pub(super) const MAX_MEMORY_KIB: u32 = 64 * 1024;
const MAX_PASSES: u32 = 16;
/// Before a token's hash in a line of a user.
pub(super) const TOKEN_PREFIX: &str = "sha256:";
const SALT_BYTES: usize = 16;

/// The argon2id hash of a password, with a salt of its own, as RFC 9106's second choice for little memory has it (19 MiB, 2 passes).
///
/// # Errors
/// An empty password, or one that argon2 cannot take.
pub fn hash_password(password: &str) -> anyhow::Result<String> {
    anyhow::ensure!(!password.is_empty(), "the password is empty");
    let salt: [u8; SALT_BYTES] = rand::rng().random();
    hash_with(password, &salt, Params::default())
}

pub(super) fn hash_with(password: &str, salt: &[u8], params: Params) -> anyhow::Result<String> {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hash: PasswordHash =
        argon2.hash_password_with_salt(password.as_bytes(), salt).map_err(|e| anyhow::anyhow!("failed to hash: {e}"))?;
    Ok(hash.to_string())
}

/// The hash of a token, as a line of a user has it.
#[must_use]
pub fn hash_token(token: &str) -> String {
    let hex: String = digest(token).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{TOKEN_PREFIX}{hex}")
}

pub(super) fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Can passwords be held against this hash, with no more work and memory than a login may cost?
///
/// # Errors
/// Says why not; never shows the hash.
pub(super) fn check_hash(hash: &str) -> Result<(), String> {
    let parsed = PasswordHash::new(hash).map_err(|e| format!("its hash is no argon2 hash ({e})"))?;
    Algorithm::try_from(parsed.algorithm.as_str()).map_err(|_| format!("its hash is of {}, not of argon2", parsed.algorithm))?;
    let params = Params::try_from(&parsed).map_err(|e| format!("its hash has parameters that are none ({e})"))?;
    if parsed.hash.is_none() || parsed.salt.is_none() {
        return Err("its hash is cut off".to_owned());
    }
    if params.m_cost() > MAX_MEMORY_KIB || params.t_cost() > MAX_PASSES {
        return Err(format!("its hash asks for more than m={MAX_MEMORY_KIB},t={MAX_PASSES}: a login may not cost so much"));
    }
    Ok(())
}

/// Takes as long as the hash says, on this thread.
pub(super) fn is_right(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}
