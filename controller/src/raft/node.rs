//! The node of a quorum: elections and the high watermark.
//!
//! The driver executes the actions of a step in their order, and reports the two that take time:
//! `QuorumStatePersisted` when the file of `PersistQuorumState` is durable under its name, `Flushed`
//! when appended bytes are. Everything else happens within the step.
//!
//! One voter is what this machine can lead so far: its own vote is a majority, and what it has
//! flushed is committed. More voters are refused by name when it is built.

use bytes::Bytes;
use protocol::model::{LeaderEpoch, Offset, ReplicaKey, TimestampMs};

use super::control_batch::{ControlRecord, encode_control_batch};
use super::{KraftVersion, QuorumState, VoterSet};

/// Who this node is, and whom it votes with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeConfig {
    pub replica: ReplicaKey,
    pub voters: VoterSet,
    pub kraft_version: KraftVersion,
    /// Whether a VotersRecord is in the log; the first leader of a dynamic quorum writes the voters
    /// of its bootstrap snapshot into the log.
    pub voters_in_log: bool,
}

/// Where the log of a starting node ends. All of it is durable: recovery has flushed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEnd {
    pub log_end_offset: Offset,
    /// Epoch of the last batch, or of the snapshot when the log has none.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Why no node can be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedQuorum {
    #[error("the quorum has {voters} voters; only one voter is implemented")]
    SeveralVoters { voters: usize },
    #[error("node {replica} is not the quorum's voter {voter}")]
    NotTheVoter { replica: ReplicaKey, voter: ReplicaKey },
    #[error("the quorum has no voter: format the directory with a voter set")]
    NoVoter,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    config: NodeConfig,
    state: State,
    leader_epoch: LeaderEpoch,
    log_end_offset: Offset,
    durable_end_offset: Offset,
    /// Never moves back, also not when the node resigns.
    high_watermark: Option<Offset>,
}

/// What a node is at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Knows of no leader.
    Unattached,
    /// Voted for itself; the vote is not yet durable.
    Candidate { now: TimestampMs },
    /// Won; that it did is not yet durable.
    Elected { now: TimestampMs },
    /// Appends. Nothing is committed before the first record of its own leader epoch is.
    Leader { epoch_start_offset: Offset },
    /// Its log or its quorum state failed: nothing can be promised any more.
    Failed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The log is recovered and replayed; take part in the quorum.
    Start {
        now: TimestampMs,
    },
    QuorumStatePersisted,
    /// A batch encoded for `log_end_offset` and the leader epoch.
    Append {
        batch: Bytes,
        next_offset: Offset,
    },
    Flushed {
        durable_end_offset: Offset,
    },
    /// An append, a flush or the quorum-state file failed.
    StorageFailed,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Replace the quorum-state file, durably; then report `QuorumStatePersisted`.
    PersistQuorumState(QuorumState),
    /// This node leads. The batches that follow bear `leader_epoch`.
    Lead { leader_epoch: LeaderEpoch, epoch_start_offset: Offset },
    /// Append at `base_offset`, which is the log's end; once durable report `Flushed`.
    Append { base_offset: Offset, next_offset: Offset, batch: Bytes },
    /// All below is committed.
    HighWatermark(Offset),
    /// This node no longer leads; what was not committed may be lost.
    Resign,
}

/// An event that has no place in the node's state. The node is unchanged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the node has been started before")]
    AlreadyStarted,
    #[error("no quorum state is being persisted")]
    NothingToPersist,
    #[error("the node is not the leader")]
    NotLeader,
    #[error("an append from {log_end_offset} to {next_offset} has no record")]
    EmptyAppend { log_end_offset: Offset, next_offset: Offset },
    #[error(
        "flushed up to {durable_end_offset}, which is not within {previous}..={log_end_offset}"
    )]
    FlushedOutOfRange { previous: Offset, durable_end_offset: Offset, log_end_offset: Offset },
}

