//! The words of a stored document: what a text, a number or a list looks like in it, written and read without a detour.
//!
//! Writing knows all that JSON does. Reading knows what this program writes of an ordinary document, and gives None for all else:
//! whoever reads then takes the general way.

use serde_json::{Map, Value as Json};

use super::STORED_ROOM;
use super::relative::{LONG, RowIds, expand, push_literally, push_relative};

/// A document that is being written.
pub(super) struct Out<'a> {
    pub(super) text: Vec<u8>,
    row: RowIds<'a>,
    base: Option<&'a str>,
}

/// A document that is being read.
pub(super) struct In<'a> {
    rest: &'a str,
    row: RowIds<'a>,
    base: Option<&'a str>,
    /// Where it is: a value may come, and what encloses it may end.
    may_go_on: bool,
    may_close: bool,
}

/// What stands in a document.
pub(super) trait Stored: Sized {
    fn put(&self, out: &mut Out<'_>);
    fn take(input: &mut In<'_>) -> Option<Self>;
}

impl<'a> Out<'a> {
    pub(super) fn new(row: RowIds<'a>) -> Self {
        Self { text: Vec::with_capacity(STORED_ROOM), row, base: row.base() }
    }

    pub(super) fn push(&mut self, text: &str) {
        self.text.extend_from_slice(text.as_bytes());
    }

    /// A field of a name that is not known before.
    pub(super) fn field(&mut self, name: &str, value: &Json) {
        self.string(name);
        self.push(":");
        value.put(self);
        self.push(",");
    }

    /// What encloses values that each end with a comma.
    pub(super) fn close(&mut self, bracket: u8) {
        match self.text.last_mut() {
            Some(last) if *last == b',' => *last = bracket,
            _ => self.text.push(bracket),
        }
    }

    pub(super) fn string(&mut self, text: &str) {
        let (row, base) = (self.row, self.base);
        self.quoted(text, |out, text| push_relative(out, text, row, base));
    }

    /// One that says nothing of the row, or what the row may not always say.
    pub(super) fn literal(&mut self, text: &str) {
        self.quoted(text, push_literally);
    }

    fn quoted(&mut self, text: &str, push: impl Fn(&mut Vec<u8>, &str)) {
        // Without a way out of the loop it is done sixteen bytes at a time.
        let (escaped, tilde) = text.bytes().fold((false, false), |(escaped, tilde), b| (escaped | must_be_escaped(b), tilde | (b == b'~')));
        if escaped {
            // Ids stay in full here.
            return push_literally(&mut self.text, &Json::from(text).to_string());
        }
        self.text.reserve(text.len() + 2);
        self.text.push(b'"');
        if tilde || text.len() >= LONG {
            push(&mut self.text, text);
        } else {
            self.push(text);
        }
        self.text.push(b'"');
    }
}

fn must_be_escaped(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

impl<'a> In<'a> {
    pub(super) fn new(rest: &'a str, row: RowIds<'a>) -> Self {
        Self { rest, row, base: row.base(), may_go_on: true, may_close: false }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// Goes on behind this text, if it comes next.
    #[inline]
    pub(super) fn skip(&mut self, text: &str) -> bool {
        let rest = self.rest.strip_prefix(text);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// The name of a field, given as `"name":`.
    #[inline]
    pub(super) fn name(&mut self, name: &str) -> bool {
        self.may_go_on && self.skip(name)
    }

    /// One of several values, with the comma that another one follows.
    pub(super) fn value<T: Stored>(&mut self) -> Option<T> {
        let value = self.may_go_on.then(|| T::take(self))??;
        self.may_go_on = self.skip(",");
        self.may_close = !self.may_go_on;
        Some(value)
    }

    /// Begins what encloses values.
    pub(super) fn open(&mut self, bracket: &str) -> Option<()> {
        (self.may_go_on, self.may_close) = (true, true);
        self.skip(bracket).then_some(())
    }

    pub(super) fn close(&mut self, bracket: &str) -> bool {
        self.may_close && self.skip(bracket)
    }

    fn string(&mut self) -> Option<String> {
        let text = self.rest.strip_prefix('"')?;
        let mut relative = false;
        let end = text.bytes().position(|b| {
            relative |= b == b'~';
            must_be_escaped(b)
        })?;
        self.rest = text[end..].strip_prefix('"')?;
        let text = &text[..end];
        if !relative {
            return Some(text.to_owned());
        }
        // An id of the instance's own, or of its definition, and what stands before it.
        let room = text.len() + self.row.id.len().max(self.row.definition_id.len());
        expand(text, room, self.row, self.base).ok()
    }

    /// An object of which no field is an object or a list: what is deeper is read the general way, which bounds it.
    fn flat_object(&mut self) -> Option<Map<String, Json>> {
        let mut fields = Map::new();
        self.open("{")?;
        while !self.close("}") {
            let name = self.string()?;
            if !self.skip(":") || self.rest.starts_with(['{', '[']) {
                return None;
            }
            fields.insert(name, self.value()?);
        }
        Some(fields)
    }

    fn integer<T: std::str::FromStr>(&mut self) -> Option<T> {
        let end = self.rest.bytes().position(|b| !matches!(b, b'0'..=b'9' | b'-'))?;
        let (digits, rest) = self.rest.split_at(end);
        self.rest = rest;
        // A fraction, an exponent; to JSON -0 is none, and 007 no number at all.
        let no_integer = rest.starts_with(['.', 'e', 'E']) || digits.starts_with("-0") || digits.starts_with('0') && end > 1;
        if no_integer { None } else { digits.parse().ok() }
    }
}

impl Stored for String {
    fn put(&self, out: &mut Out<'_>) {
        out.string(self);
    }

    fn take(input: &mut In<'_>) -> Option<Self> {
        input.string()
    }
}

macro_rules! integers {
    ($($type:ty),*) => { $(
        impl Stored for $type {
            fn put(&self, out: &mut Out<'_>) {
                out.push(itoa::Buffer::new().format(*self));
            }

            fn take(input: &mut In<'_>) -> Option<Self> {
                input.integer()
            }
        }
    )* };
}
integers!(i64, i32, u32);

impl Stored for bool {
    fn put(&self, out: &mut Out<'_>) {
        out.push(if *self { "true" } else { "false" });
    }

    fn take(input: &mut In<'_>) -> Option<Self> {
        if input.skip("true") { Some(true) } else { input.skip("false").then_some(false) }
    }
}

/// One that is none is left out by who holds it.
impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Out<'_>) {
        match self {
            Some(value) => value.put(out),
            None => out.push("null"),
        }
    }

    fn take(input: &mut In<'_>) -> Option<Self> {
        T::take(input).map(Some)
    }
}

impl<T: Stored> Stored for Vec<T> {
    fn put(&self, out: &mut Out<'_>) {
        out.push("[");
        for value in self {
            value.put(out);
            out.push(",");
        }
        out.close(b']');
    }

    fn take(input: &mut In<'_>) -> Option<Self> {
        let mut values = vec![];
        input.open("[")?;
        while !input.close("]") {
            values.push(input.value()?);
        }
        Some(values)
    }
}

impl Stored for Json {
    fn put(&self, out: &mut Out<'_>) {
        match self {
            Json::String(text) => out.string(text),
            Json::Array(values) => values.put(out),
            Json::Object(fields) => {
                out.push("{");
                fields.iter().for_each(|(name, value)| out.field(name, value));
                out.close(b'}');
            }
            Json::Null | Json::Bool(_) | Json::Number(_) => out.push(&self.to_string()),
        }
    }

    fn take(input: &mut In<'_>) -> Option<Self> {
        match input.rest.as_bytes().first()? {
            b'"' => input.string().map(Json::String),
            b'{' => input.flat_object().map(Json::Object),
            b't' | b'f' => bool::take(input).map(Json::Bool),
            b'n' => input.skip("null").then_some(Json::Null),
            b'-' | b'0'..=b'9' => i64::take(input).map(Json::from),
            _ => None,
        }
    }
}
