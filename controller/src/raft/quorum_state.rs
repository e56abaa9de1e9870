//! The `quorum-state` file: what a voter must remember of elections, as JSON text.

use protocol::model::{BrokerId, DirectoryId, LeaderEpoch, ReplicaKey};
use serde::{Deserialize, Serialize};

use super::{KraftVersion, VoterSet};

/// What a voter promised or learnt last. It never votes twice in one leader epoch because this is
/// durable before it tells anyone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumState {
    pub leader_epoch: LeaderEpoch,
    pub leader_id: Option<BrokerId>,
    pub voted: Option<ReplicaKey>,
}

/// Why the file's bytes are no quorum state.
#[derive(Debug, thiserror::Error)]
pub enum QuorumStateError {
    #[error("quorum-state is not the JSON that Kafka writes")]
    Json(#[from] serde_json::Error),
    #[error("quorum-state has data_version {data_version}, only 0 and 1 are known")]
    DataVersion { data_version: i16 },
    #[error("quorum-state names the leader epoch {leader_epoch}")]
    NegativeEpoch { leader_epoch: i32 },
    #[error("quorum-state names the directory {text:?} of the voted node, which is no UUID")]
    VotedDirectory { text: String },
}

/// `data_version` 0, written under `kraft.version` 0. The order of fields is the file's.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StaticFile {
    #[serde(default)]
    cluster_id: String,
    leader_id: i32,
    leader_epoch: i32,
    #[serde(default = "none")]
    voted_id: i32,
    #[serde(default)]
    applied_offset: i64,
    #[serde(default)]
    current_voters: Vec<StaticVoter>,
    #[serde(rename = "data_version")]
    data_version: i16,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StaticVoter {
    voter_id: i32,
}

/// `data_version` 1, written under `kraft.version` 1.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DynamicFile {
    leader_id: i32,
    leader_epoch: i32,
    #[serde(default = "none")]
    voted_id: i32,
    voted_directory_id: String,
    #[serde(rename = "data_version")]
    data_version: i16,
}

#[derive(Deserialize)]
struct AnyFile {
    data_version: i16,
}

fn none() -> i32 {
    -1
}

impl QuorumState {
    /// The file's text. `voters` are part of it under `kraft.version` 0.
    pub fn encode(&self, kraft_version: KraftVersion, voters: &VoterSet) -> String {
        let leader_id = BrokerId::to_wire(self.leader_id);
        let leader_epoch = self.leader_epoch.0;
        let voted_id = BrokerId::to_wire(self.voted.map(|voted| voted.id));
        let data_version = kraft_version.level();
        let text = match kraft_version {
            KraftVersion::Static => serde_json::to_string(&StaticFile {
                cluster_id: String::new(),
                leader_id,
                leader_epoch,
                voted_id,
                applied_offset: 0,
                current_voters: voters.ids().map(|id| StaticVoter { voter_id: id.0 }).collect(),
                data_version,
            }),
            KraftVersion::Dynamic => {
                let directory_id = self.voted.and_then(|voted| voted.directory_id);
                serde_json::to_string(&DynamicFile {
                    leader_id,
                    leader_epoch,
                    voted_id,
                    voted_directory_id: directory_id.unwrap_or(DirectoryId::ZERO).to_string(),
                    data_version,
                })
            }
        };
        text.expect("numbers and strings always have a JSON text")
    }

    pub fn decode(text: &[u8]) -> Result<Self, QuorumStateError> {
        let (leader_id, leader_epoch, voted_id, voted_directory) = match serde_json::from_slice::<
            AnyFile,
        >(text)?
        .data_version
        {
            0 => {
                let file: StaticFile = serde_json::from_slice(text)?;
                (file.leader_id, file.leader_epoch, file.voted_id, None)
            }
            1 => {
                let file: DynamicFile = serde_json::from_slice(text)?;
                let directory = file.voted_directory_id.parse::<DirectoryId>().map_err(|_| {
                    QuorumStateError::VotedDirectory { text: file.voted_directory_id.clone() }
                })?;
                (file.leader_id, file.leader_epoch, file.voted_id, Some(directory))
            }
            data_version => return Err(QuorumStateError::DataVersion { data_version }),
        };
        if leader_epoch < 0 {
            return Err(QuorumStateError::NegativeEpoch { leader_epoch });
        }
        Ok(QuorumState {
            leader_epoch: LeaderEpoch(leader_epoch),
            leader_id: BrokerId::from_wire(leader_id),
            voted: BrokerId::from_wire(voted_id).map(|id| ReplicaKey {
                id,
                directory_id: voted_directory.filter(|directory| !directory.is_zero()),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raft::Voter;

    fn voters() -> VoterSet {
        let key = ReplicaKey { id: BrokerId(1), directory_id: None };
        VoterSet::new([Voter { key, endpoints: Vec::new(), kraft_versions: 0..=1 }]).unwrap()
    }

    /// Texts written by Apache Kafka 4.3.1, the candidate's excepted (it lives too short to be seen).
    #[test]
    fn reads_and_writes_the_files_of_apache_kafka() {
        let directory: DirectoryId = "2rE_bX9LSDGa9McAsrqeXQ".parse().unwrap();
        let leader = |epoch| QuorumState {
            leader_epoch: LeaderEpoch(epoch),
            leader_id: Some(BrokerId(1)),
            voted: None,
        };
        let voted = ReplicaKey { id: BrokerId(1), directory_id: Some(directory) };
        for (version, text, want) in [
            (
                KraftVersion::Dynamic,
                r#"{"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
                leader(3),
            ),
            (
                KraftVersion::Static,
                r#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1}],"data_version":0}"#,
                leader(1),
            ),
            (
                KraftVersion::Dynamic,
                r#"{"leaderId":-1,"leaderEpoch":4,"votedId":1,"votedDirectoryId":"2rE_bX9LSDGa9McAsrqeXQ","data_version":1}"#,
                QuorumState { leader_epoch: LeaderEpoch(4), leader_id: None, voted: Some(voted) },
            ),
        ] {
            assert_eq!(QuorumState::decode(text.as_bytes()).unwrap(), want, "{text}");
            assert_eq!(want.encode(version, &voters()), text);
        }
    }

    #[test]
    fn refuses_what_is_no_quorum_state() {
        for text in [
            "",
            "{}",
            r#"{"data_version":2}"#,
            r#"{"data_version":1,"leaderId":1}"#,
            r#"{"leaderId":1,"leaderEpoch":-3,"votedId":-1,"votedDirectoryId":"AAAAAAAAAAAAAAAAAAAAAA","data_version":1}"#,
            r#"{"leaderId":1,"leaderEpoch":3,"votedId":-1,"votedDirectoryId":"x","data_version":1}"#,
        ] {
            assert!(QuorumState::decode(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
