//! SIGSTOP for longer than clients wait, and SIGCONT: what was sent twice is stored once.

use crate::{Load, Scale, Traffic};
use anyhow::{Context, Result};
use clients::{Kind, Quorum, Report, Setting, Site, Tools};
use std::time::Duration;

const TOPIC: &str = "orders";
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
    let name = format!(
        "{setting}: {times} x SIGSTOP {frozen} s and SIGCONT under load: no producer goes fatal, \
         nothing lost, doubled or misordered"
    );
    report.case(&name, &[Tools::CONFLUENT_KAFKA], |tools| endure(tools, setting, &frost));
}

fn endure(tools: &Tools, setting: Setting, frost: &Frost) -> Result<()> {
    let (_site, broker) = Site::format_and_start(tools, setting)?;
    let traffic = Traffic::new(&broker.bootstrap(), TOPIC, Site::PARTITION_COUNT);
    let request_timeout = frost.request_timeout;
    let mut load = Load::start(tools, Traffic { request_timeout, ..traffic })?;
    for time in 1..=frost.times {
        let enough = load.ledger().acknowledged_count() + ACKNOWLEDGED_BETWEEN;
        let mut one = || -> Result<()> {
            load.go_on_until("under load", BACK_DEADLINE, |it| it.acknowledged_count() >= enough)?;
            broker.freeze()?;
            load.go_on_for(frost.frozen)?;
            let before = load.ledger().acknowledged_count();
            broker.thaw()?;
            load.go_on_until("thawed", BACK_DEADLINE, |it| it.acknowledged_count() > before)?;
            Ok(())
        };
        one().with_context(|| format!("frost {time} of {}", frost.times))?;
    }
    let count = load.finish(tools)?;
    println!("{count} records");
    broker.stop()
}
