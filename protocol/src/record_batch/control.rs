//! Control records: transaction markers, and KRaft's own. No consumer sees them.

/// What a control record says. Source: `ControlRecordType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ControlRecordType {
    Abort,
    Commit,
    LeaderChange,
    SnapshotHeader,
    SnapshotFooter,
    KraftVersion,
    KraftVoters,
}

const KEY_VERSION: i16 = 0;
const END_TXN_MARKER_VERSION: i16 = 0;

impl ControlRecordType {
    pub const ALL: [ControlRecordType; 7] = [
        ControlRecordType::Abort,
        ControlRecordType::Commit,
        ControlRecordType::LeaderChange,
        ControlRecordType::SnapshotHeader,
        ControlRecordType::SnapshotFooter,
        ControlRecordType::KraftVersion,
        ControlRecordType::KraftVoters,
    ];

    fn id(self) -> i16 {
        match self {
            ControlRecordType::Abort => 0,
            ControlRecordType::Commit => 1,
            ControlRecordType::LeaderChange => 2,
            ControlRecordType::SnapshotHeader => 3,
            ControlRecordType::SnapshotFooter => 4,
            ControlRecordType::KraftVersion => 5,
            ControlRecordType::KraftVoters => 6,
        }
    }

    /// The key of a control record of this type.
    pub fn key(self) -> [u8; 4] {
        let [v0, v1] = KEY_VERSION.to_be_bytes();
        let [t0, t1] = self.id().to_be_bytes();
        [v0, v1, t0, t1]
    }

    /// From a control record's key. `None` for a type that we do not know, and for what is no key: the
    /// reader skips both, as Kafka does. A later key version may have more bytes, which are ignored.
    pub fn from_key(key: &[u8]) -> Option<ControlRecordType> {
        let &[v0, v1, t0, t1] = key.first_chunk()?;
        let (version, id) = (i16::from_be_bytes([v0, v1]), i16::from_be_bytes([t0, t1]));
        if version < KEY_VERSION {
            return None;
        }
        Self::ALL.into_iter().find(|known| known.id() == id)
    }
}

/// The value of an `Abort` or `Commit` record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTxnMarker {
    /// Counts the transaction coordinators of one transactional id's partition.
    pub coordinator_epoch: i32,
}

impl EndTxnMarker {
    pub fn value(self) -> [u8; 6] {
        let [v0, v1] = END_TXN_MARKER_VERSION.to_be_bytes();
        let [e0, e1, e2, e3] = self.coordinator_epoch.to_be_bytes();
        [v0, v1, e0, e1, e2, e3]
    }

    /// `None` when `value` is too short or of a negative version; a later version may have more bytes.
    pub fn from_value(value: &[u8]) -> Option<EndTxnMarker> {
        let &[v0, v1, e0, e1, e2, e3] = value.first_chunk()?;
        (i16::from_be_bytes([v0, v1]) >= 0)
            .then_some(EndTxnMarker { coordinator_epoch: i32::from_be_bytes([e0, e1, e2, e3]) })
    }
}
