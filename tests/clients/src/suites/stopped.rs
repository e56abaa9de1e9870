//! What lies on disk after a clean stop: codecs as produced, and files that Apache Kafka's own tool
//! reads without complaint.

use super::codecs::BULK_TOPIC;
use super::round::{Filled, Round};
use crate::dump_log::dump;
use crate::{Site, Tools, segments};
use anyhow::{Context, Result, ensure};
use std::path::Path;

const METADATA_TOPIC: &str = "__cluster_metadata";

pub fn inspect(round: &mut Round) {
    let data = round.site.data();
    let name = round.case_name("stored batches carry the codec that was asked for");
    let filled = &round.filled;
    round.report.case(&name, &[], |_| filled.iter().try_for_each(|one| codec_bits(&data, one)));
    if !filled.iter().any(|one| one.topic == BULK_TOPIC) {
        return;
    }
    let name = round.case_name("kafka-dump-log reads segments and indexes");
    round.report.case(&name, &[Tools::KAFKA], |tools| dump_segments(tools, &data, filled));
    let name = round.case_name("kafka-dump-log decodes a metadata snapshot");
    round.report.case(&name, &[Tools::KAFKA], |tools| dump_snapshot(tools, &data));
    let name = round.case_name("kafka-dump-log decodes the metadata log");
    let topics: Vec<&str> = filled.iter().map(|one| one.topic.as_str()).collect();
    round.report.case(&name, &[Tools::KAFKA], |tools| dump_metadata(tools, &data, &topics));
}

fn codec_bits(data: &Path, filled: &Filled) -> Result<()> {
    let Filled { topic, codec, produced } = filled;
    let mut record_count = 0;
    let logs = segments::files(data, topic, ".log")?;
    ensure!(logs.len() >= Site::PARTITION_COUNT, "{topic}: {} segments", logs.len());
    for path in logs {
        for batch in segments::batches(&path)? {
            ensure!(batch.magic == 2, "{}: {batch:?}", path.display());
            let right = batch.codec == codec.bits();
            ensure!(right, "{}: {batch:?}, not {}", path.display(), codec.name());
            record_count += usize::try_from(batch.record_count)?;
        }
    }
    let want = produced.records.len();
    ensure!(record_count == want, "{topic}: {record_count} records stored, {want} produced");
    Ok(())
}

/// Segments of all topics record by record; then the indexes of the topic that is large enough to
/// have entries in them, each against its segment.
fn dump_segments(tools: &Tools, data: &Path, filled: &[Filled]) -> Result<()> {
    let mut logs = Vec::new();
    for one in filled {
        logs.extend(segments::files(data, &one.topic, ".log")?);
    }
    let text = dump(tools, &["--deep-iteration"], &logs)?;
    let records = text.lines().filter(|line| line.starts_with("| offset: ")).count();
    let want: usize = filled.iter().map(|one| one.produced.records.len()).sum();
    ensure!(records == want, "{records} records dumped, {want} produced");

    let mut indexes = segments::files(data, BULK_TOPIC, ".index")?;
    let offset_indexes = dump(tools, &[], &indexes)?;
    let entries = offset_indexes.lines().filter(|line| line.starts_with("offset: ")).count();
    ensure!(entries > indexes.len(), "{entries} entries in {} offset indexes", indexes.len());
    let time_indexes = segments::files(data, BULK_TOPIC, ".timeindex")?;
    ensure!(time_indexes.len() == indexes.len(), "a time index is missing");
    let times = dump(tools, &[], &time_indexes)?;
    let entries = times.lines().filter(|line| line.starts_with("timestamp: ")).count();
    ensure!(entries >= time_indexes.len(), "{entries} entries in the time indexes");
    indexes.extend(time_indexes);
    let sanity = dump(tools, &["--index-sanity-check"], &indexes)?;
    let passed = sanity.lines().filter(|line| line.contains("passed sanity check")).count();
    ensure!(passed == indexes.len(), "{passed} of {} indexes are sane", indexes.len());
    Ok(())
}

fn dump_snapshot(tools: &Tools, data: &Path) -> Result<()> {
    let snapshots = segments::files(data, METADATA_TOPIC, ".checkpoint")?;
    let newest = snapshots.iter().max().context("no snapshot was taken")?;
    let text = dump(tools, &["--cluster-metadata-decoder"], std::slice::from_ref(newest))?;
    for kind in ["SnapshotHeader", "SnapshotFooter", "\"FEATURE_LEVEL_RECORD\"", "\"TOPIC_RECORD\""]
    {
        ensure!(text.contains(kind), "no {kind} in {}", newest.display());
    }
    Ok(())
}

fn dump_metadata(tools: &Tools, data: &Path, topics: &[&str]) -> Result<()> {
    let logs = segments::files(data, METADATA_TOPIC, ".log")?;
    let text = dump(tools, &["--cluster-metadata-decoder"], &logs)?;
    for topic in topics {
        let record = format!("\"name\":\"{topic}\"");
        let made = text.lines().any(|line| line.contains("TOPIC_RECORD") && line.contains(&record));
        ensure!(made, "no TOPIC_RECORD for {topic}");
    }
    let count = |kind: &str| text.lines().filter(|line| line.contains(kind)).count();
    let partitions = count("\"PARTITION_RECORD\"");
    let want = topics.len() * Site::PARTITION_COUNT;
    ensure!(partitions >= want, "{partitions} PARTITION_RECORDs for {want} partitions");
    for kind in ["\"FEATURE_LEVEL_RECORD\"", "\"REGISTER_BROKER_RECORD\"", "LeaderChange"] {
        ensure!(count(kind) > 0, "no {kind}");
    }
    Ok(())
}
