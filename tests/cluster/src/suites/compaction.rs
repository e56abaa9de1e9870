//! Compaction: Apache Kafka and millrace compact the same files, and the same is left.

use crate::folder;
use anyhow::{Context, Result, ensure};
use clients::{
    Broker, Kind, Layout, Quorum, Report, Setting, Site, Tools, dump_compacted, segments,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

const TOPICS: &[&str] = &[
    "compacted-none",
    "compacted-gzip",
    "compacted-snappy",
    "compacted-lz4",
    "compacted-zstd",
    TRANSACTIONAL,
];

const TRANSACTIONAL: &str = "transactional";

const LINES: [&str; 4] = [
    "log.cleaner.backoff.ms=100",
    "log.segment.delete.delay.ms=100",
    "transaction.state.log.replication.factor=1",
    "transaction.state.log.min.isr=1",
];

const DEADLINE: Duration = Duration::from_secs(120);
/// Longer than the topics' `delete.retention.ms`.
const TOMBSTONES_TIME: Duration = Duration::from_millis(700);

pub fn run(report: &mut Report) {
    let name = "compaction: Apache Kafka and millrace leave the same of the same files";
    report.case(name, &[Tools::KAFKA], |tools| {
        let setting = Setting { kind: Kind::Kafka, cores: 2, quorum: Quorum::Static };
        let lines = LINES.map(str::to_owned).to_vec();
        let site = Site::format_as(tools, setting, Layout { lines, ..Layout::default() })?;
        compare(tools, &site)
    });
}

fn compare(tools: &Tools, site: &Site) -> Result<()> {
    let broker = site.start_of(Kind::Kafka, tools)?;
    topics(tools, &broker, "fill")?;
    broker.stop()?;
    let (data, kept) = (site.data(), site.data().with_extension("kept"));
    copy(&data, &kept)?;
    let theirs = compact_by(tools, site, Kind::Kafka).context("Apache Kafka's turn")?;
    fs::remove_dir_all(&data)?;
    copy(&kept, &data)?;
    let ours = compact_by(tools, site, Kind::Millrace).context("millrace's turn")?;
    for (round, (theirs, ours)) in theirs.iter().zip(&ours).enumerate() {
        check_same(theirs, ours).with_context(|| format!("after round {}", round + 1))?;
    }
    // The other one takes over, and shows the same.
    let broker = site.start_of(Kind::Kafka, tools)?;
    let seen = topics(tools, &broker, "see")?;
    broker.stop()?;
    let last = ours.last().context("a round")?;
    check_seen(&seen, &last.seen).context("what Apache Kafka reads in what millrace has left")
}

/// What is left after a round.
struct Left {
    /// Lines of kafka-dump-log by topic, batches and records, without what differs for good reason.
    batches: BTreeMap<&'static str, Vec<String>>,
    /// What a client is given.
    seen: String,
}

/// Two rounds by a broker of `kind`: the second meets tombstones and markers whose time is over.
fn compact_by(tools: &Tools, site: &Site, kind: Kind) -> Result<Vec<Left>> {
    let mut left = Vec::new();
    for round in 0..2 {
        let mut broker = site.start_of(kind, tools)?;
        if round > 0 {
            topics(tools, &broker, "more")?;
            sleep(TOMBSTONES_TIME);
        }
        let rolled = rolled(&site.data())?;
        ensure!(rolled.len() >= 2 * TOPICS.len(), "{} segments to compact", rolled.len());
        topics(tools, &broker, "compact")?;
        wait_replaced(&site.data(), &rolled, &mut broker)?;
        let seen = topics(tools, &broker, "see")?;
        topics(tools, &broker, "stop")?;
        broker.stop()?;
        for suffix in [".index", ".timeindex", ".txnindex", ".snapshot"] {
            let mut files = Vec::new();
            for topic in TOPICS {
                files.extend(segments::files(&site.data(), topic, suffix)?);
            }
            // Of aborted transactions nothing may be left to know.
            if suffix != ".txnindex" || !files.is_empty() {
                dump_compacted(tools, &[], &files).with_context(|| format!("files {suffix}"))?;
            }
        }
        let of_topic = |&topic: &&'static str| Ok((topic, batches(tools, &site.data(), topic)?));
        left.push(Left { batches: TOPICS.iter().map(of_topic).collect::<Result<_>>()?, seen });
    }
    Ok(left)
}

fn check_same(theirs: &Left, ours: &Left) -> Result<()> {
    for (topic, theirs) in &theirs.batches {
        let ours = &ours.batches[topic];
        let with_records = |lines: &[String]| -> Vec<String> {
            lines.iter().filter(|line| !is_empty_batch(line)).cloned().collect()
        };
        let (with_theirs, with_ours) = (with_records(theirs), with_records(ours));
        let differ = with_theirs.iter().zip(&with_ours).find(|(theirs, ours)| theirs != ours);
        ensure!(
            with_theirs == with_ours,
            "{topic}: {} lines of Apache Kafka's and {} of ours; the first that differ: {differ:#?}",
            with_theirs.len(),
            with_ours.len(),
        );
        // Ours leaves one more at the end of a segment.
        let empty = |lines: &[String]| -> BTreeSet<String> {
            lines.iter().filter(|line| is_empty_batch(line)).cloned().collect()
        };
        let (empty_theirs, empty_ours) = (empty(theirs), empty(ours));
        let missing: Vec<_> = empty_theirs.difference(&empty_ours).collect();
        ensure!(missing.is_empty(), "{topic}: of a producer nothing is left: {missing:#?}");
        println!(
            "{topic}: {} batches and records, {} empty batches of Apache Kafka's, {} of ours",
            with_ours.len(),
            empty_theirs.len(),
            empty_ours.len()
        );
    }
    check_seen(&theirs.seen, &ours.seen).context("what clients are given")
}

/// What is read is the same; and what a time leads to, unless Apache Kafka finds nothing there: of a
/// segment that compaction has left empty it takes the time of the file for that of its records, and
/// looks into no other.
fn check_seen(theirs: &str, ours: &str) -> Result<()> {
    ensure!(theirs.lines().count() == ours.lines().count(), "so many lines");
    for (theirs, ours) in theirs.lines().zip(ours.lines()) {
        let is_quirk = theirs.ends_with(" nothing") && theirs.contains(" from ");
        ensure!(theirs == ours || is_quirk, "{theirs:?} of Apache Kafka's, {ours:?} of ours");
    }
    // Whatever Apache Kafka finds: the first record of that time, or one of an aborted transaction.
    let records: BTreeSet<(&str, i64, i64)> = ours.lines().filter_map(record).collect();
    for line in ours.lines() {
        let [topic, "from", time, found] = line.split(' ').collect::<Vec<_>>()[..] else {
            continue;
        };
        let time: i64 = time.parse()?;
        let of_time = |it: &&(&str, i64, i64)| it.0 == topic && it.2 >= time;
        let first = records.iter().find(of_time).map(|it| it.1.to_string());
        let is_first = found == first.as_deref().unwrap_or("nothing");
        ensure!(is_first || topic == TRANSACTIONAL, "{line}, and the first is at {first:?}");
    }
    Ok(())
}

/// The topic, offset and time of a record in a line of `CompactedTopics see`.
fn record(line: &str) -> Option<(&str, i64, i64)> {
    let mut words = line.split(' ');
    let (topic, offset, time) = (words.next()?, words.next()?, words.next()?);
    Some((topic, offset.parse().ok()?, time.parse().ok()?))
}

fn is_empty_batch(line: &str) -> bool {
    line.starts_with("baseOffset: ") && line.contains(" count: 0 ")
}

/// What kafka-dump-log says of a topic's segments: of each batch and record what compaction may not
/// change, and whether there is a delete horizon.
fn batches(tools: &Tools, data: &Path, topic: &str) -> Result<Vec<String>> {
    let logs = segments::files(data, topic, ".log")?;
    let text = dump_compacted(tools, &["--deep-iteration"], &logs)?;
    let lines = text
        .lines()
        .filter(|line| line.starts_with("baseOffset: ") || line.starts_with("| offset: "));
    Ok(lines.map(comparable).collect())
}

/// Without the position and the size, which depend on the compressor, and what follows from them; of the
/// horizon only that there is one; without the time of an empty batch's nothing.
fn comparable(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    let mut kept = Vec::new();
    let mut rest = words.iter();
    while let Some(&word) = rest.next() {
        match word {
            "position:" | "size:" | "crc:" | "isvalid:" => drop(rest.next()),
            "deleteHorizonMs:" => {
                rest.next();
                kept.push("has-delete-horizon");
            }
            _ => kept.push(word),
        }
    }
    kept.join(" ") + " "
}

/// Runs a command of `CompactedTopics.java` against a broker.
fn topics(tools: &Tools, broker: &Broker, command: &str) -> Result<String> {
    let mut java = tools.kafka_program(&folder().join("kafka/CompactedTopics.java"));
    java.arg(broker.bootstrap()).arg(command);
    clients::run(&mut java, "", DEADLINE)?
        .success()
        .with_context(|| format!("CompactedTopics {command}"))
}

/// The segments of the topics before the active one of each, and which file each is.
fn rolled(data: &Path) -> Result<BTreeMap<PathBuf, u64>> {
    let mut rolled = BTreeMap::new();
    for topic in TOPICS {
        let mut logs = segments::files(data, topic, ".log")?;
        logs.pop();
        for log in logs {
            let inode = fs::metadata(&log)?.ino();
            rolled.insert(log, inode);
        }
    }
    Ok(rolled)
}

/// Waits until none of the files of `rolled` is there, and no file is half-way.
fn wait_replaced(data: &Path, rolled: &BTreeMap<PathBuf, u64>, broker: &mut Broker) -> Result<()> {
    let until = Instant::now() + DEADLINE;
    loop {
        let is_same =
            |(log, inode): &(&PathBuf, &u64)| fs::metadata(log).is_ok_and(|it| it.ino() == **inode);
        let same: Vec<_> = rolled.iter().filter(is_same).map(|(log, _)| log).collect();
        let mut between = Vec::new();
        for topic in TOPICS {
            for suffix in [".cleaned", ".swap", ".deleted"] {
                between.extend(segments::files(data, topic, suffix)?);
            }
        }
        if same.is_empty() && between.is_empty() {
            return Ok(());
        }
        ensure!(
            Instant::now() < until,
            "not compacted within {DEADLINE:?}: {same:?} {between:?}: {}",
            broker.log()
        );
        sleep(Duration::from_millis(100));
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &to)?,
            false => drop(fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}
