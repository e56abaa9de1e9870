//! What a log knows beside its records: leader epochs and producers. Pure machines and their files.

mod leader_epochs;
pub(crate) mod partition_metadata;
mod producer_batch;
mod producer_snapshot;
mod producers;

pub(crate) use leader_epochs::LeaderEpochs;
pub(crate) use producer_batch::producer_batch;
pub use producers::ActiveProducer;
pub(crate) use producers::{Producer, ProducerBatch, Producers, Verdict};
