//! What the host offers: io_uring, limits, CPUs, direct I/O.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::os::fd::RawFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use io_uring::IoUring;

use crate::buffer::AlignedBuffer;
use crate::host::{HostError, HostReport};

/// What glommio's executors ask for. The kernel charges rings to it before 5.12 only.
const MEMLOCK_NEEDED_BYTES: u64 = 512 << 10;

/// Descriptors with which a process of `core_count` cores can start: 8 of its own for each core
/// (rings, eventfds), as many for the mesh, and some room for files and connections.
fn descriptors_needed(core_count: usize) -> u64 {
    256 + 64 * core_count as u64
}

/// Devices on which [`check`] found no direct I/O.
static BUFFERED_DEVICES: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

/// Whether files on `device` are to be buffered, as far as has been checked.
pub(crate) fn is_buffered(device: u64) -> bool {
    BUFFERED_DEVICES.lock().unwrap_or_else(PoisonError::into_inner).contains(&device)
}

pub(crate) fn check(core_count: usize, directories: &[&Path]) -> Result<HostReport, HostError> {
    if let Some(error) = lacking(core_count).into_iter().next() {
        return Err(error);
    }
    let mut buffered_directories = Vec::new();
    for &path in directories {
        if !has_direct_io(path)? {
            buffered_directories.push(path.to_path_buf());
        }
    }
    Ok(HostReport { cpu_count: cpu_count(), buffered_directories })
}

pub(crate) fn lacking(core_count: usize) -> Vec<HostError> {
    let checks = [check_io_uring(), check_memlock(), check_descriptors(core_count)];
    checks.into_iter().filter_map(Result::err).collect()
}

pub(crate) fn has_direct_io(directory: &Path) -> Result<bool, HostError> {
    let path = || directory.to_path_buf();
    probe(directory).map_err(|source| HostError::Directory { path: path(), source })
}

pub(crate) fn descriptor_limit() -> u64 {
    raise(libc::RLIMIT_NOFILE)
}

/// The first descriptor that no connection gets: a quarter of them is kept for files. A log that cannot
/// open its next segment goes offline; a connection that is not accepted yet waits.
pub(crate) fn connection_descriptors_end() -> RawFd {
    RawFd::try_from(descriptor_limit() / 4 * 3).unwrap_or(RawFd::MAX)
}

fn check_descriptors(core_count: usize) -> Result<(), HostError> {
    let (limit, needed) = (descriptor_limit(), descriptors_needed(core_count));
    if limit < needed {
        return Err(HostError::TooFewDescriptors { limit, needed });
    }
    Ok(())
}

/// Whether rings can be made, or why not.
pub(crate) fn check_io_uring() -> Result<(), HostError> {
    let Err(error) = IoUring::new(8) else {
        return check_kernel(&kernel_release());
    };
    Err(explain_refusal(
        error.raw_os_error().unwrap_or(0),
        &kernel_release(),
        sysctl_io_uring_disabled(),
        is_under_seccomp(),
    ))
}

/// The oldest kernel that has what the ring uses: COOP_TASKRUN and cancelling by "any".
const KERNEL_NEEDED: (u32, u32) = (5, 19);

fn check_kernel(release: &str) -> Result<(), HostError> {
    if kernel_version(release) < KERNEL_NEEDED {
        return Err(HostError::IoUringMissing { kernel: release.to_owned() });
    }
    Ok(())
}

/// `major.minor` of a release such as `6.1.0-18-amd64`; what cannot be read is 0.
fn kernel_version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Why `io_uring_setup` failed with `errno`, and what to do.
fn explain_refusal(errno: i32, kernel: &str, disabled: u8, seccomp: bool) -> HostError {
    let forbidden = |reason: &str, remedy: &str| HostError::IoUringForbidden {
        reason: reason.to_owned(),
        remedy: remedy.to_owned(),
    };
    if kernel_version(kernel) < KERNEL_NEEDED {
        return HostError::IoUringMissing { kernel: kernel.to_owned() };
    }
    match (errno, disabled) {
        (libc::EPERM, 1) => forbidden(
            "sysctl kernel.io_uring_disabled = 1",
            "run `sysctl kernel.io_uring_disabled=0`, or add this user to the group of kernel.io_uring_group",
        ),
        (libc::EPERM, 2) => forbidden(
            "sysctl kernel.io_uring_disabled = 2",
            "run `sysctl kernel.io_uring_disabled=0`",
        ),
        // A filter answers EPERM or ENOSYS; the container engines have done both.
        (libc::EPERM | libc::ENOSYS, _) if seccomp => forbidden(
            "a seccomp filter",
            "allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (docker: `--security-opt seccomp=unconfined`)",
        ),
        (libc::ENOSYS, _) => HostError::IoUringMissing { kernel: kernel.to_owned() },
        (libc::ENOMEM, _) => HostError::MemlockTooLow {
            limit_bytes: raise(libc::RLIMIT_MEMLOCK),
            needed_bytes: MEMLOCK_NEEDED_BYTES,
        },
        (libc::EMFILE | libc::ENFILE, _) => HostError::TooFewDescriptors {
            limit: raise(libc::RLIMIT_NOFILE),
            needed: descriptors_needed(1),
        },
        _ => forbidden(
            &io::Error::from_raw_os_error(errno).to_string(),
            "see the kernel's log (`dmesg`) and the security modules that are active",
        ),
    }
}

