//! The one table of metrics: what is shown, and what `docs/metrics.md` says of it.

use std::fmt::Display;

use controller::quota::QuotaKind;
use protocol::error_code::ErrorCode;
use reactor::latencies::LatencyCounts;

use super::core_counts::Throttles;
use super::core_report::{CoreReport, PartitionReport, VolumeReport};
use super::exposition::{Kind, Rows};
use super::node_report::NodeReport;
use super::process_use::ProcessUse;

/// Metrics of one name.
pub struct Family {
    /// Prometheus': what it is, its unit, `_total` for what only grows.
    pub name: &'static str,
    pub kind: Kind,
    pub labels: &'static [&'static str],
    pub help: &'static str,
    pub rows: fn(&NodeReport, &mut Rows<'_>),
}

macro_rules! families {
    ($($section:literal { $($kind:ident $name:literal $labels:tt $help:literal => $rows:expr;)* })*) => {
        /// By what they are about, in the order in which they are shown.
        pub static FAMILIES: &[Family] = &[
            $($(Family {
                name: $name,
                kind: Kind::$kind,
                labels: &$labels,
                help: $help,
                rows: $rows,
            },)*)*
        ];

        /// The names of what the table's parts are about, and how many families each has.
        #[cfg(test)]
        const SECTIONS: &[(&str, usize)] = &[$(($section, [$($name),*].len()),)*];
    };
}

