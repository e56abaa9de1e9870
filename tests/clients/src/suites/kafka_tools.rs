//! Apache Kafka's command-line tools as an administrator uses them.

use super::codecs::BULK_TOPIC;
use super::round::Round;
use crate::process::{CLIENT_DEADLINE, run};
use crate::{Broker, KafkaTool, Tools};
use anyhow::{Context, Result, ensure};

const TOPIC: &str = "made-by-kafka-topics";

pub fn administer(round: &mut Round, broker: &Broker) {
    let needs = &[Tools::KAFKA];
    let bootstrap = broker.bootstrap();
    let name = round.case_name("kafka-broker-api-versions lists what is spoken");
    round.report.case(&name, needs, |tools| {
        let text = ask(tools, KafkaTool::BrokerApiVersions, &bootstrap, &[])?;
        for api in ["Produce(0): ", "Fetch(1): ", "ListOffsets(2): ", "Metadata(3): "] {
            ensure!(text.contains(api), "{api} is missing: {text}");
        }
        Ok(())
    });
    let name = round.case_name("kafka-topics creates, lists, describes and deletes");
    round.report.case(&name, needs, |tools| topics(tools, &bootstrap));
    let Some(bulk) = round.filled.iter().find(|filled| filled.topic == BULK_TOPIC) else { return };
    let count = bulk.produced.records.len();
    let name = round.case_name("kafka-get-offsets sums up to what was produced");
    round.report.case(&name, needs, |tools| {
        let sum = |time: &str| {
            let arguments = ["--topic", BULK_TOPIC, "--time", time];
            sum_of_offsets(&ask(tools, KafkaTool::GetOffsets, &bootstrap, &arguments)?)
        };
        let (latest, earliest) = (sum("latest")?, sum("earliest")?);
        ensure!(
            (earliest, latest) == (0, count as i64),
            "from {earliest} to {latest}, not {count}"
        );
        Ok(())
    });
}

fn topics(tools: &Tools, bootstrap: &str) -> Result<()> {
    let topics = |arguments: &[&str]| ask(tools, KafkaTool::Topics, bootstrap, arguments);
    let config = ["--config", "retention.ms=123456789"];
    topics(&[&["--create", "--topic", TOPIC, "--partitions", "3"], &config[..]].concat())?;
    let listed = topics(&["--list"])?;
    ensure!(listed.lines().any(|line| line == TOPIC), "{TOPIC} is not listed: {listed}");
    let described = topics(&["--describe", "--topic", TOPIC])?;
    ensure!(described.contains("PartitionCount: 3"), "{described}");
    ensure!(described.contains("ReplicationFactor: 1"), "{described}");
    ensure!(described.contains("retention.ms=123456789"), "{described}");
    let leaders = described.lines().filter(|line| line.contains("Leader: 1\tReplicas: 1\tIsr: 1"));
    ensure!(leaders.count() == 3, "not every partition has its leader: {described}");
    let again = topics(&["--create", "--topic", TOPIC, "--partitions", "3"]);
    ensure!(again.is_err(), "the same topic was created twice");
    topics(&["--delete", "--topic", TOPIC])?;
    let listed = topics(&["--list"])?;
    ensure!(!listed.lines().any(|line| line == TOPIC), "{TOPIC} is still listed: {listed}");
    Ok(())
}

pub fn ask(tools: &Tools, tool: KafkaTool, bootstrap: &str, arguments: &[&str]) -> Result<String> {
    let mut command = tools.kafka(tool);
    command.args(["--bootstrap-server", bootstrap]).args(arguments);
    let finished = run(&mut command, "", CLIENT_DEADLINE)?;
    finished.success().with_context(|| format!("{tool:?} {arguments:?}"))
}

/// `topic:partition:offset` lines.
fn sum_of_offsets(text: &str) -> Result<i64> {
    let mut sum = 0;
    for line in text.lines() {
        let offset = line.rsplit(':').next().with_context(|| line.to_owned())?;
        sum += offset.parse::<i64>().with_context(|| line.to_owned())?;
    }
    Ok(sum)
}