pub(crate) fn kernel_release() -> String {
    read_line("/proc/sys/kernel/osrelease").unwrap_or_default()
}

fn sysctl_io_uring_disabled() -> u8 {
    let value = read_line("/proc/sys/kernel/io_uring_disabled");
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn is_under_seccomp() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.strip_prefix("Seccomp:").is_some_and(|mode| mode.trim() != "0"))
}

fn read_line(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

pub(crate) fn check_memlock() -> Result<(), HostError> {
    let limit_bytes = raise(libc::RLIMIT_MEMLOCK);
    if limit_bytes < MEMLOCK_NEEDED_BYTES {
        return Err(HostError::MemlockTooLow { limit_bytes, needed_bytes: MEMLOCK_NEEDED_BYTES });
    }
    Ok(())
}

/// Raises the soft limit of `resource` to the hard one; returns what then holds.
fn raise(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is an rlimit that the call may write.
    if unsafe { libc::getrlimit(resource, &mut limit) } != 0 {
        return 0;
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, ..limit };
        // SAFETY: `raised` is an rlimit that the call only reads.
        if unsafe { libc::setrlimit(resource, &raised) } == 0 {
            return raised.rlim_cur;
        }
    }
    limit.rlim_cur
}

/// Writes and removes a file in `directory`. Returns whether direct I/O works there, and remembers the
/// device where it does not.
fn probe(directory: &Path) -> io::Result<bool> {
    let path: PathBuf = directory.join(".millrace-probe");
    let written = probe_write(&path, libc::O_DIRECT);
    let direct = match &written {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            probe_write(&path, 0)?;
            let device = fs::metadata(directory)?.dev();
            BUFFERED_DEVICES.lock().unwrap_or_else(PoisonError::into_inner).insert(device);
            Ok(false)
        }
        Err(_) => written.map(|()| true),
        Ok(()) => Ok(true),
    };
    let removed = fs::remove_file(&path);
    let direct = direct?;
    removed.map(|()| direct)
}

fn probe_write(path: &Path, flags: i32) -> io::Result<()> {
    let block = AlignedBuffer::zeroed(crate::buffer::ALIGNMENT);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(flags | libc::O_CLOEXEC)
        .open(path)?;
    file.write_all(&block)
}

/// The CPUs that this process may run on.
pub(crate) fn affinity() -> Vec<usize> {
    // SAFETY: a cpu_set_t is an array of integers, and the call writes at most its size; the thread
    // is the calling one.
    let (result, set) = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        (libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set), set)
    };
    if result != 0 {
        return Vec::new();
    }
    // SAFETY: every index is below CPU_SETSIZE.
    (0..libc::CPU_SETSIZE as usize).filter(|&cpu| unsafe { libc::CPU_ISSET(cpu, &set) }).collect()
}

