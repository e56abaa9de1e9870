//! What is read off the machine: processes, the host, the disk's own ceiling.

mod disk;
mod host;
mod process;

pub use disk::{DiskCeiling, disk_ceiling};
pub use host::{Host, pin_own_threads};
pub use process::{Memory, Usage};
