//! The log directories: what they lie on, how fast they flush, how much room they have, and whose they
//! are.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::HumanBytes;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::directory::Space;
use reactor::file::{File, Open};
use reactor::host;
use storage::MetaProperties;

use super::super::storage::on_core::run_on_core;
use super::file_system::FileSystem;
use super::finding::Findings;
use crate::config::BrokerConfig;
use crate::format::META_PROPERTIES;

/// Flushes that are measured; fewer where they take longer than [`MEASURE_FOR`].
const FLUSH_COUNT: usize = 100;
const MEASURE_FOR: Duration = Duration::from_secs(1);

/// A journal on a solid disk flushes within one or two milliseconds; each acknowledgement waits for one.
const FLUSH_US_SLOW: u64 = 10_000;

/// A core fills a journal file of this order before it gives room back.
const FREE_BYTES_LOW: u64 = 1 << 30;
const FREE_PERCENT_LOW: u64 = 5;

/// Checks each of `directories`, all of which `config` names.
pub fn check(config: &BrokerConfig, directories: &[PathBuf]) -> Findings {
    let mut findings = Findings::default();
    let mut clusters = BTreeSet::new();
    for directory in directories {
        check_one(config, directory, &mut clusters, &mut findings);
    }
    if clusters.len() > 1 {
        findings.broken(
            format!("the directories belong to several clusters: {}", listed(&clusters)),
            "name those of one cluster in log.dirs",
        );
    }
    findings
}

fn check_one(
    config: &BrokerConfig,
    directory: &Path,
    clusters: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    let name = directory.display();
    let canonical = match std::fs::canonicalize(directory) {
        Ok(canonical) => canonical,
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::NotFound => "run `millrace storage format`, which makes it",
                _ => "see that this user may read it",
            };
            return findings.broken(format!("{name}: {error}"), remedy);
        }
    };
    check_format(config, directory, clusters, findings);
    #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let file_system = FileSystem::of(&canonical, &mounts);
    match host::has_direct_io(directory) {
        Err(error) => {
            return findings.broken(error.to_string(), "see that this user may write there");
        }
        Ok(true) => {}
        Ok(false) => findings.warning(
            format!(
                "{name}: its file system has no direct I/O: what is read and written is kept twice"
            ),
            "put log.dirs on ext4 or xfs",
        ),
    }
    if let Some(file_system) = file_system {
        match file_system.objection() {
            None => {
                findings.fine(format!("{name}: {} on {}", file_system.kind, file_system.source))
            }
            Some((what, remedy)) => findings.warning(format!("{name}: {what}"), remedy),
        }
    }
    let path = directory.to_owned();
    match run_on_core(&[directory], move || async move { measure(&path).await }) {
        Err(error) => findings.broken(format!("{name}: {error:#}"), "mend what `host` shows first"),
        Ok(Err(error)) => findings.broken(
            format!("{name}: cannot measure its flushes: {error}"),
            "see the kernel's log (`dmesg`)",
        ),
        Ok(Ok((space, flush_us))) => {
            show_space(directory, space, findings);
            show_flushes(directory, flush_us, findings);
        }
    }
}

/// Whether it is formatted, for this node, and for which cluster.
fn check_format(
    config: &BrokerConfig,
    directory: &Path,
    clusters: &mut BTreeSet<String>,
    findings: &mut Findings,
) {
    let path = directory.join(META_PROPERTIES);
    let name = directory.display();
    #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return findings
                .broken(format!("{name} is not formatted"), "run `millrace storage format`");
        }
        Err(error) => {
            return findings
                .broken(format!("{}: {error}", path.display()), "see that this user may read it");
        }
    };
    match MetaProperties::decode(&text) {
        Err(reason) => findings.broken(
            format!("{} is not valid: {reason}", path.display()),
            "copy it from another log directory of this node, without its directory.id",
        ),
        Ok(meta) if meta.node_id != config.node_id => findings.broken(
            format!("{name} belongs to node {}, this is node {}", meta.node_id, config.node_id),
            "correct node.id or log.dirs",
        ),
        Ok(meta) => {
            clusters.insert(meta.cluster_id);
        }
    }
}

/// Room, and what single writes of one block take to be durable, in microseconds, in order of size. The
/// file has no name while it is written to: nothing is left of it, however this ends.
async fn measure(directory: &Path) -> io::Result<(Space, Vec<u64>)> {
    let space = reactor::directory::space(directory).await?;
    let path = directory.join(".millrace-doctor");
    let file = File::open(&path, Open::OrCreate).await?;
    reactor::directory::remove_file(&path).await?;
    // As in a journal, whose files are written anew and do not grow.
    let zeros = AlignedBuffer::zeroed(FLUSH_COUNT * ALIGNMENT).into_bytes();
    file.write_at(zeros.clone(), 0).await?;
    file.flush().await?;
    let started = reactor::now();
    let mut flush_us = Vec::with_capacity(FLUSH_COUNT);
    for block in 0..FLUSH_COUNT {
        let before = reactor::now();
        let position = block * ALIGNMENT;
        file.write_durably_at(zeros.slice(position..position + ALIGNMENT), position as u64).await?;
        let after = reactor::now();
        flush_us.push((after - before).as_micros() as u64);
        if after - started > MEASURE_FOR {
            break;
        }
    }
    flush_us.sort_unstable();
    Ok((space, flush_us))
}

fn show_space(directory: &Path, space: Space, findings: &mut Findings) {
    let Space { free_bytes, total_bytes } = space;
    let name = directory.display();
    let what = format!("{name}: {} of {} free", HumanBytes(free_bytes), HumanBytes(total_bytes));
    match is_low(free_bytes, total_bytes) {
        false => findings.fine(what),
        true => findings.warning(
            format!("{what}; a full disk refuses records"),
            "make room, or keep less: log.retention.bytes, log.retention.ms",
        ),
    }
}

/// Whether a disk will soon be full.
pub fn is_low(free_bytes: u64, total_bytes: u64) -> bool {
    free_bytes < FREE_BYTES_LOW || free_bytes < total_bytes / 100 * FREE_PERCENT_LOW
}

fn show_flushes(directory: &Path, flush_us: Vec<u64>, findings: &mut Findings) {
    let [.., longest] = flush_us[..] else { return };
    let median = flush_us[flush_us.len() / 2];
    let ms = |us: u64| us as f64 / 1000.0;
    let name = directory.display();
    let what = format!(
        "{name}: a write is durable after {:.2} ms (median of {}, longest {:.2} ms)",
        ms(median),
        flush_us.len(),
        ms(longest)
    );
    match median > FLUSH_US_SLOW {
        false => findings.fine(what),
        true => findings.warning(
            format!("{what}; each acknowledgement waits for one"),
            "use a solid disk, or one whose cache is safe from power loss; see what else writes to it",
        ),
    }
}

fn listed(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_below_a_gibibyte_or_a_twentieth() {
        const GIB: u64 = 1 << 30;
        for (free, total, want) in [
            (0, 0, true),
            (GIB - 1, GIB, true),
            (GIB, GIB, false),
            (10 * GIB, 1000 * GIB, true),
            (50 * GIB, 1000 * GIB, false),
        ] {
            assert_eq!(is_low(free, total), want, "{free} of {total}");
        }
    }
}
