//! The command line. Exit codes: 0 done, 1 failed or found records missing, 2 misused.

mod command;
mod ground;

pub use command::main;
