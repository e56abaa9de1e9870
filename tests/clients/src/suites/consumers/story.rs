//! One broker's life with groups: every client's members share, lose one, and go on after a restart.

use super::clients::Consumer;
use super::kafka_tools;
use super::scene::Scene;
use crate::broker::millrace;
use crate::process::{CLIENT_DEADLINE, run as run_command};
use crate::{Broker, Client, Codec, Layout, Produced, Report, Setting, Site, Tools};
use anyhow::{Result, ensure};
use std::process::Command;

const PARTITION_COUNT: i32 = 6;
const MEMBER_COUNT: usize = 3;
const RECORD_COUNT: usize = 300;

const LINES: [&str; 2] =
    ["group.initial.rebalance.delay.ms=200", "group.min.session.timeout.ms=1000"];

pub fn run(report: &mut Report, setting: Setting) {
    let name = format!("{setting}, consumers");
    let lines = LINES.map(str::to_owned).to_vec();
    let layout = Layout { lines, ..Layout::default() };
    let started = report.always(&format!("{name}: starts"), |tools| {
        Site::format_and_start_as(tools, setting, &layout)
    });
    let Some((site, broker)) = started else { return };
    kafka_tools::manage(report, &name, &broker);
    let mut scenes = Vec::new();
    for consumer in Consumer::ALL {
        let case = format!("{name}: {consumer}: three members share, and two take over from one");
        let scene = report.case(&case, consumer.tools(), |tools| share(tools, &broker, consumer));
        scenes.extend(scene.map(|scene| (consumer, scene)));
    }
    if report.always(&format!("{name}: stops cleanly"), |_| broker.stop()).is_none() {
        return;
    }
    let started = report.always(&format!("{name}: starts again"), |tools| site.start(tools));
    let Some(broker) = started else { return };
    for (consumer, mut scene) in scenes {
        let case = format!("{name}: {consumer}: goes on from what was committed");
        report.case(&case, consumer.tools(), |tools| go_on(tools, &broker, &mut scene));
    }
    report.always(&format!("{name}: stops cleanly again"), |_| broker.stop());
}

/// Produces records that nobody else does; returns their values.
fn produce(tools: &Tools, broker: &Broker, topic: &str, label: &str) -> Result<Vec<String>> {
    let produced = Produced::new(label, RECORD_COUNT, 60);
    Client::Kcat.produce(tools, &broker.bootstrap(), topic, Codec::None, &produced)?;
    Ok(produced.records.into_iter().map(|(_, value)| value).collect())
}

fn share(tools: &Tools, broker: &Broker, consumer: Consumer) -> Result<Scene> {
    let mut scene = Scene::new(consumer, PARTITION_COUNT);
    let partitions = PARTITION_COUNT.to_string();
    let mut create = Command::new(millrace());
    create.args(["topic", "create", scene.topic(), "--partitions", &partitions]);
    create.args(["--bootstrap-server", &broker.bootstrap()]);
    run_command(&mut create, "", CLIENT_DEADLINE)?.success()?;
    scene.start(tools, broker, MEMBER_COUNT)?;
    scene.await_shared()?;
    let values = produce(tools, broker, scene.topic(), "while three share")?;
    scene.await_read_once(&values)?;
    scene.kill_one()?;
    scene.await_shared()?;
    let values = produce(tools, broker, scene.topic(), "while two share")?;
    scene.await_read_once(&values)?;
    scene.start(tools, broker, 1)?;
    scene.await_shared()?;
    let values = produce(tools, broker, scene.topic(), "while three share again")?;
    scene.await_read_once(&values)?;
    scene.stop()?;
    Ok(scene)
}

/// Members that come after a restart read what comes after what was committed, and nothing before.
fn go_on(tools: &Tools, broker: &Broker, scene: &mut Scene) -> Result<()> {
    scene.forget_read();
    let values = produce(tools, broker, scene.topic(), "after the restart")?;
    scene.start(tools, broker, MEMBER_COUNT)?;
    scene.await_shared()?;
    scene.await_read(&values)?;
    let older = scene.has_read().into_iter().find(|it| !it.contains("after the restart"));
    ensure!(older.is_none(), "it was committed before the restart: {older:?}");
    scene.stop()
}