/// Keeps the calling thread on `cpus`, some of [`affinity`].
pub(crate) fn pin_to(cpus: &[usize]) -> io::Result<()> {
    for &cpu in cpus {
        assert!(cpu < libc::CPU_SETSIZE as usize, "CPU {cpu} is beyond a CPU set");
    }
    // SAFETY: as in `affinity`; the set is only read.
    let result = unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        for &cpu in cpus {
            libc::CPU_SET(cpu, &mut set);
        }
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What a thread's share of a CPU is beside one of a core, by its nice value: about a tenth.
const LOW_PRIORITY: libc::c_int = 10;

/// Gives the calling thread little of a CPU that others want. Where the kernel refuses, it works all the
/// same.
pub(crate) fn lower_priority() {
    // SAFETY: it takes numbers alone; 0 is the calling thread, as Linux has it.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, LOW_PRIORITY) };
}

pub(crate) fn cpu_count() -> usize {
    let allowed = affinity().len().max(1);
    cpu_quota().map_or(allowed, |quota| allowed.min(quota)).max(1)
}

/// What a host is taken to have that does not tell.
const MEMORY_SIZE_BYTES_ASSUMED: u64 = 1 << 30;

/// CPUs that the quotas of this process's control group and its parents leave it, rounded up.
fn cpu_quota() -> Option<usize> {
    control_group_values("cpu.max").iter().filter_map(|line| parse_quota(line)).min()
}

/// The line of `file` in this process's control group and in each of its parents that has one.
fn control_group_values(file: &str) -> Vec<String> {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else {
        return Vec::new();
    };
    let group = Path::new("/sys/fs/cgroup").join(own);
    group
        .ancestors()
        .take_while(|group| group.starts_with("/sys/fs/cgroup"))
        .filter_map(|group| read_line(group.join(file)))
        .collect()
}

/// Bytes of memory that this process may use: the host's, or what its control groups leave it.
pub(crate) fn memory_size_bytes() -> u64 {
    let lines = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = lines.lines().find_map(parse_memory_total).unwrap_or(MEMORY_SIZE_BYTES_ASSUMED);
    let limits = control_group_values("memory.max");
    limits.iter().filter_map(|limit| limit.parse().ok()).fold(total, u64::min)
}

/// Bytes of a `MemTotal:` line of `/proc/meminfo`, which says them in KiB.
fn parse_memory_total(line: &str) -> Option<u64> {
    let kib: u64 =
        line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

/// CPUs of a `cpu.max` line: `quota period` in microseconds; `None` where it says `max`.
fn parse_quota(line: &str) -> Option<usize> {
    let (quota, period) = line.split_once(' ')?;
    let (quota, period): (usize, usize) = (quota.parse().ok()?, period.trim().parse().ok()?);
    (period > 0).then(|| quota.div_ceil(period).max(1))
}

pub(crate) fn random_fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: `rest` is writable for its length.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(count) {
            Ok(count) => filled += count,
            Err(_) => {
                let error = io::Error::last_os_error();
                assert!(error.kind() == io::ErrorKind::Interrupted, "no randomness: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_of_io_uring_names_its_remedy() {
        const NEW: &str = "6.1.0-18-amd64";
        for (errno, kernel, disabled, seccomp, want) in [
            (
                libc::EPERM,
                NEW,
                2,
                false,
                "io_uring is forbidden (sysctl kernel.io_uring_disabled = 2): run `sysctl kernel.io_uring_disabled=0`",
            ),
            (
                libc::EPERM,
                NEW,
                1,
                false,
                "io_uring is forbidden (sysctl kernel.io_uring_disabled = 1): run `sysctl kernel.io_uring_disabled=0`, or add this user to the group of kernel.io_uring_group",
            ),
            // The sysctl is named before the filter: it refuses whatever the filter lets through.
            (
                libc::EPERM,
                NEW,
                2,
                true,
                "io_uring is forbidden (sysctl kernel.io_uring_disabled = 2): run `sysctl kernel.io_uring_disabled=0`",
            ),
            (
                libc::EPERM,
                NEW,
                0,
                true,
                "io_uring is forbidden (a seccomp filter): allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (docker: `--security-opt seccomp=unconfined`)",
            ),
            (
                libc::ENOSYS,
                NEW,
                0,
                true,
                "io_uring is forbidden (a seccomp filter): allow io_uring_setup, io_uring_enter and io_uring_register in the container's seccomp profile (docker: `--security-opt seccomp=unconfined`)",
            ),
            (
                libc::ENOSYS,
                NEW,
                0,
                false,
                "io_uring is missing: this kernel is 6.1.0-18-amd64, 5.19 or newer is needed",
            ),
            (
                libc::ENOSYS,
                "4.19.0",
                0,
                true,
                "io_uring is missing: this kernel is 4.19.0, 5.19 or newer is needed",
            ),
            (
                libc::EACCES,
                NEW,
                0,
                false,
                "io_uring is forbidden (Permission denied (os error 13)): see the kernel's log (`dmesg`) and the security modules that are active",
            ),
        ] {
            let text = explain_refusal(errno, kernel, disabled, seccomp).to_string();
            assert_eq!(text, want, "{errno} {kernel} {disabled} {seccomp}");
        }
    }

    #[test]
    fn a_kernel_without_what_the_ring_uses_is_refused() {
        for (release, accepted) in [
            ("5.18.19", false),
            ("5.19.0", true),
            ("5.19", true),
            ("6.18.44-fc", true),
            ("10.0.0", true),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(check_kernel(release).is_ok(), accepted, "{release:?}");
        }
    }

    #[test]
    fn a_cpu_quota_counts_whole_cpus_and_at_least_one() {
        for (line, want) in [
            ("max 100000", None),
            ("100000 100000", Some(1)),
            ("150000 100000", Some(2)),
            ("1000 100000", Some(1)),
            ("800000 100000\n", Some(8)),
            ("100000 0", None),
            ("", None),
            ("x y", None),
        ] {
            assert_eq!(parse_quota(line), want, "{line:?}");
        }
    }

    #[test]
    fn this_host_has_cpus_and_randomness() {
        assert!(!affinity().is_empty());
        assert!((1..=affinity().len()).contains(&cpu_count()));
        let (mut one, mut other) = ([0; 600], [0; 600]);
        random_fill(&mut one);
        random_fill(&mut other);
        assert!(one != other);
    }
}
