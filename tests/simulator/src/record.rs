//! The workload's own names for its records, which their keys and values spell out.

use std::fmt;

use protocol::record_batch::Record;

/// How the records of a topic are keyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keying {
    /// Each has its own name for a key.
    Own,
    /// There are so many keys, some records delete theirs, and a header has each record's name.
    Few(u64),
}

/// Of records with few keys, one in so many deletes its key.
const TOMBSTONE_EVERY: u64 = 5;

/// The header that has the name of a record with one of few keys.
pub const NAME_HEADER: &[u8] = b"name";

/// Which record this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordId {
    pub producer: ProducerIdentity,
    /// Counts one producer's records of one partition from 0.
    pub number: u64,
}

/// A producer of one topic and, for one without idempotence, which of its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProducerIdentity {
    /// [`crate::topic::Topic::number`] of the topic that it is for.
    pub topic: u32,
    pub index: u32,
    pub generation: u32,
    pub idempotent: bool,
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProducerIdentity { topic, index, generation, idempotent } = self.producer;
        let kind = if idempotent { "idempotent" } else { "plain" };
        write!(f, "{kind}@{topic}-{index}.{generation}#{}", self.number)
    }
}

impl RecordId {
    /// Its name.
    pub fn key(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// `size_bytes` of text that no other record has, and of which no part can be another's.
    pub fn value(&self, size_bytes: usize) -> Vec<u8> {
        let word = self.word();
        let mut value = Vec::with_capacity(size_bytes + word.len());
        while value.len() < size_bytes {
            value.extend_from_slice(&word);
        }
        value.truncate(size_bytes);
        value
    }

    fn has_value(&self, value: &[u8]) -> bool {
        let word = self.word();
        value.chunks(word.len()).all(|chunk| *chunk == word[..chunk.len()])
    }

    fn word(&self) -> Vec<u8> {
        format!("{self};").into_bytes()
    }

    /// Its key among so many.
    pub fn key_among(&self, key_count: u64) -> u64 {
        (self.number * 7 + u64::from(self.producer.index)) % key_count
    }

    /// Whether it deletes its key, where there are few.
    pub fn is_tombstone(&self) -> bool {
        self.number % TOMBSTONE_EVERY == TOMBSTONE_EVERY - 1
    }

    /// Reads its name back, and checks that key and value are this record's.
    pub fn of(record: &Record, keying: Keying) -> Option<Self> {
        let name = match keying {
            Keying::Own => record.key.as_deref()?,
            Keying::Few(_) => record.headers.first()?.value.as_deref()?,
        };
        let id = Self::parse(std::str::from_utf8(name).ok()?)?;
        let is_whole = match keying {
            Keying::Own => id.has_value(record.value.as_ref()?),
            Keying::Few(key_count) => {
                record.key.as_deref() == Some(&id.key_among(key_count).to_be_bytes())
                    && record.value.is_none() == id.is_tombstone()
                    && record.value.as_ref().is_none_or(|value| id.has_value(value))
            }
        };
        (is_whole && id.key() == name).then_some(id)
    }

    fn parse(name: &str) -> Option<Self> {
        let (kind, rest) = name.split_once('@')?;
        let (topic, rest) = rest.split_once('-')?;
        let (index, rest) = rest.split_once('.')?;
        let (generation, number) = rest.split_once('#')?;
        let producer = ProducerIdentity {
            topic: topic.parse().ok()?,
            index: index.parse().ok()?,
            generation: generation.parse().ok()?,
            idempotent: kind == "idempotent",
        };
        Some(RecordId { producer, number: number.parse().ok()? })
    }
}
