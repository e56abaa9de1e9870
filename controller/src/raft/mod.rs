//! KRaft: who leads the metadata log, and how much of it is committed. A synchronous machine without
//! I/O, clock or randomness. Sources: KIP-595, KIP-853.

mod control_batch;
mod describe_quorum;
mod node;
mod quorum_state;
mod voters;

pub use control_batch::{
    ControlRecord, ControlRecordError, decode_control_batch, encode_control_batch,
};
pub use describe_quorum::describe_quorum;
pub use node::{Action, Event, LogEnd, Node, NodeConfig, Refused, State, UnsupportedQuorum};
pub use quorum_state::{QuorumState, QuorumStateError};
pub use voters::{Endpoint, KRAFT_VERSION_MAX, KraftVersion, Voter, VoterSet, VoterSetError};
