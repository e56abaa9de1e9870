//! Clients that want more than there is, beside clients that do as they should: what these wait for, and
//! the memory that the broker takes. It is told to take little.

mod attacks;
mod descriptors;
mod good;
mod scene;
mod table;

use crate::process::allow_descriptors;
use crate::wire::Connection;
use crate::{Broker, Kind, Layout, Quorum, Report, Setting, Site, Tools};
use anyhow::{Context, Result, ensure};
use attacks::{ATTACKS, Attack, DESCRIPTOR_COUNT};
use good::{GOOD, GoodClients, await_topic, create_topics, produce};
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use scene::Scene;
use std::thread;
use std::time::{Duration, Instant};
use table::{Row, Table};

const MEMORY_BYTES: u64 = 210_000_000;
const LINES: [&str; 3] =
    ["millrace.memory.bytes=210000000", "socket.request.max.bytes=16777216", "num.partitions=8"];
/// What a process takes beside: its program, its cores, metadata, spare blocks; ADR 0116 lists it.
const BESIDE_BYTES: u64 = 64 << 20;
/// What a connection takes that does nothing.
const PER_CONNECTION_BYTES: u64 = 16 << 10;

const FILLED: &str = "filled";
const QUIET: &str = "quiet";
/// Its records are compressed anew, so they are looked into.
const PACKED: &str = "packed";
const PARTITION_COUNT: i32 = 8;
/// More than all of a broker's memory for answers and records.
const FILLED_BATCH_COUNT: i32 = 256;
const FILLED_BATCH_SIZE_BYTES: usize = 1_000_000;

/// For how long good clients go on beside others that have begun.
const WATCHED_FOR: Duration = Duration::from_secs(5);
/// How long others may take to begin: a connection that is not let in at once is tried again by the kernel
/// after 1, 3 and 7 seconds.
const BEGIN_DEADLINE: Duration = Duration::from_secs(120);
/// How long connections that were left may still be open at the broker.
const RELEASE_DEADLINE: Duration = Duration::from_secs(60);
/// Connections of Apache Kafka to itself that come and go.
const OWN_SOCKET_COUNT: usize = 4;

pub fn run(report: &mut Report, kind: Kind) {
    let mut table = Table::new(kind);
    little_memory(report, kind, &mut table);
    descriptors::run(report, kind, &mut table);
    table.print();
}

fn little_memory(report: &mut Report, kind: Kind, table: &mut Table) {
    let setting = Setting { kind, cores: 2, quorum: Quorum::Static };
    let name = |what: &str| format!("little memory, {}: {what}", kind.name());
    let layout = Layout { lines: LINES.map(str::to_owned).to_vec(), ..Layout::default() };
    let started =
        report.always(&name("starts"), |tools| Site::format_and_start_as(tools, setting, &layout));
    let Some((site, broker)) = started else { return };
    let filled = report.always(&name("takes more than it can keep in memory"), |_| fill(&broker));
    if filled.is_none() {
        return;
    }
    let too_few = allow_descriptors(DESCRIPTOR_COUNT).err();
    let mut broker = Some(broker);
    for attack in ATTACKS {
        if let (Some(too_few), true) = (&too_few, attack.takes_descriptors) {
            report.skip(&name(attack.what), &format!("{too_few:#}"));
            continue;
        }
        report.case(&name(attack.what), &[], |tools| {
            one(&mut broker, &site, tools, attack, &GoodClients::ALL, table)
        });
    }
    report.always(&name("stops cleanly"), |_| match broker {
        None if kind == Kind::Kafka => Ok(()),
        broker => broker.context("the broker is gone")?.stop(),
    });
}

/// A row of the table. What Apache Kafka cannot bear is told there, and is no failure of ours: the next one
/// begins with another process.
fn one(
    broker: &mut Option<Broker>,
    site: &Site,
    tools: &Tools,
    attack: &Attack,
    good: &[GoodClients],
    table: &mut Table,
) -> Result<()> {
    let kind = site.setting.kind;
    if broker.is_none() && kind == Kind::Kafka {
        let started = broker.insert(site.start(tools)?);
        await_topic(&mut Connection::open(started.address())?, GOOD, 1)?;
    }
    match beside(broker.as_ref().context("the broker is gone")?, attack, good) {
        Err(error) if kind == Kind::Kafka => {
            table.failed(attack.what, broker.take(), &error);
            Ok(())
        }
        row => row.map(|row| table.add(row)),
    }
}

