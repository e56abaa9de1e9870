//! SIGSTOP for longer than clients wait, and SIGCONT: what was sent twice is stored once.

use crate::{Load, Scale, Traffic};
use anyhow::{Context, Result, bail, ensure};
use clients::{Broker, Client, Finished, KafkaTool, Kind, Quorum, Report, Setting, Site, Tools};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const TOPIC: &str = "orders";
const JAVA_TOPIC: &str = "orders-of-java";
const BACK_DEADLINE: Duration = Duration::from_secs(90);
/// Acknowledgements between two frosts.
const ACKNOWLEDGED_BETWEEN: u64 = 2000;

/// What a broker goes through: the frost is longer than the clients wait for an answer.
#[derive(Debug)]
struct Frost {
    times: usize,
    frozen: Duration,
    request_timeout: Duration,
}

pub fn run(report: &mut Report, kind: Kind, scale: Scale) {
    let seconds = Duration::from_secs;
    let frost = scale.pick(
        Frost { times: 1, frozen: seconds(9), request_timeout: seconds(5) },
        // The clients' own default is 30 s.
        Frost { times: 20, frozen: seconds(45), request_timeout: seconds(30) },
    );
    let setting = Setting { kind, cores: 2, quorum: Quorum::Dynamic };
    let (times, frozen) = (frost.times, frost.frozen.as_secs());
    for (client, needs, endure) in [
        ("librdkafka", &[Tools::CONFLUENT_KAFKA][..], endure as fn(&_, _, &_) -> _),
        ("Java", &[Tools::KAFKA, Tools::KCAT, Tools::CONFLUENT_KAFKA], endure_java),
    ] {
        let name = format!(
            "{setting}: {times} x SIGSTOP {frozen} s and SIGCONT under load of {client}: \
             no producer goes fatal, nothing lost, doubled or misordered"
        );
        report.case(&name, needs, |tools| endure(tools, setting, &frost));
    }
}

fn endure(tools: &Tools, setting: Setting, frost: &Frost) -> Result<()> {
    let (site, broker) = Site::format_and_start(tools, setting)?;
    let traffic = Traffic::new(&broker.bootstrap(), TOPIC, Site::PARTITION_COUNT);
    let request_timeout = frost.request_timeout;
    let mut load = Load::start(tools, Traffic { request_timeout, ..traffic })?;
    for time in 1..=frost.times {
        one_frost(&broker, &mut load, frost.frozen)
            .with_context(|| format!("frost {time} of {}", frost.times))?;
    }
    let count = load.finish(tools)?;
    println!("{count} records");
    broker.stop()?;
    site.verify(tools)
}

fn one_frost(broker: &Broker, load: &mut Load, frozen: Duration) -> Result<()> {
    let enough = load.ledger().acknowledged_count() + ACKNOWLEDGED_BETWEEN;
    load.go_on_until("under load", BACK_DEADLINE, |it| it.acknowledged_count() >= enough)?;
    broker.freeze()?;
    load.go_on_for(frozen)?;
    let before = load.ledger().acknowledged_count();
    broker.thaw()?;
    load.go_on_until("thawed", BACK_DEADLINE, |it| it.acknowledged_count() > before)?;
    Ok(())
}

/// The same for Apache Kafka's own producer, which sends numbers and says which are acknowledged.
fn endure_java(tools: &Tools, setting: Setting, frost: &Frost) -> Result<()> {
    const RECORDS_A_SECOND: usize = 100;
    /// Between frosts, in which the producer gets something done.
    const THAWED: Duration = Duration::from_secs(3);
    let (site, broker) = Site::format_and_start(tools, setting)?;
    Traffic::new(&broker.bootstrap(), JAVA_TOPIC, 1).create_topic(tools)?;
    let seconds = frost.times * (frost.frozen + THAWED).as_secs() as usize;
    let count = seconds * RECORDS_A_SECOND;
    let producer = java_producer(tools, &site, &broker, frost, count, RECORDS_A_SECOND)?;
    for time in 1..=frost.times {
        thread::park_timeout(THAWED);
        if producer.is_finished() {
            bail!("the producer ended before frost {time}: {:?}", producer.join());
        }
        broker.freeze()?;
        thread::park_timeout(frost.frozen);
        broker.thaw()?;
    }
    let producer = producer.join().ok().context("the thread that waits for the producer")?;
    let said = producer?.success()?;
    let sent = said.lines().filter(|line| line.contains("\"producer_send_success\"")).count();
    ensure!(sent == count, "{sent} of {count} records were acknowledged: {}", tail(&said));
    let read = Client::Kcat.read(tools, &broker.bootstrap(), JAVA_TOPIC, 1, count)?;
    ensure!(read.len() == count, "{} of {count} records were read", read.len());
    for (number, record) in read.iter().enumerate() {
        let due = record.offset == number as i64 && record.value == number.to_string();
        ensure!(due, "{record:?} where record {number} was due");
    }
    println!("{count} records");
    broker.stop()?;
    site.verify(tools)
}

fn java_producer(
    tools: &Tools,
    site: &Site,
    broker: &Broker,
    frost: &Frost,
    count: usize,
    records_a_second: usize,
) -> Result<JoinHandle<Result<Finished>>> {
    let config = site.properties().with_file_name("producer.properties");
    let timeout = frost.request_timeout.as_millis();
    // The tool says `retries=0` where nobody says otherwise.
    let lines = format!("request.timeout.ms={timeout}\nenable.idempotence=true\nretries=1000000\n");
    std::fs::write(&config, lines)?;
    let mut command = tools.kafka(KafkaTool::VerifiableProducer);
    command.args(["--bootstrap-server", &broker.bootstrap(), "--topic", JAVA_TOPIC]);
    command.args(["--max-messages", &count.to_string(), "--acks", "-1"]);
    command.args(["--throughput", &records_a_second.to_string(), "--command-config"]).arg(config);
    let deadline = frost.frozen * (2 * frost.times as u32) + BACK_DEADLINE;
    Ok(thread::spawn(move || clients::run(&mut command, "", deadline)))
}

/// The last lines of what a program said.
fn tail(text: &str) -> String {
    let last: Vec<&str> = text.lines().rev().take(3).collect();
    last.join("\n")
}
