//! Passwords that were right: by a hash with a key of this process, so that neither memory nor timing tells them.

use std::collections::{HashMap, VecDeque};

use hmac::{Hmac, KeyInit, Mac};
use rand::RngExt;
use sha2::Sha256;
use shared::store::Caller;

/// The most that is remembered; the oldest goes first.
const MOST: usize = 1_024;

type Tag = [u8; 32];

pub(super) struct Remembered {
    key: Tag,
    callers: HashMap<Tag, Caller>,
    order: VecDeque<Tag>,
}

impl Remembered {
    pub(super) fn new() -> Self {
        Self { key: rand::rng().random(), callers: HashMap::new(), order: VecDeque::new() }
    }

    pub(super) fn find(&self, name: &str, password: &str) -> Option<Caller> {
        self.callers.get(&self.tag(name, password)).cloned()
    }

    pub(super) fn add(&mut self, name: &str, password: &str, caller: &Caller) {
        let tag = self.tag(name, password);
        if self.callers.insert(tag, caller.clone()).is_none() {
            self.order.push_back(tag);
        }
        while self.order.len() > MOST {
            self.order.pop_front().map(|oldest| self.callers.remove(&oldest));
        }
    }

    fn tag(&self, name: &str, password: &str) -> Tag {
        tag(&self.key, &[name.as_bytes(), password.as_bytes()])
    }
}

/// A keyed hash of these parts, their lengths included.
pub(super) fn tag(key: &Tag, parts: &[&[u8]]) -> Tag {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any key will do");
    for part in parts {
        mac.update(&(part.len() as u64).to_le_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded_and_the_oldest_goes() {
        let mut remembered = Remembered::new();
        for n in 0..=MOST {
            remembered.add("ann", &n.to_string(), &Caller::anonymous());
        }
        assert_eq!((remembered.callers.len(), remembered.order.len()), (MOST, MOST));
        assert!(remembered.find("ann", "0").is_none() && remembered.find("ann", "1").is_some());
        assert!(remembered.find("an", "n1").is_none());
    }
}
