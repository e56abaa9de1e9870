//! The command line: `millrace start`, `millrace storage`, and the commands that are clients of a
//! running broker.

mod alteration;
mod arguments;
mod bootstrap;
mod brokers;
mod completions;
mod config;
mod configs;
mod consume;
mod doctor;
mod group;
mod lines;
mod load;
mod log;
mod log_dirs;
mod offsets;
mod output;
mod produce;
mod quorum;
mod start;
mod storage;
mod table;
mod times;
mod topic;

pub use arguments::main;
