//! The voters of the metadata quorum.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use protocol::model::{BrokerId, DirectoryId, ReplicaKey};
use protocol::records::control::{VotersRecord, voters_record};

/// The highest `kraft.version` that we can serve.
pub const KRAFT_VERSION_MAX: i16 = 1;

/// What `kraft.version` says about the quorum. Source: KIP-853.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KraftVersion {
    /// `kraft.version` 0: `controller.quorum.voters` of the configuration, known by id alone.
    Static,
    /// `kraft.version` 1: a VotersRecord in the log, voters known by id and directory.
    Dynamic,
}

impl KraftVersion {
    pub fn level(self) -> i16 {
        match self {
            KraftVersion::Static => 0,
            KraftVersion::Dynamic => 1,
        }
    }

    pub fn from_level(level: i16) -> Option<Self> {
        match level {
            0 => Some(KraftVersion::Static),
            1 => Some(KraftVersion::Dynamic),
            _ => None,
        }
    }
}

/// Where a node listens, under one listener name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub name: String,
    pub host: String,
    pub port: u16,
}

/// One voter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Voter {
    pub key: ReplicaKey,
    pub endpoints: Vec<Endpoint>,
    /// The levels of `kraft.version` that the voter's software can serve.
    pub kraft_versions: RangeInclusive<i16>,
}

/// All voters, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VoterSet {
    voters: BTreeMap<BrokerId, Voter>,
}

/// Why a set of voters is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoterSetError {
    #[error("the quorum has no voter")]
    Empty,
    #[error("voter {id} is named twice")]
    Duplicate { id: BrokerId },
    #[error("voter id {id} is negative")]
    NegativeId { id: i32 },
}

impl VoterSet {
    pub fn new(voters: impl IntoIterator<Item = Voter>) -> Result<Self, VoterSetError> {
        let mut set = VoterSet::default();
        for voter in voters {
            let id = voter.key.id;
            if id.0 < 0 {
                return Err(VoterSetError::NegativeId { id: id.0 });
            }
            if set.voters.insert(id, voter).is_some() {
                return Err(VoterSetError::Duplicate { id });
            }
        }
        if set.voters.is_empty() { Err(VoterSetError::Empty) } else { Ok(set) }
    }

    pub fn iter(&self) -> impl Iterator<Item = &Voter> {
        self.voters.values()
    }

    pub fn ids(&self) -> impl Iterator<Item = BrokerId> {
        self.voters.keys().copied()
    }

    pub fn voter(&self, id: BrokerId) -> Option<&Voter> {
        self.voters.get(&id)
    }

    pub fn len(&self) -> usize {
        self.voters.len()
    }

    pub fn is_empty(&self) -> bool {
        self.voters.is_empty()
    }

    /// The voter that is `replica`; a voter that is known by id alone matches every directory.
    pub fn contains(&self, replica: ReplicaKey) -> bool {
        self.voters.get(&replica.id).is_some_and(|voter| {
            voter.key.directory_id.is_none() || voter.key.directory_id == replica.directory_id
        })
    }

    pub fn to_record(&self) -> VotersRecord {
        let voters = self.voters.values().map(|voter| voters_record::Voter {
            voter_id: voter.key.id.0,
            voter_directory_id: voter.key.directory_id.unwrap_or(DirectoryId::ZERO),
            endpoints: voter
                .endpoints
                .iter()
                .map(|endpoint| voters_record::Endpoint {
                    name: endpoint.name.as_str().into(),
                    host: endpoint.host.as_str().into(),
                    port: endpoint.port,
                })
                .collect(),
            kraft_version_feature: voters_record::KRaftVersionFeature {
                min_supported_version: *voter.kraft_versions.start(),
                max_supported_version: *voter.kraft_versions.end(),
            },
        });
        VotersRecord { version: 0, voters: voters.collect() }
    }

    pub fn from_record(record: &VotersRecord) -> Result<Self, VoterSetError> {
        VoterSet::new(record.voters.iter().map(|voter| {
            Voter {
                key: ReplicaKey {
                    id: BrokerId(voter.voter_id),
                    directory_id: Some(voter.voter_directory_id).filter(|id| !id.is_zero()),
                },
                endpoints: voter
                    .endpoints
                    .iter()
                    .map(|endpoint| Endpoint {
                        name: endpoint.name.to_string(),
                        host: endpoint.host.to_string(),
                        port: endpoint.port,
                    })
                    .collect(),
                kraft_versions: voter.kraft_version_feature.min_supported_version
                    ..=voter.kraft_version_feature.max_supported_version,
            }
        }))
    }
}
