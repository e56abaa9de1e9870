//! Real clients of the ecosystem against one live broker, millrace or Apache Kafka itself.
//!
//! The same cases with the same expectations run against both: `MILLRACE_TEST_BROKER=kafka` names
//! Apache Kafka, the default is the release binary of millrace. Apache Kafka's behaviour is the judge
//! of a case; millrace is what is judged.

mod broker;
mod client;
mod dump_log;
mod expect;
mod metrics;
mod process;
mod records;
mod report;
pub mod segments;
pub mod suites;
mod tools;
mod wire;

pub use broker::{Broker, Kind, Layout, Quorum, Setting, Site};
pub use client::{Client, Codec};
pub use dump_log::{dump, dump_compacted};
pub use process::{Finished, run};
pub use records::{Produced, ReadRecord, check_read};
pub use report::Report;
pub use segments::StoredBatch;
pub use tools::{KafkaTool, Tools};
