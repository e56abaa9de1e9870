//! Cluster metadata as state machines: KRaft below, decisions and their replay above. Pure: time and
//! randomness are arguments, files and sockets are actions for a driver to execute.

pub mod config;
mod controller;
pub mod decide;
mod format;
mod load;
pub mod metadata;
pub mod quota;
pub mod raft;
mod request;
mod snapshot;

pub use controller::{Action, Controller, Event, RequestToken};
pub use format::{FormattedFile, METADATA_LOG_FOLDER, bootstrap_checkpoint, format_files};
pub use load::{ControllerConfig, LoadError, Loader};
pub use request::{Request, Response};
pub use snapshot::{Snapshot, SnapshotContent, SnapshotError, SnapshotId, SnapshotWriter};
