//! Apache Kafka's producers for tests: the one that measures, and the one that tells of each record.

use super::kafka_tools::ask;
use super::round::Round;
use crate::{Broker, Client, KafkaTool, Tools};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

const MEASURED: &str = "measured-by-kafka";
const VERIFIED: &str = "verified-by-kafka";

const LIMITED: &str = "limited-by-quota";
const FREE: &str = "without-quota";

const RECORD_COUNT: usize = 20_000;
const RECORD_SIZE_BYTES: usize = 500;
const LIMITED_COUNT: usize = 14_000;
/// A second.
const QUOTA_BYTES: usize = 500_000;
const VERIFIED_COUNT: usize = 5_000;
const PARTITION_COUNT: usize = 3;

pub fn produce(round: &mut Round, broker: &Broker) {
    let bootstrap = broker.bootstrap();
    let needs = &[Tools::KAFKA];
    let name = round.case_name("kafka-producer-perf-test sends all and what it sent is there");
    round.report.case(&name, needs, |tools| measured(tools, &bootstrap));
    let name = round.case_name("kafka-producer-perf-test keeps to its client's quota");
    round.report.case(&name, needs, |tools| limited(tools, &bootstrap));
    let needs = &[Tools::KAFKA, Tools::KCAT];
    let name = round.case_name("kafka-verifiable-producer's records are where it was told");
    round.report.case(&name, needs, |tools| verified(tools, &bootstrap));
}

fn make_topic(tools: &Tools, bootstrap: &str, topic: &str) -> Result<()> {
    let partitions = PARTITION_COUNT.to_string();
    let create = ["--create", "--topic", topic, "--partitions", &partitions];
    ask(tools, KafkaTool::Topics, bootstrap, &create).map(drop)
}

/// Each partition's end.
fn ends(tools: &Tools, bootstrap: &str, topic: &str) -> Result<BTreeMap<i64, i64>> {
    let text = ask(tools, KafkaTool::GetOffsets, bootstrap, &["--topic", topic])?;
    let parse = |line: &str| -> Result<(i64, i64)> {
        let mut fields = line.rsplit(':').map(str::parse);
        let (end, partition) = fields.next().zip(fields.next()).context("topic:partition:end")?;
        Ok((partition?, end?))
    };
    text.lines().map(|line| parse(line).with_context(|| line.to_owned())).collect()
}

fn measured(tools: &Tools, bootstrap: &str) -> Result<()> {
    make_topic(tools, bootstrap, MEASURED)?;
    let last = measure(tools, bootstrap, MEASURED, RECORD_COUNT)?;
    ensure!(last.contains(" 99.9th."), "{last}");
    let ends = ends(tools, bootstrap, MEASURED)?;
    ensure!(ends.values().sum::<i64>() == RECORD_COUNT as i64, "{ends:?}");
    Ok(())
}

/// As fast as it can; what it says in the end.
fn measure(tools: &Tools, bootstrap: &str, topic: &str, count: usize) -> Result<String> {
    let (count, size) = (count.to_string(), RECORD_SIZE_BYTES.to_string());
    let client = format!("client.id={topic}");
    let properties = ["--command-property", "acks=all", "--command-property", &client];
    let how = ["--record-size", &size, "--throughput", "-1"];
    let arguments = [&["--topic", topic, "--num-records", &count][..], &how, &properties].concat();
    let text = ask(tools, KafkaTool::ProducerPerformance, bootstrap, &arguments)?;
    let last = text.lines().last().unwrap_or_default();
    ensure!(last.starts_with(&format!("{count} records sent, ")), "{text}");
    Ok(last.to_owned())
}

/// Ten seconds of its rate may come at once. A busy host may not reach it.
fn limited(tools: &Tools, bootstrap: &str) -> Result<()> {
    make_topic(tools, bootstrap, LIMITED)?;
    make_topic(tools, bootstrap, FREE)?;
    let quota = format!("producer_byte_rate={QUOTA_BYTES}");
    let client = ["--entity-type", "clients", "--entity-name", LIMITED];
    let configs = |change: [&str; 2]| {
        let arguments = [&["--alter"], &change[..], &client].concat();
        ask(tools, KafkaTool::Configs, bootstrap, &arguments)
    };
    configs(["--add-config", &quota])?;
    let free = measure(tools, bootstrap, FREE, LIMITED_COUNT)?;
    let last = measure(tools, bootstrap, LIMITED, LIMITED_COUNT)?;
    println!("no quota: {free}\n{quota}: {last}");
    configs(["--delete-config", "producer_byte_rate"])?;
    let rate = last.split(", ").nth(1).and_then(|rate| rate.split(' ').next());
    let rate: f64 = rate.context("records/sec")?.parse().with_context(|| last.clone())?;
    let took = LIMITED_COUNT as f64 / rate;
    let all = (LIMITED_COUNT * RECORD_SIZE_BYTES) as f64 / QUOTA_BYTES as f64;
    ensure!((0.85 * (all - 10.0)..4.0 * all).contains(&took), "{took:.1} s of {all:.1} s: {last}");
    Ok(())
}

/// Each acknowledgement's partition and offset has the value that it was for, and nothing else is there.
fn verified(tools: &Tools, bootstrap: &str) -> Result<()> {
    make_topic(tools, bootstrap, VERIFIED)?;
    let count = VERIFIED_COUNT.to_string();
    let how = ["--max-messages", &count, "--acks", "-1", "--repeating-keys", "100"];
    let arguments = [&["--topic", VERIFIED][..], &how].concat();
    let text = ask(tools, KafkaTool::VerifiableProducer, bootstrap, &arguments)?;
    let mut acknowledged = BTreeMap::new();
    for line in text.lines() {
        let said: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let place = (said["partition"].as_i64(), said["offset"].as_i64());
        match said["name"].as_str() {
            Some("producer_send_success") => {
                let (Some(partition), Some(offset)) = place else { anyhow::bail!("{line}") };
                let text = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
                let before = acknowledged.insert((partition, offset), (text("key"), text("value")));
                ensure!(before.is_none(), "acknowledged twice: {line}");
            }
            Some("producer_send_error") => anyhow::bail!("{line}"),
            Some("tool_data") => {
                ensure!(
                    said["sent"] == VERIFIED_COUNT && said["acked"] == VERIFIED_COUNT,
                    "{line}"
                );
            }
            _ => {}
        }
    }
    ensure!(acknowledged.len() == VERIFIED_COUNT, "{} told of", acknowledged.len());
    let read = Client::Kcat.read(tools, bootstrap, VERIFIED, PARTITION_COUNT, VERIFIED_COUNT)?;
    let place = |partition: i32, offset| (i64::from(partition), offset);
    let read: BTreeMap<_, _> =
        read.into_iter().map(|it| (place(it.partition, it.offset), (it.key, it.value))).collect();
    ensure!(
        read == acknowledged,
        "{} read, {VERIFIED_COUNT} acknowledged: they differ",
        read.len()
    );
    let ends = ends(tools, bootstrap, VERIFIED)?;
    ensure!(ends.values().sum::<i64>() == VERIFIED_COUNT as i64, "{ends:?}");
    Ok(())
}
