//! Groups, asked by the protocol itself: every version and every error that one node can answer without
//! transactions. The same from Apache Kafka, whose answers are the expectation.

mod administration;
mod commits;
mod coordinators;
mod expiry;
mod fetches;
mod instances;
mod member;
mod members;
mod rebalances;
mod restart;
mod subjects;
mod talk;

pub use subjects::run;
