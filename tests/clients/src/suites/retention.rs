//! What is deleted, and what stays: kafka-delete-records, and retention by size and by time.

use super::kafka_tools::ask;
use super::round::Round;
use crate::process::{CLIENT_DEADLINE, run};
use crate::{Broker, Client, Codec, KafkaTool, Produced, Tools, dump, segments};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Lines of `server.properties` with which deletion is seen within seconds. The first is Kafka's own
/// for tests.
pub const LINES: [&str; 3] = [
    "log.initial.task.delay.ms=500",
    "log.retention.check.interval.ms=500",
    "log.segment.delete.delay.ms=500",
];

const CUT: &str = "cut-by-hand";
const COMPACTED: &str = "cut-never";
const BY_SIZE: &str = "kept-by-size";
const BY_TIME: &str = "kept-by-time";

const RECORD_COUNT: usize = 500;
/// Five segments of the least size that `segment.bytes` takes.
const VALUE_SIZE_BYTES: usize = 10_000;
const SEGMENT_SIZE_BYTES: u64 = 1 << 20;

/// How long deletion may take: several checks, and tools that start slowly.
const DEADLINE: Duration = Duration::from_secs(120);

/// Each topic's first and next offset once all that goes has gone.
pub type Bounds = BTreeMap<&'static str, (i64, i64)>;

pub fn delete(round: &mut Round, broker: &Broker) {
    let bootstrap = broker.bootstrap();
    let data = round.site.data();
    let name = round.case_name("kafka-delete-records moves the log start and nothing else");
    let cut = round.report.case(&name, &[Tools::KAFKA], |tools| delete_records(tools, &bootstrap));
    let name = round.case_name("retention by size leaves the newest segments");
    let by_size =
        round.report.case(&name, &[Tools::KAFKA], |tools| by_size(tools, &bootstrap, &data));
    let name = round.case_name("retention by time takes all that is old, and offsets go on");
    let by_time = round.report.case(&name, &[Tools::KAFKA], |tools| by_time(tools, &bootstrap));
    for (topic, bounds) in [(CUT, cut), (BY_SIZE, by_size), (BY_TIME, by_time)] {
        round.bounds.extend(bounds.map(|bounds| (topic, bounds)));
    }
}

/// Once the broker has stopped.
pub fn dump_what_is_left(round: &mut Round) {
    let data = round.site.data();
    let bounds = round.bounds.clone();
    let name = round.case_name("kafka-dump-log reads what retention has left");
    round.report.case(&name, &[Tools::KAFKA], |tools| {
        for (topic, (first, next)) in bounds {
            // The bounds are those of the first partition.
            let mut logs = segments::files(&data, topic, ".log")?;
            let first_partition = data.join(format!("{topic}-0"));
            logs.retain(|path| path.starts_with(&first_partition));
            let text = dump(tools, &["--deep-iteration"], &logs)?;
            let offsets = text.lines().filter_map(|line| line.strip_prefix("| offset: "));
            let offsets: Vec<i64> = offsets
                .map(|rest| Ok(rest.split(' ').next().context("an offset")?.parse()?))
                .collect::<Result<_>>()?;
            // A segment stays whole while one of its records does.
            let held: Vec<i64> = offsets.into_iter().filter(|&offset| offset >= first).collect();
            ensure!(
                held == (first..next).collect::<Vec<_>>(),
                "{topic}: {first}..{next}, {held:?}"
            );
        }
        Ok(())
    });
}

/// After a restart.
pub fn delete_nothing_more(round: &mut Round, broker: &Broker) {
    let bootstrap = broker.bootstrap();
    let bounds = round.bounds.clone();
    let name = round.case_name("what retention has left is the same after a restart");
    round.report.case(&name, &[Tools::KAFKA], |tools| {
        for (topic, before) in bounds {
            let after = bounds_of(tools, &bootstrap, topic, 0)?;
            ensure!(before == after, "{topic}: {before:?} before, {after:?} after");
        }
        Ok(())
    });
}

