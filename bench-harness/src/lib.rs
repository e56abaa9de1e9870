//! Load and measurement: the same workloads against millrace, Apache Kafka, and the floor that the
//! reactor itself sets. Every figure is a ratio from one run on one machine.

mod bare;
pub mod cli;
mod measure;
mod report;
mod subject;
mod workloads;
