//! Real brokers, as processes, under what processes and disks suffer: killed, frozen, swapped with
//! Apache Kafka.
//!
//! What a case needs and the host lacks, it names as the reason for which it is skipped.

pub mod disk;
mod ledger;
mod load;
mod place;
pub mod power;
mod random;
mod scale;
mod spread;
pub mod suites;
mod survey;

pub use ledger::{Ledger, Record};
pub use load::{Load, Traffic, fill, sequential};
pub use place::folder;
pub use random::Random;
pub use scale::Scale;
pub use spread::Spread;
pub use survey::Survey;
