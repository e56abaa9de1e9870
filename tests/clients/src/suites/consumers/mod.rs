//! Consumers in groups, by the clients of the ecosystem: three members share a topic, one is killed, the
//! broker is restarted, and nothing is lost.

mod clients;
mod kafka_tools;
mod scene;
mod story;

pub use story::run;
