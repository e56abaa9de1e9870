//! Keys of a node, that is of `server.properties`, by what they are about.

mod group;
mod hidden;
mod identity;
mod log;
mod network;
mod quota;
mod remote;
mod replication;
mod security;
mod topics;
mod transaction;

use super::Key;

pub use hidden::{DYNAMIC_ONLY, INTERNAL};

/// The tables; each is sorted by name.
pub const NODE_KEYS: [&[Key]; 10] = [
    identity::IDENTITY,
    network::NETWORK,
    topics::TOPICS,
    log::LOG,
    replication::REPLICATION,
    group::GROUP,
    transaction::TRANSACTION,
    security::SECURITY,
    quota::QUOTA,
    remote::REMOTE,
];
