//! The message: about 200 bytes of JSON, readable in the broker's own screens. Never a list of items.

use serde::{Deserialize, Serialize};

use crate::job::WorkRef;
use crate::queue::QueueName;

/// Version of the wire form. A message of another one is undecodable, and ends in the dead queue.
pub const MESSAGE_VERSION: u32 = 1;
/// A longer body is not read.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Which row to look at.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Address {
    /// Seed the batch.
    Seed { batch: String },
    /// Execute the run whose first job is `number`, or the job row `number`.
    Execute { batch: String, number: u32 },
    /// Run a due job of the instance.
    Instance { instance: String },
    /// Look whether the batch is complete.
    Monitor { batch: String },
    /// Fire a timer of neither instance nor batch.
    Timer { timer: String },
}

impl Address {
    #[must_use]
    pub fn queue(&self) -> QueueName {
        match self {
            Self::Seed { .. } => QueueName::Seed,
            Self::Execute { .. } | Self::Instance { .. } => QueueName::Exec,
            Self::Monitor { .. } | Self::Timer { .. } => QueueName::Monitor,
        }
    }
}

impl Address {
    /// The run or job row that it names.
    #[must_use]
    pub fn work(&self) -> Option<WorkRef> {
        match self {
            Self::Execute { batch, number } => Some(WorkRef::new(batch.clone(), *number)),
            Self::Seed { .. } | Self::Instance { .. } | Self::Monitor { .. } | Self::Timer { .. } => None,
        }
    }
}

impl From<WorkRef> for Address {
    fn from(work: WorkRef) -> Self {
        Self::Execute { batch: work.batch, number: work.number }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Message {
    pub v: u32,
    #[serde(flatten)]
    pub address: Address,
    /// W3C trace context of what caused it; linked, never a parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// Why a body is no message of ours.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("{0} bytes, of at most {MAX_MESSAGE_BYTES}")]
    TooLong(usize),
    #[error("not a message: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("version {0}, not {MESSAGE_VERSION}")]
    Version(u32),
}

impl Message {
    #[must_use]
    pub fn to(address: impl Into<Address>) -> Self {
        Self { v: MESSAGE_VERSION, address: address.into(), traceparent: None }
    }

    /// # Errors
    /// When the body is too long, no JSON of ours, or of another version.
    pub fn decode(body: &[u8]) -> Result<Self, MessageError> {
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(MessageError::TooLong(body.len()));
        }
        let message: Self = serde_json::from_slice(body)?;
        if message.v == MESSAGE_VERSION { Ok(message) } else { Err(MessageError::Version(message.v)) }
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_small_and_readable() {
        let message = Message::to(WorkRef::new(crate::id::new_base(), 4711));
        let body = message.encode();
        assert!(body.len() < 200, "{}", body.len());
        assert!(String::from_utf8_lossy(&body).contains(r#""kind":"execute""#));
        assert_eq!(Message::decode(&body).unwrap(), message);
    }

    #[test]
    fn what_is_no_message_of_ours_is_refused() {
        assert!(matches!(Message::decode(b"{}"), Err(MessageError::Malformed(_))));
        assert!(matches!(Message::decode(br#"{"v":2,"kind":"seed","batch":"b"}"#), Err(MessageError::Version(2))));
        assert!(matches!(Message::decode(&[b' '; 5000]), Err(MessageError::TooLong(5000))));
    }
}