families! {
    "The node" {
        Gauge "millrace_build_info" ["version"]
            "1, with the version of this millrace." =>
            |node, rows| rows.value(&[&node.version], 1);
        Gauge "millrace_node_id" []
            "The node.id of this node." =>
            |node, rows| rows.value(&[], node.node_id);
        Gauge "millrace_uptime_seconds" []
            "Time since the process began to start its cores." =>
            |node, rows| rows.value(&[], node.uptime.as_secs_f64());
        Gauge "millrace_accepting_connections" []
            "1 while clients are let in: metadata are read, logs are open, the broker is part of its cluster." =>
            |node, rows| rows.value(&[], u8::from(node.answers().any(|(_, core)| core.state.is_accepting)));
        Counter "millrace_watchdog_kicks_total" []
            "Signals to cores that slept although they had work." =>
            |node, rows| rows.value(&[], node.watchdog_kicks);
        Counter "process_cpu_seconds_total" []
            "CPU time of all threads of the process." =>
            |node, rows| process(node, rows, |process| process.cpu_seconds);
        Gauge "process_resident_memory_bytes" []
            "Memory of the process that is resident." =>
            |node, rows| process(node, rows, |process| process.resident_memory_bytes as f64);
        Gauge "process_virtual_memory_bytes" []
            "Memory that the process has mapped." =>
            |node, rows| process(node, rows, |process| process.virtual_memory_bytes as f64);
        Gauge "process_open_fds" []
            "Open file descriptors." =>
            |node, rows| process(node, rows, |process| process.open_fds as f64);
        Gauge "process_max_fds" []
            "File descriptors that the process may open." =>
            |node, rows| process(node, rows, |process| process.max_fds as f64);
        Gauge "process_start_time_seconds" []
            "When the process began, in seconds since 1970." =>
            |node, rows| process(node, rows, |process| process.start_time_seconds);
    }
    "Cores" {
        Gauge "millrace_core_up" ["core"]
            "1 for a core that answered this scrape within a second; nothing else is shown of one that did not." =>
            |node, rows| {
                for (index, core) in node.cores.iter().enumerate() {
                    rows.value(&[&index], u8::from(core.is_some()));
                }
            };
        Counter "millrace_core_cpu_seconds_total" ["core"]
            "CPU time of the core's thread: its rate is the part of a CPU that the core uses, and at 1 it is busy all the time." =>
            |node, rows| cores(node, rows, |core| core.cpu.as_secs_f64());
        Counter "millrace_mesh_messages_total" ["core"]
            "Messages that the core had from others." =>
            |node, rows| cores(node, rows, |core| core.messages);
        Gauge "millrace_mesh_waiting_requests" ["core"]
            "Requests of the core that wait for a place on their way to another one." =>
            |node, rows| cores(node, rows, |core| core.waiting_messages);
        Gauge "millrace_memory_used_bytes" ["core", "use"]
            "Memory in use, by what millrace.memory.bytes is divided into: frames (requests as they are read), chunks (what was appended, and the cache), answers (until they are sent), parked (requests that wait), compaction (keys, and what is rewritten), groups (members and committed offsets, coarsely)." =>
            |node, rows| {
                for (index, core) in node.answers() {
                    let used = core.memory;
                    for (name, bytes) in memory_uses(used.frames, used.chunks, used.answers, used.parked, used.compaction, used.groups) {
                        rows.value(&[&index, &name], bytes);
                    }
                }
            };
        Gauge "millrace_memory_limit_bytes" ["core", "use"]
            "The most that each use may take on the core." =>
            |node, rows| {
                let limit = node.memory;
                for (index, _) in node.answers() {
                    for (name, bytes) in memory_uses(limit.frames, limit.chunks, limit.answers, limit.parked, limit.compaction, limit.groups) {
                        rows.value(&[&index, &name], bytes);
                    }
                }
            };
        Counter "millrace_reads_total" ["core", "from"]
            "Reads of records for fetches, by whether memory had them or a disk was asked." =>
            |node, rows| reads(node, rows, |core| (core.memory_reads, core.disk_reads));
        Counter "millrace_read_bytes_total" ["core", "from"]
            "Bytes of these reads." =>
            |node, rows| reads(node, rows, |core| (core.memory_read_bytes, core.disk_read_bytes));
    }
    "Connections and requests" {
        Gauge "millrace_open_connections" ["core"]
            "Open connections." =>
            |node, rows| cores(node, rows, |core| core.connection_count);
        Counter "millrace_accepted_connections_total" ["core"]
            "Connections that were accepted." =>
            |node, rows| cores(node, rows, |core| core.connections);
        Counter "millrace_refused_connections_total" []
            "Connections that were not let in: their address has as many as it may have, or connects faster than its quota." =>
            |node, rows| rows.value(&[], sum(node, |core| core.refused_connections));
        Counter "millrace_received_bytes_total" ["core"]
            "Bytes of whole requests." =>
            |node, rows| cores(node, rows, |core| core.received_bytes);
        Counter "millrace_sent_bytes_total" ["core"]
            "Bytes of answers that were sent." =>
            |node, rows| cores(node, rows, |core| core.sent_bytes);
        Counter "millrace_requests_total" ["api"]
            "Requests that were read, by API; of an API only once it was asked for." =>
            |node, rows| {
                for (api_key, counts) in node.requests() {
                    rows.value(&[&api_key.name()], counts.requests);
                }
            };
        Counter "millrace_request_errors_total" ["api", "error"]
            "Error codes in answers; an answer may have several, one for each partition or resource." =>
            |node, rows| {
                for (api_key, counts) in node.requests() {
                    for (code, count) in &counts.errors {
                        let name = ErrorCode::try_from(*code).map_or("UNKNOWN", ErrorCode::name);
                        rows.value(&[&api_key.name(), &name], count);
                    }
                }
            };
        Counter "millrace_refused_requests_total" []
            "Requests that closed their connection instead of being answered: not understood, or of a version or an API that is not served." =>
            |node, rows| rows.value(&[], sum(node, |core| core.refused_requests));
        Histogram "millrace_request_duration_seconds" ["api"]
            "Time from when a request was read until its answer was sent; of a Fetch with the time that it waited for records, of a Produce with its flush." =>
            |node, rows| {
                for (api_key, counts) in node.requests() {
                    rows.latencies(&[&api_key.name()], &counts.latencies);
                }
            };
    }
    "Quotas" {
        Counter "millrace_throttled_requests_total" ["quota"]
            "Requests whose clients were told to wait, and whose connections were not read meanwhile, by the quota that they were beyond." =>
            |node, rows| throttles(node, rows, |throttles| throttles.count as f64);
        Counter "millrace_throttle_seconds_total" ["quota"]
            "Time that they were told to wait." =>
            |node, rows| throttles(node, rows, |throttles| throttles.pauses.as_secs_f64());
    }
    "Disks" {
        Gauge "millrace_log_directory_up" ["directory"]
            "0 for a log directory that has failed: what lies there is offline." =>
            |node, rows| {
                for (index, path) in node.log_dirs.iter().enumerate() {
                    let is_up = node.directory_failure(index).is_none();
                    rows.value(&[&path.display()], u8::from(is_up));
                }
            };
        Gauge "millrace_log_directory_size_bytes" ["directory"]
            "The size of the file system that the directory lies on." =>
            |node, rows| volumes(node, rows, |volume| volume.space.map(|space| space.total_bytes));
        Gauge "millrace_log_directory_free_bytes" ["directory"]
            "What is free of it to all users." =>
            |node, rows| volumes(node, rows, |volume| volume.space.map(|space| space.free_bytes));
        Gauge "millrace_unwritten_bytes" ["directory"]
            "Bytes that were appended and are in no segment yet; the journal has those that were acknowledged." =>
            |node, rows| volumes(node, rows, |volume| Some(volume.unwritten_bytes));
        Gauge "millrace_journal_size_bytes" ["directory"]
            "Bytes of the journals, which a start after a crash would read." =>
            |node, rows| volumes(node, rows, |volume| Some(volume.journal.size_bytes));
        Counter "millrace_journal_groups_total" ["directory"]
            "Groups of appends that were written to the journals." =>
            |node, rows| volumes(node, rows, |volume| Some(volume.journal.group_count));
        Counter "millrace_journal_written_bytes_total" ["directory"]
            "Bytes of these groups, padding included." =>
            |node, rows| volumes(node, rows, |volume| Some(volume.journal.written_bytes));
        Histogram "millrace_journal_commit_duration_seconds" ["directory"]
            "Time to write a group, and to flush it where somebody waited for that." =>
            |node, rows| {
                for (index, path) in node.log_dirs.iter().enumerate() {
                    let mut all = LatencyCounts::default();
                    for volume in node.answers().filter_map(|(_, core)| core.volumes.get(index)) {
                        all.add(&volume.journal.commits);
                    }
                    rows.latencies(&[&path.display()], &all);
                }
            };
    }
    "The cluster, as this node's metadata have it" {
        Gauge "millrace_metadata_offset" ["core"]
            "The offset of the metadata log below which all is known to the core." =>
            |node, rows| cores(node, rows, |core| core.state.view.version());
        Gauge "millrace_cluster_brokers" ["state"]
            "Registered brokers: active, or fenced or about to stop." =>
            |node, rows| {
                let Some(view) = node.view() else { return };
                let brokers = view.image.brokers().values();
                let active = brokers.clone().filter(|broker| broker.is_active()).count();
                rows.value(&[&"active"], active);
                rows.value(&[&"inactive"], brokers.count() - active);
            };
        Gauge "millrace_cluster_topics" []
            "Topics." =>
            |node, rows| {
                let Some(view) = node.view() else { return };
                rows.value(&[], view.image.topics().len());
            };
        Gauge "millrace_cluster_partitions" []
            "Partitions of all topics." =>
            |node, rows| partitions_that(node, rows, |_| true);
        Gauge "millrace_cluster_offline_partitions" []
            "Partitions without a leader." =>
            |node, rows| partitions_that(node, rows, |partition| partition.leader.is_none());
        Gauge "millrace_cluster_under_replicated_partitions" []
            "Partitions of which a replica is not in sync." =>
            |node, rows| partitions_that(node, rows, |partition| partition.isr.len() < partition.replicas.len());
    }
    "Partitions that this node leads" {
        Counter "millrace_partition_appended_records_total" ["topic", "partition"]
            "Records that producers have appended." =>
            |node, rows| partitions(node, rows, |partition| partition.appended_records);
        Counter "millrace_partition_appended_bytes_total" ["topic", "partition"]
            "Bytes of the batches that producers have appended, as they were sent." =>
            |node, rows| partitions(node, rows, |partition| partition.appended_bytes);
        Counter "millrace_partition_fetched_bytes_total" ["topic", "partition"]
            "Bytes that were read for fetches; a little more than was sent where a fetch asks several cores." =>
            |node, rows| partitions(node, rows, |partition| partition.fetched_bytes);
        Gauge "millrace_partition_log_start_offset" ["topic", "partition"]
            "The first offset that can be read." =>
            |node, rows| partitions(node, rows, |partition| partition.log_start_offset);
        Gauge "millrace_partition_last_stable_offset" ["topic", "partition"]
            "Where readers of committed transactions are stopped." =>
            |node, rows| partitions(node, rows, |partition| partition.last_stable_offset);
        Gauge "millrace_partition_high_watermark" ["topic", "partition"]
            "Where all readers are stopped: all below it is acknowledged." =>
            |node, rows| partitions(node, rows, |partition| partition.high_watermark);
        Gauge "millrace_partition_log_end_offset" ["topic", "partition"]
            "The offset that the next record will get." =>
            |node, rows| partitions(node, rows, |partition| partition.log_end_offset);
        Gauge "millrace_partition_size_bytes" ["topic", "partition"]
            "Bytes of all segments." =>
            |node, rows| partitions(node, rows, |partition| partition.size_bytes);
        Gauge "millrace_partition_leader_epoch" ["topic", "partition"]
            "The leader epoch." =>
            |node, rows| partitions(node, rows, |partition| partition.leader_epoch);
    }
}

