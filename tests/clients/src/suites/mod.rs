//! The cases, in the order in which they run against one broker.

mod admin;
pub mod attacked;
mod codecs;
mod command_line;
mod configs;
pub mod consumers;
mod exclusive;
pub mod groups;
mod hostile;
mod kafka_producers;
mod kafka_tools;
mod retention;
mod round;
pub mod seeing;
mod serving;
pub mod stock;
mod stopped;
pub mod wide_requests;

pub use round::run;
