//! Bodies of millions of ids: read once, in bounded memory, their ids kept in a temporary file (design §7.1).
//!
//! Files live in the system's temporary directory without a name: they are gone with the value that holds them, and with a
//! process that is killed.

use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use axum::body::Body;
use futures::StreamExt;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use shared::fail_point::{Boundary, passes};
use tokio::io::AsyncWriteExt;

use crate::error::ApiError;
use crate::extract::{malformed, too_large};
use crate::input::{Object, scalar};

/// Ids read from the file at once.
const PAGE: usize = 5_000;
/// The longest id, in bytes of JSON.
const MAX_ID_BYTES: u64 = 4_096;
const IDS: &str = "processInstanceIds";
/// What is kept of a body: all that a request with so many ids may say besides.
const KNOWN: [&str; 16] = [
    "migrationPlan",
    "processInstanceQuery",
    "historicProcessInstanceQuery",
    "skipCustomListeners",
    "skipIoMappings",
    "skipSubprocesses",
    "deleteReason",
    "suspended",
    "variables",
    "messageName",
    "processDefinitionId",
    "instructions",
    "initialVariables",
    "withoutBusinessKey",
    "annotation",
    "failIfNotExists",
];

/// The ids of a body: one a line.
pub struct Ids {
    file: Arc<File>,
    pub count: u64,
    pub has_null: bool,
}

impl Ids {
    /// Pages of the ids, from the beginning.
    #[must_use]
    pub fn pages(&self) -> Box<dyn Iterator<Item = io::Result<Vec<String>>> + Send> {
        Box::new(Pages(BufReader::new(At { file: Arc::clone(&self.file), offset: 0 })))
    }
}

/// Ids being written, one a line.
pub struct IdWriter {
    file: BufWriter<File>,
    count: u64,
    has_null: bool,
}

impl IdWriter {
    /// # Errors
    /// When there is no temporary directory.
    pub fn new() -> io::Result<Self> {
        Ok(Self { file: BufWriter::new(tempfile::tempfile()?), count: 0, has_null: false })
    }

    /// # Errors
    /// When the disk is full.
    pub fn push(&mut self, id: &str) -> io::Result<()> {
        serde_json::to_writer(&mut self.file, id)?;
        self.count += 1;
        self.file.write_all(b"\n")
    }

    /// # Errors
    /// When the disk is full.
    pub fn finish(self) -> io::Result<Ids> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Ids { file: Arc::new(file), count: self.count, has_null: self.has_null })
    }
}

/// One reader of a file that several read, each from the beginning.
struct At {
    file: Arc<File>,
    offset: u64,
}

impl Read for At {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(into, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

struct Pages(BufReader<At>);

impl Iterator for Pages {
    type Item = io::Result<Vec<String>>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut page = vec![];
        while page.len() < PAGE {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Err(error) => return Some(Err(error)),
                Ok(0) => break,
                Ok(_) => match serde_json::from_str(&line) {
                    Ok(id) => page.push(id),
                    Err(error) => return Some(Err(error.into())),
                },
            }
        }
        (!page.is_empty()).then_some(Ok(page))
    }
}

/// A body whose `processInstanceIds` are spooled. The rest is small, and as it came.
pub struct Spooled {
    pub rest: Object,
    /// None: none given.
    pub ids: Option<Ids>,
}

/// Writes the body to a temporary file, at most `most` bytes, and reads it from there. `rest` bounds all but the ids.
///
/// # Errors
/// 413 beyond the bounds, 400 for what is no such body, 500 when the temporary directory is full or gone.
pub async fn read(body: Body, most: u64, rest: usize) -> Result<Spooled, ApiError> {
    let file = receive(body, most).await?;
    let parsed = tokio::task::spawn_blocking(move || parse(BufReader::new(file), rest as u64)).await;
    if !passes("request", Boundary::Spooled) {
        return Err(disk(&io::Error::other("a fail point asks for it")));
    }
    parsed.unwrap_or_else(|error| Err(disk(&io::Error::other(error))))
}

async fn receive(body: Body, most: u64) -> Result<File, ApiError> {
    let file = tempfile::tempfile().map_err(|e| disk(&e))?;
    let mut writer = tokio::io::BufWriter::new(tokio::fs::File::from_std(file));
    let (mut stream, mut size) = (body.into_data_stream(), 0_u64);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| ApiError::invalid(format!("The body broke off after {size} bytes: {error}")))?;
        size += chunk.len() as u64;
        if size > most {
            return Err(too_large(most));
        }
        writer.write_all(&chunk).await.map_err(|e| disk(&e))?;
    }
    writer.flush().await.map_err(|e| disk(&e))?;
    let mut file = writer.into_inner().into_std().await;
    io::Seek::rewind(&mut file).map_err(|e| disk(&e))?;
    Ok(file)
}

/// The 500 for a temporary directory that is full or gone.
#[must_use]
pub fn disk(error: &io::Error) -> ApiError {
    let message = format!("The body could not be kept in the server's temporary directory: {error}");
    ApiError::engine("RestException", message).with_code(None)
}

fn parse(mut reader: impl BufRead, rest: u64) -> Result<Spooled, ApiError> {
    if reader.fill_buf().map_err(|e| disk(&e))?.is_empty() {
        return Ok(Spooled { rest: Object::new(), ids: None });
    }
    let budget = Rc::new(Cell::new(u64::MAX));
    let metered = Metered { reader, budget: budget.clone() };
    let mut json = serde_json::Deserializer::from_reader(metered);
    let spooled = Root { budget, rest }.deserialize(&mut json).map_err(|e| refused(&e))?;
    json.end().map_err(|e| refused(&e))?;
    Ok(spooled)
}

