//! The cases, in the order in which they run against one broker.

mod admin;
mod codecs;
mod configs;
mod exclusive;
mod hostile;
mod kafka_tools;
mod retention;
mod round;
mod stopped;

pub use round::run;
