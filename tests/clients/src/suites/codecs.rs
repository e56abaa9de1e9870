//! Every client with every codec, read by itself and by the others.

use super::round::{Filled, Round};
use crate::process::{CLIENT_DEADLINE, run};
use crate::{Broker, Client, Codec, Produced, Site, Tools, check_read};
use anyhow::{Context, Result, ensure};
use serde_json::Value;

const RECORD_COUNT: usize = 2_000;
const VALUE_SIZE_BYTES: usize = 120;
/// Enough for several index entries in each partition, uncompressed.
const BULK_RECORD_COUNT: usize = 20_000;
const BULK_VALUE_SIZE_BYTES: usize = 220;
pub const BULK_TOPIC: &str = "bulk";

/// Topics come to be by themselves, when a client first asks for their metadata.
pub fn produce_and_read(round: &mut Round, broker: &Broker) {
    for producer in Client::ALL {
        for codec in Codec::ALL {
            let topic = format!("{producer}-{}", codec.name());
            let produced = Produced::new(&topic, RECORD_COUNT, VALUE_SIZE_BYTES);
            fill(round, broker, producer, Filled { topic, codec, produced });
        }
    }
    let topic = BULK_TOPIC.to_owned();
    let produced = Produced::new(&topic, BULK_RECORD_COUNT, BULK_VALUE_SIZE_BYTES);
    fill(round, broker, Client::Kcat, Filled { topic, codec: Codec::None, produced });
    headers(round, broker);
}

fn fill(round: &mut Round, broker: &Broker, producer: Client, filled: Filled) {
    let readers = readers(producer, filled.codec);
    let name =
        round.case_name(format!("{producer} produces {} to {}", filled.codec.name(), filled.topic));
    let done = round.report.case(&name, &[producer.tool()], |tools| {
        let Filled { topic, codec, produced } = &filled;
        producer.produce(tools, &broker.bootstrap(), topic, *codec, produced)
    });
    if done.is_none() {
        return;
    }
    for reader in readers {
        let name = round.case_name(format!("{reader} reads {}", filled.topic));
        round.report.case(&name, &[reader.tool()], |tools| read(tools, broker, reader, &filled));
    }
    round.filled.push(filled);
}

/// Who reads what a producer wrote: kcat and itself always. The console consumer takes seconds for
/// eight partitions, so it reads one topic.
fn readers(producer: Client, codec: Codec) -> Vec<Client> {
    let mut readers = vec![Client::Kcat];
    match producer {
        Client::Kcat => readers.extend([Client::FranzGo, Client::ConfluentKafka]),
        Client::ConfluentKafka | Client::FranzGo => readers.push(producer),
        Client::Console if codec == Codec::Zstd => readers.push(Client::Console),
        Client::Console => {}
    }
    readers
}

fn read(tools: &Tools, broker: &Broker, reader: Client, filled: &Filled) -> Result<()> {
    let Filled { topic, produced, .. } = filled;
    let count = produced.records.len();
    let read = reader.read(tools, &broker.bootstrap(), topic, Site::PARTITION_COUNT, count)?;
    check_read(produced, &read, Site::PARTITION_COUNT)
}

/// Headers come back with their records, as kcat's JSON shows them.
fn headers(round: &mut Round, broker: &Broker) {
    let topic = format!("{}-{}", Client::Kcat, Codec::Lz4.name());
    if !round.filled.iter().any(|filled| filled.topic == topic) {
        return;
    }
    let name = round.case_name("headers are kept");
    round.report.case(&name, &[Tools::KCAT], |tools| {
        let mut kcat = tools.command(Tools::KCAT);
        kcat.args(["-C", "-J", "-q", "-e", "-o", "beginning", "-c", "20"]);
        kcat.args(["-b", &broker.bootstrap(), "-t", &topic]);
        let text = run(&mut kcat, "", CLIENT_DEADLINE)?.success()?;
        ensure!(text.lines().count() == 20, "20 records were asked for: {text}");
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).context("kcat -J")?;
            ensure!(record["headers"] == serde_json::json!(["client", "kcat"]), "{line}");
        }
        Ok(())
    });
}

/// After a restart everything is still there, and appends go on where they ended.
pub fn read_again(round: &mut Round, broker: &Broker) {
    for filled in std::mem::take(&mut round.filled) {
        let name = round.case_name(format!("{} is still there after a restart", filled.topic));
        let reader = Client::Kcat;
        round.report.case(&name, &[reader.tool()], |tools| read(tools, broker, reader, &filled));
        if filled.topic == BULK_TOPIC {
            append_more(round, broker, &filled);
        }
    }
}

fn append_more(round: &mut Round, broker: &Broker, filled: &Filled) {
    let name = round.case_name(format!("{} goes on where it ended", filled.topic));
    round.report.case(&name, &[Client::Kcat.tool(), Client::FranzGo.tool()], |tools| {
        let all =
            Produced::new(&filled.topic, BULK_RECORD_COUNT + RECORD_COUNT, BULK_VALUE_SIZE_BYTES);
        let more = Produced { records: all.records[BULK_RECORD_COUNT..].to_vec() };
        let bootstrap = broker.bootstrap();
        // The same partitioner as before: the order within a partition is part of the check.
        Client::Kcat.produce(tools, &bootstrap, &filled.topic, filled.codec, &more)?;
        let whole = Filled { topic: filled.topic.clone(), codec: filled.codec, produced: all };
        read(tools, broker, Client::FranzGo, &whole)
    });
}