impl Node {
    /// A node that has not started: `stored` is its quorum-state file, if there was one.
    pub fn new(
        config: NodeConfig,
        stored: Option<&QuorumState>,
        log: LogEnd,
    ) -> Result<Self, UnsupportedQuorum> {
        let replica = config.replica;
        let voters: Vec<_> = config.voters.iter().map(|voter| voter.key).collect();
        match *voters.as_slice() {
            [] => return Err(UnsupportedQuorum::NoVoter),
            [_] if config.voters.contains(replica) => {}
            [voter] => return Err(UnsupportedQuorum::NotTheVoter { replica, voter }),
            _ => return Err(UnsupportedQuorum::SeveralVoters { voters: voters.len() }),
        }
        // The file may be older than the log or missing: epochs must only grow along a log.
        let leader_epoch =
            stored.map(|stored| stored.leader_epoch).max(log.leader_epoch).unwrap_or_default();
        Ok(Node {
            config,
            state: State::Unattached,
            leader_epoch,
            log_end_offset: log.log_end_offset,
            durable_end_offset: log.log_end_offset,
            high_watermark: None,
        })
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn is_leader(&self) -> bool {
        matches!(self.state, State::Leader { .. })
    }

    /// The newest leader epoch that this node knows.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// The offset of the next record.
    pub fn log_end_offset(&self) -> Offset {
        self.log_end_offset
    }

    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    pub fn config(&self) -> &NodeConfig {
        &self.config
    }

    /// Takes one event. A refused event leaves the node as it was, and adds no action.
    pub fn step(&mut self, event: Event, actions: &mut Vec<Action>) -> Result<(), Refused> {
        match event {
            Event::Start { now } => self.start(now, actions)?,
            Event::QuorumStatePersisted => self.quorum_state_persisted(actions)?,
            Event::Append { batch, next_offset } => self.append(batch, next_offset, actions)?,
            Event::Flushed { durable_end_offset } => self.flushed(durable_end_offset, actions)?,
            Event::StorageFailed => self.fail(actions),
        }
        self.check_invariants();
        Ok(())
    }

    /// One voter needs no timer: it asks no one for a vote and waits for no leader.
    fn start(&mut self, now: TimestampMs, actions: &mut Vec<Action>) -> Result<(), Refused> {
        match self.state {
            State::Unattached => {}
            State::Candidate { .. }
            | State::Elected { .. }
            | State::Leader { .. }
            | State::Failed => {
                return Err(Refused::AlreadyStarted);
            }
        }
        self.leader_epoch = self.leader_epoch.next();
        self.state = State::Candidate { now };
        actions.push(Action::PersistQuorumState(QuorumState {
            leader_epoch: self.leader_epoch,
            leader_id: None,
            voted: Some(self.config.replica),
        }));
        Ok(())
    }

    fn quorum_state_persisted(&mut self, actions: &mut Vec<Action>) -> Result<(), Refused> {
        match self.state {
            State::Candidate { now } => {
                self.state = State::Elected { now };
                actions.push(Action::PersistQuorumState(QuorumState {
                    leader_epoch: self.leader_epoch,
                    leader_id: Some(self.config.replica.id),
                    voted: None,
                }));
                Ok(())
            }
            State::Elected { now } => {
                self.lead(now, actions);
                Ok(())
            }
            // What was under way when the storage failed may still end well; it no longer matters.
            State::Failed => Ok(()),
            State::Unattached | State::Leader { .. } => Err(Refused::NothingToPersist),
        }
    }

    /// Begins the leader epoch with its LeaderChange record, and with the voters if the log lacks them.
    fn lead(&mut self, now: TimestampMs, actions: &mut Vec<Action>) {
        let epoch_start_offset = self.log_end_offset;
        self.state = State::Leader { epoch_start_offset };
        actions.push(Action::Lead { leader_epoch: self.leader_epoch, epoch_start_offset });

        let mut records =
            vec![ControlRecord::leader_change(self.config.replica.id, &self.config.voters)];
        if self.config.kraft_version == KraftVersion::Dynamic && !self.config.voters_in_log {
            records.push(ControlRecord::kraft_version(self.config.kraft_version));
            records.push(ControlRecord::KraftVoters(self.config.voters.to_record()));
            self.config.voters_in_log = true;
        }
        let batch = encode_control_batch(epoch_start_offset, self.leader_epoch, now, &records);
        self.push_append(batch, Offset(epoch_start_offset.0 + records.len() as i64), actions);
    }

    fn append(
        &mut self,
        batch: Bytes,
        next_offset: Offset,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refused> {
        if !self.is_leader() {
            return Err(Refused::NotLeader);
        }
        if next_offset <= self.log_end_offset {
            let log_end_offset = self.log_end_offset;
            return Err(Refused::EmptyAppend { log_end_offset, next_offset });
        }
        self.push_append(batch, next_offset, actions);
        Ok(())
    }

    fn push_append(&mut self, batch: Bytes, next_offset: Offset, actions: &mut Vec<Action>) {
        let base_offset = self.log_end_offset;
        self.log_end_offset = next_offset;
        actions.push(Action::Append { base_offset, next_offset, batch });
    }

    fn flushed(
        &mut self,
        durable_end_offset: Offset,
        actions: &mut Vec<Action>,
    ) -> Result<(), Refused> {
        if !(self.durable_end_offset..=self.log_end_offset).contains(&durable_end_offset) {
            return Err(Refused::FlushedOutOfRange {
                previous: self.durable_end_offset,
                durable_end_offset,
                log_end_offset: self.log_end_offset,
            });
        }
        self.durable_end_offset = durable_end_offset;
        let State::Leader { epoch_start_offset } = self.state else { return Ok(()) };
        // Raft's rule: records of former epochs commit together with the first of this one.
        if durable_end_offset > epoch_start_offset
            && self.high_watermark.is_none_or(|known| known < durable_end_offset)
        {
            self.high_watermark = Some(durable_end_offset);
            actions.push(Action::HighWatermark(durable_end_offset));
        }
        Ok(())
    }

    fn fail(&mut self, actions: &mut Vec<Action>) {
        if self.is_leader() {
            actions.push(Action::Resign);
        }
        self.state = State::Failed;
    }

    fn check_invariants(&self) {
        assert!(
            self.durable_end_offset <= self.log_end_offset,
            "durable up to {}, log ends at {}",
            self.durable_end_offset,
            self.log_end_offset
        );
        // INV-1
        assert!(
            self.high_watermark.is_none_or(|offset| offset <= self.durable_end_offset),
            "high watermark {:?} above the durable end {}",
            self.high_watermark,
            self.durable_end_offset
        );
    }
}

#[cfg(test)]
mod tests {
    use protocol::model::{BrokerId, DirectoryId};

    use super::*;
    use crate::raft::Voter;

    fn config(voter_ids: &[i32]) -> NodeConfig {
        let voters = voter_ids.iter().map(|&id| Voter {
            key: ReplicaKey { id: BrokerId(id), directory_id: Some(DirectoryId::ONE) },
            endpoints: Vec::new(),
            kraft_versions: 0..=1,
        });
        NodeConfig {
            replica: ReplicaKey { id: BrokerId(1), directory_id: Some(DirectoryId::ONE) },
            voters: VoterSet::new(voters).unwrap_or_default(),
            kraft_version: KraftVersion::Dynamic,
            voters_in_log: true,
        }
    }

    fn log(end: i64, leader_epoch: i32) -> LogEnd {
        LogEnd { log_end_offset: Offset(end), leader_epoch: LeaderEpoch::from_wire(leader_epoch) }
    }

    fn start() -> Event {
        Event::Start { now: TimestampMs(1) }
    }

    fn flushed(offset: i64) -> Event {
        Event::Flushed { durable_end_offset: Offset(offset) }
    }

    fn append(next_offset: i64) -> Event {
        Event::Append { batch: Bytes::from_static(b"batch"), next_offset: Offset(next_offset) }
    }

    /// A node with a log of ten records that took `events`.
    fn node(events: &[Event]) -> Node {
        let mut node = Node::new(config(&[1]), None, log(10, 3)).unwrap();
        for event in events {
            node.step(event.clone(), &mut Vec::new()).unwrap();
        }
        node
    }

    fn describe(actions: &[Action]) -> String {
        let words = actions.iter().map(|action| match action {
            Action::PersistQuorumState(state) => match state.leader_id {
                Some(_) => format!("persist leader of {}", state.leader_epoch),
                None => format!("persist vote in {}", state.leader_epoch),
            },
            Action::Lead { leader_epoch, epoch_start_offset } => {
                format!("lead {leader_epoch} from {epoch_start_offset}")
            }
            Action::Append { base_offset, next_offset, .. } => {
                format!("append {base_offset}..{next_offset}")
            }
            Action::HighWatermark(offset) => format!("high watermark {offset}"),
            Action::Resign => "resign".to_owned(),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn every_state_answers_every_event() {
        let persisted = || Event::QuorumStatePersisted;
        let leader = [start(), persisted(), persisted()];
        let failed = [start(), Event::StorageFailed];
        for (history, event, want) in [
            (&[][..], start(), "persist vote in 4"),
            (&[], persisted(), "refused: no quorum state is being persisted"),
            (&[], append(11), "refused: the node is not the leader"),
            (&[], flushed(10), ""),
            (&[], flushed(11), "refused: flushed up to 11, which is not within 10..=10"),
            (&[], Event::StorageFailed, ""),
            (&leader[..1], start(), "refused: the node has been started before"),
            (&leader[..1], persisted(), "persist leader of 4"),
            (&leader[..1], append(11), "refused: the node is not the leader"),
            (&leader[..1], flushed(10), ""),
            (&leader[..1], Event::StorageFailed, ""),
            (&leader[..2], start(), "refused: the node has been started before"),
            (&leader[..2], persisted(), "lead 4 from 10, append 10..11"),
            (&leader[..2], append(11), "refused: the node is not the leader"),
            (&leader[..2], flushed(10), ""),
            (&leader[..2], Event::StorageFailed, ""),
            (&leader, start(), "refused: the node has been started before"),
            (&leader, persisted(), "refused: no quorum state is being persisted"),
            (&leader, append(12), "append 11..12"),
            (&leader, append(11), "refused: an append from 11 to 11 has no record"),
            (&leader, flushed(10), ""), // nothing of this leader epoch is durable
            (&leader, flushed(11), "high watermark 11"),
            (&leader, flushed(9), "refused: flushed up to 9, which is not within 10..=11"),
            (&leader, Event::StorageFailed, "resign"),
            (&failed, start(), "refused: the node has been started before"),
            (&failed, persisted(), ""), // what was under way may still end
            (&failed, append(11), "refused: the node is not the leader"),
            (&failed, flushed(10), ""),
            (&failed, Event::StorageFailed, ""),
        ] {
            let mut node = node(history);
            let before = node.clone();
            let mut actions = Vec::new();
            let got = match node.step(event.clone(), &mut actions) {
                Ok(()) => describe(&actions),
                Err(refused) => {
                    assert_eq!((&node, actions.len()), (&before, 0), "{before:?} {event:?}");
                    format!("refused: {refused}")
                }
            };
            assert_eq!(got, want, "{:?} {event:?}", before.state());
        }
    }

    #[test]
    fn a_leader_epoch_is_above_all_that_were_seen() {
        let stored =
            |epoch| QuorumState { leader_epoch: LeaderEpoch(epoch), leader_id: None, voted: None };
        for (stored, log, want) in [
            (None, log(0, -1), 1),
            (Some(stored(6)), log(10, 3), 7),
            (Some(stored(2)), log(10, 3), 4), // the file is older than the log
            (None, log(10, 3), 4),
        ] {
            let mut node = Node::new(config(&[1]), stored.as_ref(), log).unwrap();
            node.step(start(), &mut Vec::new()).unwrap();
            assert_eq!(node.leader_epoch(), LeaderEpoch(want), "{stored:?} {log:?}");
        }
    }

    #[test]
    fn what_it_cannot_do_is_refused_by_name() {
        for (voters, want) in [
            (&[][..], "the quorum has no voter: format the directory with a voter set"),
            (&[1, 2], "the quorum has 2 voters; only one voter is implemented"),
            (
                &[2],
                "node 1@AAAAAAAAAAAAAAAAAAAAAQ is not the quorum's voter 2@AAAAAAAAAAAAAAAAAAAAAQ",
            ),
        ] {
            let refused = Node::new(config(voters), None, log(0, -1)).unwrap_err();
            assert_eq!(refused.to_string(), want);
        }
    }
}
