//! The power goes under load: what was acknowledged had been flushed.

use crate::power::{Kept, PoweredDisk};
use crate::{Load, Random, Scale, Traffic};
use anyhow::{Context, Result, ensure};
use clients::{Broker, Kind, Layout, Quorum, Report, Setting, Site, Tools};
use std::fs::File;
use std::io::Write;
use std::time::Duration;

const TOPIC: &str = "orders";
const DISK_SIZE_BYTES: u64 = 2 << 30;
/// Acknowledgements between two cuts: more than the producers may still have to report from before.
const ACKNOWLEDGED_BETWEEN: u64 = 2000;
const BETWEEN_CUTS_MAX: Duration = Duration::from_millis(700);
const BACK_DEADLINE: Duration = Duration::from_secs(60);
/// Long for the few records of a second, where some of them are not there to be read.
const READ_DEADLINE: Duration = Duration::from_secs(20);

pub fn run(report: &mut Report, kind: Kind, scale: Scale) {
    let name = "a disk whose power is cut keeps what was flushed and loses what was not";
    let missing = PoweredDisk::missing();
    match &missing {
        Some(reason) => report.skip(name, reason),
        None => drop(report.case(name, &[], |_| the_double_loses_what_it_should())),
    }
    let name = "a disk that lies about flushes loses what was acknowledged, and it is seen";
    match &missing {
        Some(reason) => report.skip(name, reason),
        None => drop(report.case(name, &[Tools::CONFLUENT_KAFKA], |it| a_loss_is_seen(it, kind))),
    }
    for (cores, partition_count, cuts) in [(1, 8, scale.pick(4, 30)), (2, 32, scale.pick(4, 30))] {
        let setting = Setting { kind, cores, quorum: Quorum::Dynamic };
        let name = format!(
            "{setting}: {cuts} x power cut under load, {partition_count} partitions: \
             nothing lost, doubled or misordered"
        );
        match (&missing, kind) {
            (Some(reason), _) => report.skip(&name, reason),
            (None, Kind::Kafka) => {
                report.skip(&name, "Apache Kafka acknowledges what it has not flushed");
            }
            (None, Kind::Millrace) => {
                let needs = &[Tools::CONFLUENT_KAFKA];
                report.case(&name, needs, |tools| endure(tools, setting, partition_count, cuts));
            }
        }
    }
}

fn the_double_loses_what_it_should() -> Result<()> {
    let mut random = Random::new(1);
    let mut disk = PoweredDisk::new(64 << 20)?;
    let write = |name: &str, flushed: bool| -> Result<()> {
        let mut file = File::create(disk.path().join(name))?;
        file.write_all(&[7; 100_000])?;
        if flushed {
            file.sync_all()?;
            File::open(disk.path())?.sync_all()?;
        }
        Ok(())
    };
    write("flushed", true)?;
    write("unflushed", false)?;
    disk.cut(Kept::Nothing, &mut random)?;
    ensure!(write("after the cut", true).is_err(), "a disk without power took a flush");
    disk.power_up()?;
    let read = std::fs::read(disk.path().join("flushed"))?;
    ensure!(read == [7; 100_000], "what was flushed has changed");
    let unflushed = std::fs::read(disk.path().join("unflushed")).unwrap_or_default();
    ensure!(unflushed.is_empty(), "{} bytes that nobody flushed are there", unflushed.len());
    ensure!(!disk.path().join("after the cut").exists(), "it was written without power");
    Ok(())
}

/// The same ordeal must fail where flushes are confirmed and not done: the cases that pass would see one
/// that is missing.
fn a_loss_is_seen(tools: &Tools, kind: Kind) -> Result<()> {
    let setting = Setting { kind, cores: 1, quorum: Quorum::Dynamic };
    let mut disk = PoweredDisk::new(DISK_SIZE_BYTES)?;
    let layout = Layout { log_dirs: vec![disk.path().join("data")], ..Layout::default() };
    let (site, broker) = Site::format_and_start_as(tools, setting, &layout)?;
    let mut load = Load::start(tools, Traffic::new(&broker.bootstrap(), TOPIC, 1))?;
    load.go_on_until("under load", BACK_DEADLINE, |it| it.acknowledged_count() > 0)?;
    disk.lie();
    let enough = load.ledger().acknowledged_count() + ACKNOWLEDGED_BETWEEN;
    load.go_on_until("under load", BACK_DEADLINE, |it| it.acknowledged_count() >= enough)?;
    disk.cut(Kept::Nothing, &mut Random::new(1))?;
    drop(broker);
    load.abandon()?;
    disk.power_up()?;
    let acknowledged = load.ledger().acknowledged_count();
    let broker = site.start(tools)?;
    // The reader that was there may stand behind the log's end now: another one begins anew.
    let read = load.read_again(tools, READ_DEADLINE);
    broker.stop()?;
    ensure!(read.is_err(), "all {acknowledged} records are there after a cut");
    Ok(())
}

fn endure(tools: &Tools, setting: Setting, partition_count: usize, cuts: usize) -> Result<()> {
    let seed = Random::fresh_seed();
    println!("seed {seed}");
    let mut random = Random::new(seed);
    let mut disk = PoweredDisk::new(DISK_SIZE_BYTES)?;
    let layout = Layout { log_dirs: vec![disk.path().join("data")], ..Layout::default() };
    let (site, mut broker) = Site::format_and_start_as(tools, setting, &layout)?;
    let traffic = Traffic::new(&broker.bootstrap(), TOPIC, partition_count);
    let mut load = Load::start(tools, traffic)?;
    for cut in 1..=cuts {
        broker = one_cut(tools, &site, broker, &mut disk, &mut load, &mut random)
            .with_context(|| format!("cut {cut} of {cuts}, seed {seed}"))?;
    }
    let count = load.finish(tools)?;
    println!("{count} records; {} unflushed sectors were lost", disk.lost_count());
    broker.stop()?;
    site.verify(tools)
}

/// Cuts the power at a random moment under load, ends the broker and starts it on what is left; on return
/// all that was acknowledged before has been read.
fn one_cut(
    tools: &Tools,
    site: &Site,
    broker: Broker,
    disk: &mut PoweredDisk,
    load: &mut Load,
    random: &mut Random,
) -> Result<Broker> {
    let enough = load.ledger().acknowledged_count() + ACKNOWLEDGED_BETWEEN;
    load.go_on_until("under load", BACK_DEADLINE, |it| it.acknowledged_count() >= enough)?;
    load.go_on_for(random.up_to(BETWEEN_CUTS_MAX))?;
    let kept = if random.one_in(2) { Kept::Nothing } else { Kept::ByChance };
    disk.cut(kept, random)?;
    // What it says and does now happens on a host without power.
    drop(broker);
    disk.power_up()?;
    site.verify(tools)?;
    let broker = site.start(tools)?;
    let due = load.ledger().acknowledged();
    load.go_on_until("all read that was acknowledged", BACK_DEADLINE, |it| it.has_read(&due))?;
    Ok(broker)
}
