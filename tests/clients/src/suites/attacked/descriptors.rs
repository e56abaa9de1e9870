//! A broker that comes to the end of its descriptors: who comes then waits, those who are there go on, their
//! logs into new segments too, and who waits is served once others have left.

use super::attacks::Attack;
use super::good::{GOOD, GoodClients, create_topics};
use super::one;
use super::scene::Scene;
use super::table::Table;
use crate::wire::{self, Connection};
use crate::{Kind, Layout, Quorum, Report, Setting, Site};
use anyhow::{Context, Result, ensure};
use protocol::messages::ApiVersionsRequest;
use protocol::messages::create_topics::CreatableTopic;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const LIMIT: usize = 700;
/// Connections that it takes at least.
const TAKEN_COUNT_MIN: usize = 200;
/// A connection that is not served after so long waits.
const SERVED_DEADLINE: Duration = Duration::from_secs(2);
const RECOVERY_DEADLINE: Duration = Duration::from_secs(30);
/// A segment for every ten records of those who produce much.
const SEGMENTS: &str = "log.segment.bytes=1048576";
const WARNING: &str = "cannot accept connections";

const fn exhaustion(what: &'static str) -> Attack {
    Attack { what, make: exhaust, keeps_connections: false, takes_descriptors: false }
}

const CASES: [(Attack, GoodClients); 2] = [
    (exhaustion("more than there are descriptors for"), GoodClients::Produces),
    (exhaustion("more than there are descriptors for, and logs roll"), GoodClients::ProducesMuch),
];

pub fn run(report: &mut Report, kind: Kind, table: &mut Table) {
    let setting = Setting { kind, cores: 2, quorum: Quorum::Static };
    let name = |what: &str| format!("few descriptors, {}: {what}", kind.name());
    let layout = Layout {
        lines: vec![SEGMENTS.to_owned()],
        descriptor_count_max: Some(LIMIT),
        ..Layout::default()
    };
    let started =
        report.always(&name("starts"), |tools| Site::format_and_start_as(tools, setting, &layout));
    let Some((site, broker)) = started else { return };
    let created = report.always(&name("has a topic"), |_| {
        let topic = CreatableTopic {
            name: GOOD.into(),
            num_partitions: 1,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        create_topics(&mut Connection::open(broker.address())?, vec![topic])
    });
    if created.is_none() {
        return;
    }
    let mut broker = Some(broker);
    let mut is_exhausted = false;
    for (attack, producer) in &CASES {
        let ran = report.case(&name(attack.what), &[], |tools| {
            one(&mut broker, &site, tools, attack, &[*producer, GoodClients::Fetches], table)
        });
        is_exhausted |= ran.is_some();
    }
    if kind == Kind::Kafka {
        // Whether it lives still is told above; how it ends is not judged.
        return;
    }
    report.always(&name("stops cleanly, and has said what it was out of"), |_| {
        let said = broker.context("the broker is gone")?.stop_and_say()?;
        let count = said.matches(WARNING).count();
        let is_told = !is_exhausted || (1..=2).contains(&count);
        ensure!(is_told, "{count} times {WARNING:?}: {said}");
        Ok(())
    });
}

/// Connects until one is not served. It is, once the others have left.
fn exhaust(scene: &Scene) -> Result<()> {
    let request = wire::frame(1, 0, &ApiVersionsRequest::default())?;
    let mut taken = Vec::new();
    let mut waiting = loop {
        ensure!(taken.len() < LIMIT, "{LIMIT} connections are served");
        let mut connection = TcpStream::connect(scene.address)?;
        connection.set_read_timeout(Some(SERVED_DEADLINE))?;
        connection.write_all(&request)?;
        match connection.read(&mut [0; 1024]) {
            Ok(1..) => taken.push(connection),
            Ok(0) => anyhow::bail!("connection {} was closed", taken.len()),
            Err(error) if [ErrorKind::WouldBlock, ErrorKind::TimedOut].contains(&error.kind()) => {
                break connection;
            }
            Err(error) => return Err(error).context("a connection that is not served"),
        }
    };
    println!("{} connections are served, the next one waits", taken.len());
    ensure!(taken.len() >= TAKEN_COUNT_MIN, "only {} connections are served", taken.len());
    scene.last(taken.len());
    drop(taken);
    waiting.set_read_timeout(Some(RECOVERY_DEADLINE))?;
    let count = waiting.read(&mut [0; 1024]).context("who waited is not served afterwards")?;
    ensure!(count > 0, "who waited was sent away");
    Connection::open(scene.address)?.call(0, &ApiVersionsRequest::default())?;
    Ok(())
}
