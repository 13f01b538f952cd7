//! Ids relative to the row, within a text.

use memchr::memchr;

use super::Unreadable;

/// Bytes that most documents fit into in full.
const FULL_ROOM: usize = 2_048;
/// Characters of an id before its number, and of its number.
pub(super) const BASE: usize = 28;
const NUMBER: usize = 8;
/// What is shorter is no id, and stands as it is but for tildes.
pub(super) const LONG: usize = BASE + NUMBER;

/// The columns that a document is relative to.
#[derive(Clone, Copy, Debug)]
pub struct RowIds<'a> {
    pub id: &'a str,
    pub definition_id: &'a str,
}

impl<'a> RowIds<'a> {
    /// What the ids of the instance have in common; none where its own is not numbered.
    pub(super) fn base(self) -> Option<&'a str> {
        numbered(self.id).filter(|(before, ..)| before.is_empty()).map(|(_, base, _)| base)
    }
}

/// What stands before a numbered id at the end of this text, its base, and its number's digits.
pub(super) fn numbered(text: &str) -> Option<(&str, &str, &str)> {
    let number = text.len().checked_sub(NUMBER)?;
    let (before, base) = (text.get(..number.checked_sub(BASE)?)?, text.get(number - BASE..number)?);
    let digits = text.get(number..).filter(|digits| digits.bytes().all(is_digit))?;
    Some((before, base, digits))
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

/// Appends this text with what it says of the row as a reference: all of it the definition's id, or an id of the instance's own at
/// its end.
pub(super) fn push_relative(out: &mut Vec<u8>, text: &str, row: RowIds<'_>, base: Option<&str>) {
    if text.len() < LONG {
        return push_literally(out, text);
    }
    if text == row.definition_id {
        return out.extend_from_slice(b"~!");
    }
    match base.and_then(|own| numbered(text).filter(|(_, base, _)| *base == own)) {
        Some((before, _, digits)) => {
            push_literally(out, before);
            out.push(b'~');
            let zeros = digits.bytes().take(NUMBER - 1).take_while(|b| *b == b'0').count();
            out.extend_from_slice(&digits.as_bytes()[zeros..]);
        }
        None => push_literally(out, text),
    }
}

pub(super) fn push_literally(out: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr(b'~', rest) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(b"~~");
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// The text with every id in full.
pub(super) fn in_full(text: &str, row: RowIds<'_>) -> Result<String, Unreadable> {
    expand(text, FULL_ROOM, row, row.base())
}

/// The same of any part of it, into a text of which so many bytes are expected.
pub(super) fn expand(text: &str, room: usize, row: RowIds<'_>, base: Option<&str>) -> Result<String, Unreadable> {
    let mut full = String::with_capacity(room);
    let mut rest = text;
    while let Some(at) = memchr(b'~', rest.as_bytes()) {
        full.push_str(&rest[..at]);
        rest = append(&mut full, &rest[at + 1..], base, row.definition_id)?;
    }
    full.push_str(rest);
    Ok(full)
}

/// Appends what is meant by the reference that this text begins with; gives what comes after it.
fn append<'t>(full: &mut String, text: &'t str, base: Option<&str>, definition_id: &str) -> Result<&'t str, Unreadable> {
    let digits = text.bytes().take_while(|b| is_digit(*b)).count();
    match (text.as_bytes().first(), base) {
        (Some(b'!'), _) => {
            full.push_str(definition_id);
            Ok(&text[1..])
        }
        (Some(b'~'), _) => {
            full.push('~');
            Ok(&text[1..])
        }
        (_, Some(base)) if (1..=NUMBER).contains(&digits) => {
            full.push_str(base);
            full.push_str(&"00000000"[digits..]);
            full.push_str(&text[..digits]);
            Ok(&text[digits..])
        }
        _ => Err(Unreadable::Reference(text.chars().take(NUMBER).collect())),
    }
}
