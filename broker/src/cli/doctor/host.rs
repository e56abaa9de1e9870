//! The host: kernel, io_uring, limits, CPUs, clock.

use reactor::host::{self, HostError};

use super::finding::Findings;

/// A segment takes three files, a connection one: with fewer descriptors a busy broker comes to their end.
const DESCRIPTORS_AMPLE: u64 = 65_536;

/// Clock sources that answer by a slow device or a system call, while each request asks for the time.
const SLOW_CLOCKS: [&str; 3] = ["acpi_pm", "hpet", "jiffies"];

/// Checks the host for a broker of `cores`, of one for each CPU where that is not said.
pub fn check(cores: Option<usize>) -> Findings {
    let mut findings = Findings::default();
    let cpus = host::cpu_count();
    let core_count = cores.unwrap_or(cpus);
    let lacking = host::lacking(core_count);
    let has_io_uring = !lacking.iter().any(|error| {
        matches!(error, HostError::IoUringForbidden { .. } | HostError::IoUringMissing { .. })
    });
    if has_io_uring {
        findings.fine(format!("Linux {} with io_uring", host::kernel_release()));
    }
    for error in lacking {
        findings.broken(error.to_string(), remedy(&error));
    }
    let memory_mib = host::memory_size_bytes() >> 20;
    match core_count > cpus {
        false => {
            findings.fine(format!("{cpus} CPUs for {core_count} cores, {memory_mib} MiB of memory"))
        }
        true => findings.warning(
            format!(
                "millrace.cores={core_count}, and there are {cpus} CPUs: cores wait for each other"
            ),
            format!("set millrace.cores={cpus}, or leave it out"),
        ),
    }
    let descriptors = host::descriptor_limit();
    match descriptors < DESCRIPTORS_AMPLE {
        false => findings.fine(format!("{descriptors} file descriptors")),
        true => findings.warning(
            format!("{descriptors} file descriptors: few for many partitions and connections"),
            format!("raise the limit with `ulimit -n {DESCRIPTORS_AMPLE}` or LimitNOFILE={DESCRIPTORS_AMPLE}"),
        ),
    }
    check_clock(&mut findings);
    findings
}

/// What `check` refuses names its remedy in its own text, but where only another kernel helps.
fn remedy(error: &HostError) -> &'static str {
    match error {
        HostError::IoUringForbidden { .. }
        | HostError::MemlockTooLow { .. }
        | HostError::TooFewDescriptors { .. } => "as it says; then run this again",
        HostError::IoUringMissing { .. } => {
            "boot a newer kernel; Debian 12 and Ubuntu 24.04 have one"
        }
        HostError::Directory { .. } => "see that this user may write there",
    }
}

fn check_clock(findings: &mut Findings) {
    const PATH: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
    let Ok(source) = std::fs::read_to_string(PATH) else { return };
    let source = source.trim();
    match SLOW_CLOCKS.contains(&source) {
        false => findings.fine(format!("clock source {source}")),
        true => findings.warning(
            format!("the clock source is {source}, which is slow to read"),
            "see in `dmesg` why the kernel does not trust tsc (on a virtual machine: the host's clock)",
        ),
    }
}