fn process(node: &NodeReport, rows: &mut Rows<'_>, value: fn(&ProcessUse) -> f64) {
    if let Some(process) = &node.process {
        rows.value(&[], value(process));
    }
}

fn cores<T: Display>(node: &NodeReport, rows: &mut Rows<'_>, value: fn(&CoreReport) -> T) {
    for (index, core) in node.answers() {
        rows.value(&[&index], value(core));
    }
}

fn sum(node: &NodeReport, value: fn(&CoreReport) -> u64) -> u64 {
    node.answers().map(|(_, core)| value(core)).sum()
}

/// For each kind of quota the sum of what cores have counted.
fn throttles(node: &NodeReport, rows: &mut Rows<'_>, value: fn(&Throttles) -> f64) {
    for kind in QuotaKind::ALL {
        let of_cores = node.answers().filter_map(|(_, core)| core.throttles.get(&kind));
        rows.value(&[&kind.key()], of_cores.map(value).sum::<f64>());
    }
}

fn memory_uses(
    frames: usize,
    chunks: usize,
    answers: usize,
    parked: usize,
    compaction: usize,
    groups: usize,
) -> [(&'static str, usize); 6] {
    [
        ("frames", frames),
        ("chunks", chunks),
        ("answers", answers),
        ("parked", parked),
        ("compaction", compaction),
        ("groups", groups),
    ]
}

/// `value`: from memory, from a disk.
fn reads(node: &NodeReport, rows: &mut Rows<'_>, value: fn(&CoreReport) -> (u64, u64)) {
    for (index, core) in node.answers() {
        let (memory, disk) = value(core);
        rows.value(&[&index, &"memory"], memory);
        rows.value(&[&index, &"disk"], disk);
    }
}

/// For each directory the sum of what cores know of it; nothing where none does.
fn volumes(node: &NodeReport, rows: &mut Rows<'_>, value: fn(&VolumeReport) -> Option<u64>) {
    for (index, path) in node.log_dirs.iter().enumerate() {
        let parts = node.answers().filter_map(|(_, core)| value(core.volumes.get(index)?));
        if let Some(sum) = parts.reduce(|sum, part| sum + part) {
            rows.value(&[&path.display()], sum);
        }
    }
}

fn partitions_that(
    node: &NodeReport,
    rows: &mut Rows<'_>,
    counts: fn(&controller::metadata::Partition) -> bool,
) {
    let Some(view) = node.view() else { return };
    let partitions = view.image.topics().iter().flat_map(|topic| topic.partitions.values());
    rows.value(&[], partitions.filter(|partition| counts(partition)).count());
}

fn partitions<T: Display>(
    node: &NodeReport,
    rows: &mut Rows<'_>,
    value: fn(&PartitionReport) -> T,
) {
    for (topic, partition) in node.partitions() {
        let (_, index) = partition.key;
        rows.value(&[&topic, &index], value(partition));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_say_units_and_kinds() {
        let mut names = BTreeSet::new();
        for Family { name, kind, labels, help, .. } in FAMILIES {
            assert!(names.insert(name), "{name} is there twice");
            let words = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            assert!(words(name) && labels.iter().all(|label| words(label)), "{name} {labels:?}");
            assert!(name.starts_with("millrace_") || name.starts_with("process_"), "{name}");
            assert_eq!(name.ends_with("_total"), *kind == Kind::Counter, "{name}");
            assert!(*kind != Kind::Histogram || name.ends_with("_seconds"), "{name}");
            // Parsers take the ending off: what is left must not be another one's name.
            let bare = name.strip_suffix("_total").unwrap_or(name);
            assert_eq!(
                FAMILIES.iter().filter(|it| it.name == bare).count(),
                usize::from(bare == *name)
            );
            assert!(help.ends_with('.') && !help.contains('\n'), "{name}: {help}");
        }
    }

    /// `docs/metrics.md`, as the table has it.
    fn page() -> String {
        let mut page = String::from(HEAD);
        let mut families = FAMILIES.iter();
        for (section, count) in SECTIONS {
            page.push_str(&format!(
                "\n## {section}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"
            ));
            for Family { name, kind, labels, help, .. } in families.by_ref().take(*count) {
                let (kind, labels) = (kind.word(), labels.join(", "));
                page.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
            }
        }
        assert!(families.next().is_none(), "a family outside of all sections");
        page
    }

    const HEAD: &str = "# Metrics\n\nGenerated from the table in `broker/src/metrics/families.rs`: \
`UPDATE_EXPECT=1 cargo test -p broker`.\n\n\
With `millrace.admin.listener=127.0.0.1:9644` a node serves three pages over HTTP, on a thread beside its \
cores:\n\n\
- `/metrics`: what is below, in Prometheus' text format 0.0.4.\n\
- `/healthz`: 200 while every core answers within a second; else 503, and which do not.\n\
- `/readyz`: 200 while clients are let in; 503 while the node starts or stops. Log directories that have \
failed are named in either case.\n\n\
There is no password: whoever can reach the address can read, and change nothing. Cores are asked when \
somebody asks, at most for a tenth of their time, and count in plain cells otherwise. Counters begin at 0 \
when the process does. There are nine rows for each partition that the node leads: with very many of them, \
scrape less often, or drop `millrace_partition_.*` where you scrape.\n";

    #[test]
    fn the_page_of_metrics_is_as_the_table() {
        crate::tests::assert_page("metrics.md", &page());
    }
}
