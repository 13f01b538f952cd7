//! A document as it is stored: JSON whose ids are relative to the row that it lies in.
//!
//! The document of an ordinary instance names some twenty ids and its definition five times: half of its text, which every
//! migration reads, sends, logs and writes again. An id of the instance's own is written as `~` and its number in hexadecimal
//! digits, the id of its definition as `~!`, and a tilde as `~~`; the row's columns say the rest. Documents are relative from
//! version 2 on. One of version 1 has all ids in full, and is read as it is.

mod layout;
mod relative;
#[cfg(test)]
mod tests;
mod text;

pub use self::relative::RowIds;
use self::relative::{in_full, numbered};
use self::text::{In, Out, Stored as _};
use crate::process::instance::{DOCUMENT_VERSION, Instance};

/// Bytes that most documents fit into: a buffer that grows as one is written would copy it again and again.
const STORED_ROOM: usize = 1_280;
/// From this version on ids are relative.
const RELATIVE: u32 = 2;

/// Why a stored document cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("its version {0} is newer than this program's {DOCUMENT_VERSION}")]
    Newer(u32),
    #[error("its version {0} does not stand at its beginning")]
    Misplaced(u32),
    #[error("it says '~{0}…' where an id of its own is meant")]
    Reference(String),
    #[error("it has no execution")]
    Empty,
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// The document's text, in the version of this program.
///
/// # Errors
/// Never for what is in an [`Instance`]: texts are texts.
pub fn write(instance: &Instance) -> Result<String, std::string::FromUtf8Error> {
    let row = RowIds { id: &instance.id, definition_id: &instance.definition_id };
    let mut out = Out::new(row);
    instance.put(&mut out);
    let text = String::from_utf8(out.text)?;
    debug_assert_eq!(in_full(&text, row).ok(), plain(instance), "the layout is another one than serde's");
    Ok(text)
}

/// What serde makes of it.
fn plain(instance: &Instance) -> Option<String> {
    serde_json::to_string(&Instance { v: DOCUMENT_VERSION, ..instance.clone() }).ok()
}

/// The instance, in the version of this program. `suspended` is a column, and not read here.
///
/// # Errors
/// [`Unreadable`]: it is of a later version, or damaged.
pub fn read(text: &str, row: RowIds<'_>) -> Result<Instance, Unreadable> {
    let version = version_of(text).unwrap_or_default();
    if version > DOCUMENT_VERSION {
        return Err(Unreadable::Newer(version));
    }
    let mut instance = match version {
        RELATIVE.. => {
            let ordinary = as_written(text, row);
            debug_assert!(ordinary.is_none() || ordinary == in_general(&in_full(text, row)?).ok(), "{} is read in two ways", row.id);
            ordinary.map_or_else(|| in_general(&in_full(text, row)?), Ok)?
        }
        _ => in_general(text)?,
    };
    if instance.v > DOCUMENT_VERSION {
        return Err(Unreadable::Newer(instance.v));
    }
    if instance.v >= RELATIVE && version < RELATIVE {
        return Err(Unreadable::Misplaced(instance.v));
    }
    if instance.executions.is_empty() {
        return Err(Unreadable::Empty);
    }
    instance.v = DOCUMENT_VERSION;
    Ok(instance)
}

/// A document as this program writes an ordinary one. None: it is to be read in general.
fn as_written(text: &str, row: RowIds<'_>) -> Option<Instance> {
    let mut input = In::new(text, row);
    Instance::take(&mut input).filter(|_| input.is_at_end())
}

/// Any document in full.
fn in_general(text: &str) -> Result<Instance, Unreadable> {
    Ok(serde_json::from_str(text)?)
}

/// Does this text stand in every stored document as JSON has it? One that could be an id may be relative.
#[must_use]
pub fn is_as_it_is(text: &str) -> bool {
    !text.contains(['~', '"', '\\']) && numbered(text).is_none()
}

/// The version of a document, with which it begins: also where a person has had it written anew, with blanks.
fn version_of(text: &str) -> Option<u32> {
    let mut rest = text;
    for word in ["{", "\"v\"", ":"] {
        rest = rest.trim_start().strip_prefix(word)?;
    }
    let rest = rest.trim_start();
    rest[..rest.find(|c: char| !c.is_ascii_digit())?].parse().ok()
}
