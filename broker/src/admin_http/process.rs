//! What `/proc` tells of this process.

use std::fs;

use crate::metrics::ProcessUse;

/// Ticks of the kernel's accounting in a second, as it shows them on every platform of ours.
const TICKS_PER_SECOND: f64 = 100.0;

/// `None` where `/proc` is not there, or tells something else.
#[expect(clippy::disallowed_methods, reason = "the admin thread is no core")]
pub fn read() -> Option<ProcessUse> {
    let read = |path: &str| fs::read_to_string(path).ok();
    let open_fds = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    Files {
        stat: &read("/proc/self/stat")?,
        status: &read("/proc/self/status")?,
        limits: &read("/proc/self/limits")?,
        kernel: &read("/proc/stat")?,
    }
    .process_use(open_fds)
}

/// Source: proc(5).
struct Files<'a> {
    stat: &'a str,
    status: &'a str,
    limits: &'a str,
    kernel: &'a str,
}

impl Files<'_> {
    fn process_use(&self, open_fds: u64) -> Option<ProcessUse> {
        // `id (name) state ...`, and a name may hold anything; the fields are counted from 1.
        let fields: Vec<&str> = self.stat.rsplit_once(") ")?.1.split(' ').collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let kib = |name| value(self.status, name)?.parse::<u64>().ok();
        let booted: f64 = value(self.kernel, "btime ")?.parse().ok()?;
        Some(ProcessUse {
            cpu_seconds: (field(14)? + field(15)?) / TICKS_PER_SECOND,
            resident_memory_bytes: kib("VmRSS:")? << 10,
            virtual_memory_bytes: kib("VmSize:")? << 10,
            open_fds,
            // `unlimited` is more than any process opens.
            max_fds: value(self.limits, "Max open files")?.parse().unwrap_or(u64::MAX),
            start_time_seconds: booted + field(22)? / TICKS_PER_SECOND,
        })
    }
}

/// The first word behind `name` on the line that begins with it.
fn value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name_is() {
        let stat = "7 (mill ) race) S 1 7 7 0 -1 4194560 900 0 0 0 250 50 0 0 20 0 9 0 12300 \
                    1000 200 18446744073709551615";
        let files = Files {
            stat,
            status: "Name:\tmill ) race\nVmSize:\t    4096 kB\nVmRSS:\t     100 kB\n",
            limits: "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024    \
                     524288               files     \n",
            kernel: "cpu  1 2 3\nbtime 1700000000\n",
        };
        let want = ProcessUse {
            cpu_seconds: 3.0,
            resident_memory_bytes: 102_400,
            virtual_memory_bytes: 4 << 20,
            open_fds: 12,
            max_fds: 1024,
            start_time_seconds: 1_700_000_123.0,
        };
        assert_eq!(files.process_use(12), Some(want));
        assert_eq!(Files { stat: "7", ..files }.process_use(12), None);
    }

    #[test]
    fn this_process_is_read() {
        let process = read().expect("a host with /proc");
        assert!(process.resident_memory_bytes > 100 << 10, "{process:?}");
        assert!(process.open_fds >= 3 && process.open_fds <= process.max_fds, "{process:?}");
        assert!(process.start_time_seconds > 1.7e9, "{process:?}");
    }
}
