//! The workload's own names for its records, which their keys and values spell out.

use std::fmt;

use protocol::record_batch::Record;

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

    /// Reads the key back, and checks that the value is this record's.
    pub fn of(record: &Record) -> Option<Self> {
        let key = std::str::from_utf8(record.key.as_deref()?).ok()?;
        let (kind, rest) = key.split_once('@')?;
        let (topic, rest) = rest.split_once('-')?;
        let (index, rest) = rest.split_once('.')?;
        let (generation, number) = rest.split_once('#')?;
        let producer = ProducerIdentity {
            topic: topic.parse().ok()?,
            index: index.parse().ok()?,
            generation: generation.parse().ok()?,
            idempotent: kind == "idempotent",
        };
        let id = RecordId { producer, number: number.parse().ok()? };
        let is_whole = id.key() == key.as_bytes() && id.has_value(record.value.as_ref()?);
        is_whole.then_some(id)
    }
}
