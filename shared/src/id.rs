//! Ids: UUIDv7 whose last eight hex digits number what lives in an instance or a batch (design §4).
//!
//! One mask, one function. Only the canonical lower-case form is read so; anything else is an opaque id
//! that matches by equality alone.

use uuid::Uuid;

use crate::process::Ids;

const NUMBER_MASK: u128 = 0xffff_ffff;

/// The seed job of a batch.
pub const SEED_JOB: u32 = 0;
/// The monitor job of a batch.
pub const MONITOR_JOB: u32 = 1;
/// The first execution job of a batch.
pub const FIRST_EXECUTION_JOB: u32 = 2;
/// The three job definitions of a batch.
pub const SEED_JOB_DEFINITION: u32 = 0xffff_fff0;
pub const MONITOR_JOB_DEFINITION: u32 = 0xffff_fff1;
pub const BATCH_JOB_DEFINITION: u32 = 0xffff_fff2;

/// A new id for something that numbers what it holds: the last eight digits are zero.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door for randomness")]
pub fn new_base() -> String {
    Uuid::from_u128(Uuid::now_v7().as_u128() & !NUMBER_MASK).to_string()
}

/// A new id that holds nothing: a deployment, a definition, a history row.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door for randomness")]
pub fn new_id() -> String {
    Uuid::now_v7().to_string()
}

/// A secret that nobody guesses: 256 random bits, in hexadecimal digits.
#[must_use]
pub fn secret() -> String {
    use rand::RngExt;
    let bytes: [u8; 32] = rand::rng().random();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The base and the number of an id in canonical form; None for anything else.
#[must_use]
pub fn split(id: &str) -> Option<(String, u32)> {
    let uuid = Uuid::try_parse(id).ok().filter(|uuid| uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == id)?;
    let number = (uuid.as_u128() & NUMBER_MASK) as u32;
    Some((Uuid::from_u128(uuid.as_u128() & !NUMBER_MASK).to_string(), number))
}

/// The id with `number` under `base`. A base that is not canonical gives an id that nothing has.
#[must_use]
pub fn numbered(base: &str, number: u32) -> String {
    match Uuid::try_parse(base) {
        Ok(uuid) => Uuid::from_u128(uuid.as_u128() & !NUMBER_MASK | u128::from(number)).to_string(),
        Err(_) => format!("{base}#{number}"),
    }
}

/// The instance (or batch) that an id lives in: the id with its number taken off; other ids as they are.
#[must_use]
pub fn base_of(id: &str) -> String {
    split(id).map_or_else(|| id.to_owned(), |(base, _)| base)
}

/// The id source of one instance: numbers under its base, counted on in the document.
pub struct InstanceIds {
    base: String,
    given: u32,
}

impl InstanceIds {
    #[must_use]
    pub fn new(base: &str, given: u32) -> Self {
        Self { base: base.to_owned(), given }
    }

    /// How many were given out so far: to be written back into the document.
    #[must_use]
    pub fn given(&self) -> u32 {
        self.given
    }
}

impl Ids for InstanceIds {
    fn next(&mut self) -> String {
        self.given += 1;
        numbered(&self.base, self.given)
    }

    fn next_instance(&mut self) -> String {
        new_base()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_its_base_and_a_number() {
        let base = new_base();
        assert!(base.ends_with("00000000"));
        let job = numbered(&base, 0xabc);
        assert_eq!(split(&job), Some((base.clone(), 0xabc)));
        assert_eq!(base_of(&job), base);
    }

    #[test]
    fn only_the_canonical_form_is_read() {
        let base = new_base();
        for other in [base.to_uppercase(), base.replace('-', ""), format!("{{{base}}}"), "nope".into(), String::new()] {
            assert_eq!(split(&other), None, "{other}");
        }
    }
}
