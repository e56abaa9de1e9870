//! What the host must offer, checked before anything starts; each refusal names its remedy.

use std::path::{Path, PathBuf};

/// What [`check`] found.
#[derive(Clone, Debug)]
pub struct HostReport {
    /// CPUs that this process may run on.
    pub cpu_count: usize,
    /// Directories whose file system has no direct I/O: files there are buffered.
    pub buffered_directories: Vec<PathBuf>,
}

/// What the host lacks, and how to mend it: one line each.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    #[error("io_uring is forbidden ({reason}): {remedy}")]
    IoUringForbidden { reason: String, remedy: String },
    #[error("io_uring is missing: this kernel is {kernel}, 5.19 or newer is needed")]
    IoUringMissing { kernel: String },
    #[error(
        "memlock limit is {limit_bytes} bytes, {needed_bytes} are needed: raise it with `ulimit -l` or LimitMEMLOCK="
    )]
    MemlockTooLow { limit_bytes: u64, needed_bytes: u64 },
    #[error(
        "file descriptor limit is {limit}, {needed} are needed: raise it with `ulimit -n` or LimitNOFILE="
    )]
    TooFewDescriptors { limit: u64, needed: u64 },
    #[error("cannot use data directory {path}: {source}")]
    Directory { path: PathBuf, source: std::io::Error },
}

/// Checks io_uring, memlock, descriptors (raises the soft limit to the hard one first) and direct I/O
/// of each of `directories` for a process of `core_count` cores. Call from `main` before `launch`.
pub fn check(core_count: usize, directories: &[&Path]) -> Result<HostReport, HostError> {
    crate::real::host::check(core_count, directories)
}

/// All that [`check`] would refuse but directories; limits are raised first, as there.
pub fn lacking(core_count: usize) -> Vec<HostError> {
    crate::real::host::lacking(core_count)
}

/// Whether files in `directory` can be written past the page cache. Writes a file there and removes it.
/// Errors: it cannot be written to.
pub fn has_direct_io(directory: &Path) -> Result<bool, HostError> {
    crate::real::host::has_direct_io(directory)
}

/// The release of the kernel, such as `6.1.0-18-amd64`; empty where it does not tell.
pub fn kernel_release() -> String {
    crate::real::host::kernel_release()
}

/// How many descriptors this process may have, its soft limit raised to the hard one.
pub fn descriptor_limit() -> u64 {
    crate::real::host::descriptor_limit()
}

/// CPUs that this process may run on, from its affinity mask and CPU quota; at least 1.
pub fn cpu_count() -> usize {
    crate::real::host::cpu_count()
}

/// Bytes of memory that this process may use: the host's, or what its control groups leave it.
pub fn memory_size_bytes() -> u64 {
    crate::real::host::memory_size_bytes()
}
