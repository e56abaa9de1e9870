//! A member of a classic group.

use bytes::Bytes;
use protocol::messages::join_group::JoinGroupRequestProtocol;
use protocol::wire::WireString;

use super::shard::Waiter;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Of a static member (KIP-345).
    pub instance_id: Option<WireString>,
    pub client_id: WireString,
    pub client_host: WireString,
    pub rebalance_timeout_ms: i32,
    pub session_timeout_ms: i32,
    /// What it can be assigned by, the best first.
    pub protocols: Vec<Protocol>,
    pub assignment: Bytes,
    /// Who waits for the end of the rebalance.
    pub awaiting_join: Option<Waiter>,
    /// Who waits for the assignment.
    pub awaiting_sync: Option<Waiter>,
    /// It has not heard of its id yet, and sends no heartbeats.
    pub is_new: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    pub name: WireString,
    pub metadata: Bytes,
}

impl Member {
    pub fn is_static(&self) -> bool {
        self.instance_id.is_some()
    }

    pub fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let known = self.protocols.iter().find(|known| known.name.as_str() == protocol);
        known.map(|known| &known.metadata)
    }

    /// Whether its silence is none: who waits for us sends nothing. But a new member's wait is bounded.
    pub fn has_satisfied_heartbeat(&self) -> bool {
        !self.is_new && (self.awaiting_join.is_some() || self.awaiting_sync.is_some())
    }

    /// The first of its protocols that is among `candidates`.
    pub fn vote(&self, is_candidate: impl Fn(&WireString) -> bool) -> Option<&WireString> {
        self.protocols.iter().map(|protocol| &protocol.name).find(|name| is_candidate(name))
    }

    /// What it takes in memory, coarsely.
    pub fn size_bytes(&self) -> usize {
        let protocols = self.protocols.iter().map(|it| it.name.len() + it.metadata.len() + 64);
        let strings = self.client_id.len()
            + self.client_host.len()
            + self.instance_id.as_ref().map_or(0, |id| id.len());
        512 + strings + self.assignment.len() + protocols.sum::<usize>()
    }
}

/// What is kept for long must not keep the frame that it came in.
pub fn kept(text: &WireString) -> WireString {
    WireString::from(text.as_str())
}

/// Of a protocol that is named twice the first counts: Kafka puts them into a set.
pub fn kept_protocols(protocols: &[JoinGroupRequestProtocol]) -> Vec<Protocol> {
    let mut all: Vec<Protocol> = Vec::with_capacity(protocols.len());
    for JoinGroupRequestProtocol { name, metadata } in protocols {
        if !all.iter().any(|known| known.name == *name) {
            all.push(Protocol { name: kept(name), metadata: Bytes::copy_from_slice(metadata) });
        }
    }
    all
}
