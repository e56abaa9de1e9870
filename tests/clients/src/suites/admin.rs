//! What an administrator asks of a broker: each answer by Apache Kafka's own client, and each of its tools.

use super::kafka_tools::ask;
use super::round::Round;
use crate::expect::check_lines;
use crate::process::{CLIENT_DEADLINE, run};
use crate::tools::{KafkaTool, root};
use crate::{Broker, Kind, Quorum, Tools};
use anyhow::{Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

const TOPIC: &str = "administered";
const NEEDS: &[&str] = &[Tools::KAFKA];

/// Clients that keep to their rates take ten seconds each at least.
const QUOTAS_DEADLINE: Duration = Duration::from_secs(240);

fn program(name: &str) -> PathBuf {
    root().join("tests/clients/kafka").join(name)
}

pub fn administer(round: &mut Round, broker: &Broker) {
    let bootstrap = broker.bootstrap();
    let dirs: Vec<_> = round.site.log_dirs().to_vec();
    let name = round.case_name("an administrator is answered as by Apache Kafka, errors included");
    round.report.case(&name, NEEDS, |tools| behaves(tools, &bootstrap, broker.kind()));
    let name = round.case_name("quotas are set, told of and kept as by Apache Kafka");
    round.report.case(&name, NEEDS, |tools| quotas(tools, &bootstrap, broker.kind()));
    let name = round.case_name("kafka-topics alters, and deletes what it matches");
    round.report.case(&name, NEEDS, |tools| topics(tools, &bootstrap));
    let name = round.case_name("kafka-metadata-quorum describes its one voter");
    round.report.case(&name, NEEDS, |tools| quorum(tools, &bootstrap));
    let name = round.case_name("kafka-cluster and kafka-features tell who this is");
    let kraft_version = match round.site.setting.quorum {
        Quorum::Static => "0",
        Quorum::Dynamic => "1",
    };
    round.report.case(&name, NEEDS, |tools| cluster(tools, &bootstrap, kraft_version));
    let name = round.case_name("kafka-leader-election elects where it is needed");
    round.report.case(&name, NEEDS, |tools| elections(tools, &bootstrap));
    let name = round.case_name("kafka-reassign-partitions plans, executes and verifies");
    round.report.case(&name, NEEDS, |tools| reassignments(tools, &bootstrap));
    let name = round.case_name("kafka-log-dirs shows where partitions lie");
    round.report.case(&name, NEEDS, |tools| {
        make_topic(tools, &bootstrap)?;
        let text = ask(tools, KafkaTool::LogDirs, &bootstrap, &["--describe"])?;
        let json = text.lines().last().unwrap_or_default();
        let described: serde_json::Value = serde_json::from_str(json)?;
        let listed = described["brokers"][0]["logDirs"].as_array().cloned().unwrap_or_default();
        ensure!(
            listed.len() == dirs.len(),
            "{} of {} directories: {text}",
            listed.len(),
            dirs.len()
        );
        for directory in &listed {
            ensure!(directory["error"].is_null(), "{directory}");
        }
        ensure!(json.contains(&format!("{TOPIC}-0")), "{text}");
        Ok(())
    });
}

/// Every line of the program is as Apache Kafka's.
fn behaves(tools: &Tools, bootstrap: &str, kind: Kind) -> Result<()> {
    let mut command = tools.kafka_program(&program("AdminBehaviour.java"));
    let said = run(command.arg(bootstrap), "", CLIENT_DEADLINE)?.success()?;
    check_lines(kind, "tests/clients/kafka/admin_behaviour.txt", &said)
}

/// Quotas by Apache Kafka's own client, and then by its tool.
fn quotas(tools: &Tools, bootstrap: &str, kind: Kind) -> Result<()> {
    let mut command = tools.kafka_program(&program("Quotas.java"));
    let said = run(command.arg(bootstrap), "", QUOTAS_DEADLINE)?.success()?;
    check_lines(kind, "tests/clients/kafka/quotas.txt", &said)?;
    let configs = |arguments: &[&str]| ask(tools, KafkaTool::Configs, bootstrap, arguments);
    let anna = ["--entity-type", "users", "--entity-name", "anna"];
    let with = |before: &[&str], after: &[&str]| configs(&[before, &anna, after].concat());
    with(&["--alter", "--add-config", "producer_byte_rate=1024,request_percentage=25.5"], &[])?;
    let shop = ["--entity-type", "clients", "--entity-default"];
    with(&["--alter", "--add-config", "consumer_byte_rate=2048"], &shop)?;
    let address = ["--entity-type", "ips", "--entity-name", "10.0.0.1"];
    let alter_address = ["--alter", "--add-config", "connection_creation_rate=7"];
    configs(&[&alter_address[..], &address].concat())?;
    // Of users alone the tool asks for their SCRAM credentials, too.
    for described in
        [with(&["--describe"], &[])?, configs(&["--describe", "--entity-type", "users"])?]
    {
        let is_annas =
            |line: &&str| line.starts_with("Quota configs for user-principal 'anna' are ");
        let annas = described.lines().find(is_annas).unwrap_or_default();
        let has_rate = annas.contains("producer_byte_rate=1024.0");
        ensure!(has_rate && !described.contains("SCRAM"), "{described}");
    }
    let described = with(&["--describe"], &shop)?;
    let pair = "Quota configs for user-principal 'anna', the default client-id are \
                consumer_byte_rate=2048.0";
    ensure!(described.contains(pair), "no {pair:?}: {described}");
    let described = configs(&["--describe", "--entity-type", "ips"])?;
    let ip = "Quota configs for ip '10.0.0.1' are connection_creation_rate=7.0";
    ensure!(described.contains(ip), "no {ip:?}: {described}");
    with(&["--alter", "--delete-config", "producer_byte_rate,request_percentage"], &[])?;
    with(&["--alter", "--delete-config", "consumer_byte_rate"], &shop)?;
    let alter_address = ["--alter", "--delete-config", "connection_creation_rate"];
    configs(&[&alter_address[..], &address].concat())?;
    let described = with(&["--describe"], &shop)?;
    ensure!(described.trim().is_empty(), "what was removed is told of: {described}");
    let unknown = with(&["--alter", "--add-config", "no_such_key=1"], &[]);
    ensure!(unknown.is_err(), "an unknown key was set");
    Ok(())
}

fn topics(tools: &Tools, bootstrap: &str) -> Result<()> {
    let topics = |arguments: &[&str]| ask(tools, KafkaTool::Topics, bootstrap, arguments);
    topics(&["--create", "--topic", TOPIC, "--partitions", "2"])?;
    topics(&["--create", "--topic", TOPIC, "--partitions", "2", "--if-not-exists"])?;
    topics(&["--alter", "--topic", TOPIC, "--partitions", "4"])?;
    let described = topics(&["--describe", "--topic", TOPIC])?;
    ensure!(described.contains("PartitionCount: 4"), "{described}");
    let fewer = topics(&["--alter", "--topic", TOPIC, "--partitions", "3"]);
    ensure!(fewer.is_err_and(|it| it.to_string().contains("Topics")), "partitions went");
    for filter in
        ["--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"]
    {
        let described = topics(&["--describe", filter])?;
        ensure!(described.trim().is_empty(), "{filter}: {described}");
    }
    let described = topics(&["--describe", "--at-min-isr-partitions", "--topic", TOPIC])?;
    ensure!(described.lines().count() == 4, "{described}");
    for name in ["goes-1", "goes-2"] {
        topics(&["--create", "--topic", name, "--replica-assignment", "1,1"])?;
    }
    topics(&["--delete", "--topic", "goes-.*"])?;
    let listed = topics(&["--list", "--exclude-internal"])?;
    ensure!(!listed.contains("goes-") && listed.contains(TOPIC), "{listed}");
    let missing = topics(&["--describe", "--topic", "no-such-topic"]);
    ensure!(missing.is_err(), "a topic that is not there was described");
    Ok(())
}

fn quorum(tools: &Tools, bootstrap: &str) -> Result<()> {
    let describe = |how| ask(tools, KafkaTool::MetadataQuorum, bootstrap, &["describe", how]);
    let status = describe("--status")?;
    for line in
        ["LeaderId:               1", "MaxFollowerLag:         0", "CurrentObservers:       []"]
    {
        ensure!(status.contains(line), "no {line:?}: {status}");
    }
    let replication = describe("--replication")?;
    let row = replication.lines().find(|line| line.starts_with("1 ")).unwrap_or_default();
    ensure!(row.contains("Leader"), "{replication}");
    Ok(())
}

fn cluster(tools: &Tools, bootstrap: &str, kraft_version: &str) -> Result<()> {
    // This one wants its subcommand first.
    let cluster = |arguments: &[&str]| {
        let mut command = tools.kafka(KafkaTool::Cluster);
        command.args(arguments).args(["--bootstrap-server", bootstrap]);
        run(&mut command, "", CLIENT_DEADLINE)?.success()
    };
    let id = cluster(&["cluster-id"])?;
    ensure!(id.contains("Cluster ID: "), "{id}");
    let listed = cluster(&["list-endpoints"])?;
    ensure!(listed.contains("127.0.0.1"), "{listed}");
    let unknown = cluster(&["unregister", "--id", "77"]);
    ensure!(unknown.is_err() || unknown.is_ok_and(|it| it.contains("not")), "broker 77 was known");
    let ask = |tool, arguments: &[&str]| ask(tools, tool, bootstrap, arguments);
    let features = ask(KafkaTool::Features, &["describe"])?;
    for (feature, level) in [("metadata.version", "4.3-IV0"), ("kraft.version", kraft_version)] {
        let has_level = |line: &&str| {
            let words: Vec<_> = line.split_whitespace().collect();
            words.contains(&feature)
                && words.windows(2).any(|pair| pair == ["FinalizedVersionLevel:", level])
        };
        ensure!(features.lines().any(|line| has_level(&line)), "{feature} {level}: {features}");
    }
    let down = ask(KafkaTool::Features, &["downgrade", "--metadata", "4.0-IV0"]);
    ensure!(down.is_err(), "metadata.version went down");
    Ok(())
}

/// The topic that cases share, whichever of them run.
fn make_topic(tools: &Tools, bootstrap: &str) -> Result<()> {
    let arguments = ["--create", "--topic", TOPIC, "--partitions", "2", "--if-not-exists"];
    ask(tools, KafkaTool::Topics, bootstrap, &arguments)?;
    Ok(())
}

fn elections(tools: &Tools, bootstrap: &str) -> Result<()> {
    make_topic(tools, bootstrap)?;
    let arguments = ["--election-type", "preferred", "--topic", TOPIC, "--partition", "0"];
    let said = ask(tools, KafkaTool::LeaderElection, bootstrap, &arguments)?;
    ensure!(said.contains("Valid replica already elected"), "{said}");
    let everywhere = ["--election-type", "unclean", "--all-topic-partitions"];
    ask(tools, KafkaTool::LeaderElection, bootstrap, &everywhere)?;
    Ok(())
}

fn reassignments(tools: &Tools, bootstrap: &str) -> Result<()> {
    make_topic(tools, bootstrap)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("plan.json");
    let path = file.to_string_lossy().into_owned();
    let plan = |replicas: &str| {
        let partition = format!(r#"{{"topic":"{TOPIC}","partition":0,"replicas":[{replicas}]}}"#);
        std::fs::write(&file, format!(r#"{{"version":1,"partitions":[{partition}]}}"#))
    };
    let reassign = |what: &[&str]| {
        let arguments = [&["--reassignment-json-file", &path], what].concat();
        ask(tools, KafkaTool::ReassignPartitions, bootstrap, &arguments)
    };
    let execute = || reassign(&["--execute"]);
    plan("1")?;
    let executed = execute()?;
    ensure!(executed.contains("Successfully started partition reassignment"), "{executed}");
    let verified = reassign(&["--verify", "--preserve-throttles"])?;
    ensure!(verified.contains("is completed"), "{verified}");
    let listed = ask(tools, KafkaTool::ReassignPartitions, bootstrap, &["--list"])?;
    ensure!(listed.contains("No partition reassignments found"), "{listed}");
    plan("9")?;
    ensure!(execute().is_err(), "a broker that is not there got a partition");
    Ok(())
}
