//! The command line: `millrace start` and `millrace storage`.

mod arguments;
mod load;
mod start;
mod storage;

pub use arguments::main;