fn delete_records(tools: &Tools, bootstrap: &str) -> Result<(i64, i64)> {
    create(tools, bootstrap, CUT, 3, &[])?;
    create(tools, bootstrap, COMPACTED, 1, &["cleanup.policy=compact"])?;
    fill(tools, bootstrap, CUT, 100)?;
    let (_, end) = bounds_of(tools, bootstrap, CUT, 1)?;
    let (_, other_end) = bounds_of(tools, bootstrap, CUT, 2)?;
    let cut = |partitions: &[(&str, i32, i64)]| {
        let entries: Vec<String> = partitions
            .iter()
            .map(|(topic, partition, offset)| {
                format!(r#"{{"topic":"{topic}","partition":{partition},"offset":{offset}}}"#)
            })
            .collect();
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("offsets.json");
        std::fs::write(&file, format!(r#"{{"partitions":[{}],"version":1}}"#, entries.join(",")))?;
        let mut command = tools.kafka(KafkaTool::DeleteRecords);
        command.args(["--bootstrap-server", bootstrap, "--offset-json-file"]).arg(&file);
        let finished = run(&mut command, "", CLIENT_DEADLINE)?;
        anyhow::Ok([finished.stdout, finished.stderr].concat())
    };
    let said = cut(&[(CUT, 0, 7), (CUT, 1, -1), (CUT, 2, other_end + 1), (COMPACTED, 0, 0)])?;
    for want in [
        format!("partition: {CUT}-0\tlow_watermark: 7"),
        format!("partition: {CUT}-1\tlow_watermark: {end}"),
        format!("partition: {CUT}-2\terror: "),
        "OffsetOutOfRangeException".to_owned(),
        format!("partition: {COMPACTED}-0\terror: "),
        "PolicyViolationException".to_owned(),
    ] {
        ensure!(said.contains(&want), "no {want:?}: {said}");
    }
    // What lies below already is no error, and moves nothing back.
    let said = cut(&[(CUT, 0, 3)])?;
    ensure!(said.contains(&format!("partition: {CUT}-0\tlow_watermark: 7")), "{said}");
    ensure!(bounds_of(tools, bootstrap, CUT, 1)? == (end, end), "partition 1 is not empty");
    ensure!(bounds_of(tools, bootstrap, CUT, 2)? == (0, other_end), "partition 2 has moved");
    bounds_of(tools, bootstrap, CUT, 0)
}

fn by_size(tools: &Tools, bootstrap: &str, data: &Path) -> Result<(i64, i64)> {
    let size = SEGMENT_SIZE_BYTES.to_string();
    let retention = format!("retention.bytes={size}");
    create(tools, bootstrap, BY_SIZE, 1, &[&retention, &format!("segment.bytes={size}")])?;
    fill(tools, bootstrap, BY_SIZE, RECORD_COUNT)?;
    // What was deleted keeps its name with another ending, until its delay is over too.
    let is_done = || {
        let logs = segments::files(data, BY_SIZE, ".log")?;
        let sizes = logs.iter().map(|path| Ok(std::fs::metadata(path)?.len()));
        let total: u64 = sizes.sum::<std::io::Result<u64>>()?;
        let is_old = total < SEGMENT_SIZE_BYTES;
        ensure!(!is_old, "{total} bytes are left of which {SEGMENT_SIZE_BYTES} had to stay");
        let deleted = segments::files(data, BY_SIZE, ".deleted")?;
        Ok(total < 2 * SEGMENT_SIZE_BYTES && deleted.is_empty())
    };
    wait_until("segments are left", is_done)?;
    let (first, next) = bounds_of(tools, bootstrap, BY_SIZE, 0)?;
    ensure!(first > 0 && next == RECORD_COUNT as i64, "{first}..{next}");
    Ok((first, next))
}

fn by_time(tools: &Tools, bootstrap: &str) -> Result<(i64, i64)> {
    create(tools, bootstrap, BY_TIME, 1, &["retention.ms=1000"])?;
    for round in 1..=2 {
        fill(tools, bootstrap, BY_TIME, 100)?;
        let all = (100 * round, 100 * round);
        // The active segment goes as well, and the next one begins where it ended.
        wait_until("records", || Ok(bounds_of(tools, bootstrap, BY_TIME, 0)? == all))?;
    }
    bounds_of(tools, bootstrap, BY_TIME, 0)
}

fn wait_until(what: &str, mut is_done: impl FnMut() -> Result<bool>) -> Result<()> {
    let until = Instant::now() + DEADLINE;
    while !is_done()? {
        ensure!(Instant::now() < until, "too many {what} after {DEADLINE:?}");
        sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn create(
    tools: &Tools,
    bootstrap: &str,
    topic: &str,
    partition_count: i32,
    configs: &[&str],
) -> Result<()> {
    let count = partition_count.to_string();
    let mut arguments = vec!["--create", "--topic", topic, "--partitions", &count];
    configs.iter().for_each(|config| arguments.extend(["--config", config]));
    ask(tools, KafkaTool::Topics, bootstrap, &arguments)?;
    Ok(())
}

fn fill(tools: &Tools, bootstrap: &str, topic: &str, record_count: usize) -> Result<()> {
    let produced = Produced::new(topic, record_count, VALUE_SIZE_BYTES);
    Client::Console.produce(tools, bootstrap, topic, Codec::None, &produced)
}

/// The first and the next offset of one partition.
fn bounds_of(tools: &Tools, bootstrap: &str, topic: &str, partition: i32) -> Result<(i64, i64)> {
    let of = |time: &str| {
        let topic_partition = format!("{topic}:{partition}");
        let arguments = ["--topic-partitions", &topic_partition, "--time", time];
        let said = ask(tools, KafkaTool::GetOffsets, bootstrap, &arguments)?;
        let offset = said.trim().rsplit(':').next().unwrap_or_default();
        offset.parse().with_context(|| format!("{time} of {topic_partition}: {said:?}"))
    };
    Ok((of("earliest")?, of("latest")?))
}
