//! What is acknowledged has been flushed: the device itself counts.

use crate::disk::{Disk, check_flushes_are_counted, flush_count};
use crate::{Traffic, sequential};
use anyhow::{Result, ensure};
use clients::{Kind, Layout, Quorum, Report, Setting, Site, Tools};
use std::path::Path;

const PRODUCE_COUNT: u64 = 300;
const DISK_SIZE_BYTES: u64 = 1 << 30;

pub fn run(report: &mut Report, kind: Kind) {
    let setting = Setting { kind, cores: 2, quorum: Quorum::Dynamic };
    let name =
        format!("{setting}: {PRODUCE_COUNT} produces in sequence are as many flushes or more");
    if kind == Kind::Kafka {
        report.skip(&name, "Apache Kafka acknowledges what it has not flushed");
        return;
    }
    // A device of our own counts nobody else's flushes.
    let own = Disk::new(DISK_SIZE_BYTES);
    let shared = tempfile::Builder::new().prefix("millrace-flush-").tempdir();
    let (path, whose) = match (&own, &shared) {
        (Ok(disk), _) => (disk.path(), "of its own"),
        (Err(_), Ok(folder)) => (folder.path().to_owned(), "that others use too"),
        (Err(_), Err(error)) => return report.skip(&name, &error.to_string()),
    };
    if let Err(error) = check_flushes_are_counted(&path) {
        return report.skip(&name, &format!("{error:#}"));
    }
    report.case(&name, &[Tools::CONFLUENT_KAFKA], |tools| {
        let flushes = flushes_of_produces(tools, setting, &path)?;
        println!("{PRODUCE_COUNT} produces, {flushes} flushes of a device {whose}");
        ensure!(flushes >= PRODUCE_COUNT, "{flushes} flushes for {PRODUCE_COUNT} produces");
        Ok(())
    });
}

/// Produces one record after the other, each when the one before is acknowledged. Returns how many
/// flushes the device of `folder` has completed meanwhile.
fn flushes_of_produces(tools: &Tools, setting: Setting, folder: &Path) -> Result<u64> {
    let layout = Layout { log_dirs: vec![folder.join("data")], ..Layout::default() };
    let (_site, broker) = Site::format_and_start_as(tools, setting, &layout)?;
    let traffic = Traffic::new(&broker.bootstrap(), "sequential", Site::PARTITION_COUNT);
    traffic.create_topic(tools)?;
    // The first record costs what only the first one does.
    sequential(tools, &traffic, 1)?;
    let before = flush_count(folder)?;
    sequential(tools, &traffic, PRODUCE_COUNT)?;
    let flushes = flush_count(folder)? - before;
    broker.stop()?;
    Ok(flushes)
}
