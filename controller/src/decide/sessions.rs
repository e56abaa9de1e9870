//! When each broker was last heard of. Not replayed: a new leader gives every broker a new session.

use std::collections::BTreeMap;

use protocol::model::{BrokerId, MonotonicNs, Offset};

/// The brokers' sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    sessions: BTreeMap<BrokerId, Session>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Session {
    expires: MonotonicNs,
    /// How far the broker has read the metadata log.
    metadata_offset: Option<Offset>,
    /// All active brokers must have read up to here before this one may shut down.
    shutdown_offset: Option<Offset>,
}

impl Sessions {
    /// Hears of `broker`: its session lasts until `expires`.
    pub fn touch(
        &mut self,
        broker: BrokerId,
        expires: MonotonicNs,
        metadata_offset: Option<Offset>,
    ) {
        let session = self.sessions.entry(broker).or_insert(Session {
            expires,
            metadata_offset: None,
            shutdown_offset: None,
        });
        session.expires = expires;
        session.metadata_offset = session.metadata_offset.max(metadata_offset);
    }

    /// Forgets what an earlier incarnation of `broker` did, and ends its session.
    pub fn remove(&mut self, broker: BrokerId) {
        self.sessions.remove(&broker);
    }

    /// Notes that `broker` begins its controlled shutdown with the records below `offset`.
    pub fn begin_shutdown(&mut self, broker: BrokerId, offset: Offset) {
        if let Some(session) = self.sessions.get_mut(&broker) {
            session.shutdown_offset = Some(offset);
        }
    }

    pub fn is_valid(&self, broker: BrokerId, now: MonotonicNs) -> bool {
        self.sessions.get(&broker).is_some_and(|session| now < session.expires)
    }

    pub fn shutdown_offset(&self, broker: BrokerId) -> Option<Offset> {
        self.sessions.get(&broker)?.shutdown_offset
    }

    pub fn metadata_offset(&self, broker: BrokerId) -> Option<Offset> {
        self.sessions.get(&broker)?.metadata_offset
    }

    /// When `broker`'s session ends, or ended.
    pub fn expiry(&self, broker: BrokerId) -> Option<MonotonicNs> {
        Some(self.sessions.get(&broker)?.expires)
    }
}