fn refused(error: &serde_json::Error) -> ApiError {
    match error.io_error_kind() {
        Some(io::ErrorKind::FileTooLarge) => {
            ApiError::invalid(format!("A part of the body is too large: {error}")).with_status(axum::http::StatusCode::PAYLOAD_TOO_LARGE)
        }
        Some(_) => ApiError::engine("RestException", error.to_string()).with_code(None),
        None => malformed(error),
    }
}

/// Lets a parser read only as much as its budget: so no single text or object can fill the memory.
struct Metered<R> {
    reader: R,
    budget: Rc<Cell<u64>>,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.budget.get()).unwrap_or(usize::MAX);
        if left == 0 {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "one of its values is longer than the server takes"));
        }
        let most = into.len().min(left);
        let read = self.reader.read(&mut into[..most])?;
        self.budget.set(self.budget.get().saturating_sub(read as u64));
        Ok(read)
    }
}

struct Root {
    budget: Rc<Cell<u64>>,
    rest: u64,
}

impl<'de> DeserializeSeed<'de> for Root {
    type Value = Spooled;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Spooled, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Root {
    type Value = Spooled;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a migrationPlan")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Spooled, A::Error> {
        let mut spooled = Spooled { rest: Object::new(), ids: None };
        let mut left = self.rest;
        loop {
            self.budget.set(left);
            let Some(key) = map.next_key::<String>()? else { break };
            if key == IDS {
                spooled.ids = map.next_value_seed(IdList { budget: &self.budget })?;
            } else if KNOWN.contains(&key.as_str()) {
                let value: Value = map.next_value()?;
                left = self.budget.get();
                spooled.rest.insert(key, value);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        self.budget.set(u64::MAX);
        Ok(spooled)
    }
}

struct IdList<'a> {
    budget: &'a Cell<u64>,
}

impl<'de> DeserializeSeed<'de> for IdList<'_> {
    type Value = Option<Ids>;
    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Ids>, D::Error> {
        self.budget.set(MAX_ID_BYTES);
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for IdList<'_> {
    type Value = Option<Ids>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of ids at '{IDS}'")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut ids = IdWriter::new().map_err(A::Error::custom)?;
        loop {
            self.budget.set(MAX_ID_BYTES);
            let Some(value) = seq.next_element::<Value>()? else { break };
            if value.is_null() {
                ids.has_null = true;
                continue;
            }
            let id = scalar(&value).ok_or_else(|| A::Error::custom(format!("'{IDS}[{}]' must be a text", ids.count)))?;
            ids.push(&id).map_err(A::Error::custom)?;
        }
        ids.finish().map(Some).map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Spooled, ApiError> {
        parse(text.as_bytes(), 1000)
    }

    fn ids(spooled: &Spooled) -> Vec<String> {
        spooled.ids.as_ref().unwrap().pages().flat_map(Result::unwrap).collect()
    }

    #[test]
    fn ids_are_spooled_and_the_rest_is_kept() {
        let read =
            parsed(r#"{"migrationPlan":{"a":1},"x":[1,{}],"processInstanceIds":["a",7,true,"b\n"],"skipIoMappings":true} "#).unwrap();
        assert_eq!(ids(&read), ["a", "7", "true", "b\n"]);
        assert_eq!(serde_json::to_string(&read.rest).unwrap(), r#"{"migrationPlan":{"a":1},"skipIoMappings":true}"#);
        assert_eq!(ids(&parsed(r#"{"processInstanceIds":["a"],"processInstanceIds":["b"]}"#).unwrap()), ["b"]);
        assert!(parsed(r#"{"processInstanceIds":null}"#).unwrap().ids.is_none());
        assert!(parsed(r#"{"processInstanceIds":[null]}"#).unwrap().ids.unwrap().has_null);
        assert!(parsed("").unwrap().rest.is_empty());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (text, status) in [
            (r#"{"processInstanceIds":"a"}"#, 400),
            (r#"{"processInstanceIds":[["a"]]}"#, 400),
            (r#"{"processInstanceIds":["#, 400),
            (r#"{"processInstanceIds":[]} x"#, 400),
            ("null", 400),
            ("[]", 400),
            (&format!(r#"{{"processInstanceIds":["{}"]}}"#, "a".repeat(5000)), 413),
            (&format!(r#"{{"migrationPlan":"{}"}}"#, "a".repeat(2000)), 413),
            (&format!(r#"{{"migrationPlan":{}1{}}}"#, "[".repeat(400), "]".repeat(400)), 400),
            (&format!(r#"{{"x":{}1{}}}"#, "[".repeat(2000), "]".repeat(2000)), 413),
        ] {
            assert_eq!(parsed(text).err().map(|e| e.status.as_u16()), Some(status), "{}", &text[..text.len().min(60)]);
        }
    }

    #[test]
    fn pages_are_bounded() {
        let list: Vec<String> = (0..12_000).map(|i| format!("\"{i}\"")).collect();
        let read = parsed(&format!("{{\"processInstanceIds\":[{}]}}", list.join(","))).unwrap();
        let sizes: Vec<usize> = read.ids.unwrap().pages().map(|p| p.unwrap().len()).collect();
        assert_eq!(sizes, [5000, 5000, 2000]);
    }
}