/// Good clients while `attack` lasts: they are served, the broker's memory stays below its number, and it
/// lets go of every connection that was left.
fn beside(broker: &Broker, attack: &Attack, good: &[GoodClients]) -> Result<Row> {
    let socket_count = broker.socket_count()?;
    let rest_bytes = broker.resident_bytes()?;
    broker.forget_peak()?;
    let scene = Scene::new(broker.address());
    let seen = thread::scope(|scope| {
        let until_the_end = scene.ends();
        let attacking = scope.spawn(|| (attack.make)(&scene));
        let good = good.iter().map(|client| scope.spawn(|| client.go_on(&scene)));
        let good: Vec<_> = good.collect();
        let begun = scene.await_begun(BEGIN_DEADLINE, &attacking);
        if begun.is_ok() {
            scene.go_on(WATCHED_FOR);
        }
        let now_count = broker.socket_count();
        drop(until_the_end);
        let latencies: Vec<_> =
            good.into_iter().map(|client| client.join().expect("no panic")).collect();
        attacking.join().expect("an attack does not panic").context("the attack failed")?;
        let held_count = begun?;
        let open_count = now_count?.saturating_sub(socket_count);
        if attack.keeps_connections {
            ensure!(
                open_count >= held_count,
                "{open_count} of {held_count} are open at the broker"
            );
        }
        let latencies: Result<Vec<_>> = latencies.into_iter().collect();
        Ok((latencies.context("a good client failed")?, held_count))
    });
    let peak_bytes = broker.peak_resident_bytes()?;
    // Whatever came of it, the next ones begin without them.
    let kept_count = await_release(broker, socket_count)?;
    let (latencies, held_count) = seen?;
    ensure!(broker.kind() == Kind::Kafka || kept_count == 0, "{kept_count} sockets are open still");
    let after_bytes = broker.resident_bytes()?;
    let bound = MEMORY_BYTES + BESIDE_BYTES + held_count as u64 * PER_CONNECTION_BYTES;
    let is_bounded = broker.kind() == Kind::Kafka || peak_bytes <= bound;
    ensure!(is_bounded, "{} MiB resident, of at most {}", peak_bytes >> 20, bound >> 20);
    Ok(Row { what: attack.what, rest_bytes, peak_bytes, after_bytes, kept_count, latencies })
}

/// How many sockets the broker has not let go of after a while. Apache Kafka notices the end of a connection
/// only when it has answered: it is given less time.
fn await_release(broker: &Broker, socket_count: usize) -> Result<usize> {
    let (own_count, deadline) = match broker.kind() {
        Kind::Millrace => (0, RELEASE_DEADLINE),
        Kind::Kafka => (OWN_SOCKET_COUNT, RELEASE_DEADLINE / 6),
    };
    let until = Instant::now() + deadline;
    loop {
        let kept_count = broker.socket_count()?.saturating_sub(socket_count + own_count);
        if kept_count == 0 || Instant::now() > until {
            return Ok(kept_count);
        }
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn fill(broker: &Broker) -> Result<()> {
    let mut connection = Connection::open(broker.address())?;
    let topic = |name: &str| CreatableTopic {
        name: name.into(),
        num_partitions: PARTITION_COUNT,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let mut topics = [FILLED, QUIET, GOOD, PACKED].map(topic).to_vec();
    topics[3].configs =
        vec![CreatableTopicConfig { name: "compression.type".into(), value: Some("gzip".into()) }];
    create_topics(&mut connection, topics)?;
    for number in 0..FILLED_BATCH_COUNT {
        produce(&mut connection, FILLED, number % PARTITION_COUNT, FILLED_BATCH_SIZE_BYTES)?;
    }
    Ok(())
}
