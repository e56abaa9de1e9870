//! Cluster metadata as state machines: KRaft below, decisions and their replay above. Pure: time and
//! randomness are arguments, files and sockets are actions for a driver to execute.

mod controller;
pub mod decide;
mod load;
pub mod metadata;
pub mod raft;
mod request;
mod snapshot;

pub use controller::{Action, Controller, Event, RequestToken};
pub use load::{ControllerConfig, LoadError, Loader};
pub use request::{Request, Response};
pub use snapshot::{Snapshot, SnapshotError, SnapshotId};
