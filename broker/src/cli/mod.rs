//! The command line: `millrace start` and `millrace storage`.

mod arguments;
mod load;
mod log;
mod start;
mod storage;

pub use arguments::main;
