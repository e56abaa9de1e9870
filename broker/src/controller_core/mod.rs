//! The core that runs the controller: KRaft and the metadata state machine on the metadata log, and how
//! what they decide reaches every core.

mod assignments;
mod directories;
mod driver;
mod metadata_log;
mod publisher;
mod question;
mod snapshots;
mod startup;
mod views;

pub use driver::ControllerCore;
pub use publisher::Publisher;
pub use question::ControllerQuestion;
pub use startup::{METADATA_DIRECTORY, own_voter};
