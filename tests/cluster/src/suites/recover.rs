//! A killed millrace leaves what Apache Kafka must not touch: it refuses, by name, until
//! `millrace storage recover` has put everything into Apache Kafka's own files.

use crate::{Load, Traffic};
use anyhow::{Context, Result, ensure};
use clients::{Kind, Quorum, Report, Setting, Site, Tools};
use std::time::Duration;

const TOPIC: &str = "orders";
/// What stands in a log directory while millrace has it, and after that while its journal may hold what
/// segments lack.
pub(super) const GUARD: &str = "millrace-journal-not-empty";
const PARTITION_COUNT: usize = 16;
const ACKNOWLEDGED: u64 = 5000;
const DEADLINE: Duration = Duration::from_secs(60);

pub fn run(report: &mut Report) {
    let setting = Setting { kind: Kind::Millrace, cores: 2, quorum: Quorum::Dynamic };
    let name = "swap: after kill -9 Apache Kafka refuses by name until `millrace storage recover`";
    if let Some(reason) = report.tools.kafka_is_mute() {
        return report.skip(name, &reason);
    }
    let needs = &[Tools::KAFKA, Tools::CONFLUENT_KAFKA];
    report.case(name, needs, |tools| swap_after_a_kill(tools, setting));
}

fn swap_after_a_kill(tools: &Tools, setting: Setting) -> Result<()> {
    let (site, broker) = Site::format_and_start(tools, setting)?;
    let traffic = Traffic::new(&broker.bootstrap(), TOPIC, PARTITION_COUNT);
    let mut load = Load::start(tools, traffic)?;
    load.go_on_until("under load", DEADLINE, |it| it.acknowledged_count() >= ACKNOWLEDGED)?;
    broker.kill()?;
    load.abandon()?;
    let guard = site.data().join(GUARD);
    ensure!(guard.is_dir(), "{} is not there after a kill", guard.display());

    let refused = site.refusal(Kind::Kafka, tools)?;
    ensure!(!refused.status.success(), "Apache Kafka ran on what is not whole");
    let said = [refused.stdout.as_str(), refused.stderr.as_str()].concat();
    ensure!(said.contains(GUARD), "Apache Kafka refused without a word of {GUARD}: {said}");
    site.verify(tools).context("before the recovery")?;

    site.storage(Kind::Millrace, tools, "recover")?.success().context("storage recover")?;
    ensure!(!guard.exists(), "{} is still there", guard.display());
    site.verify(tools).context("after the recovery")?;
    for kind in [Kind::Kafka, Kind::Millrace] {
        let broker = site.start_of(kind, tools)?;
        load.read_again(tools, DEADLINE).with_context(|| format!("served by {}", kind.name()))?;
        broker.stop()?;
    }
    Ok(())
}
