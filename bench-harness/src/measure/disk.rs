//! What the disk gives to anyone: direct writes, and a small write with its flush.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use hdrhistogram::Histogram;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};
use serde::Serialize;

const BULK_WRITE_SIZE_BYTES: usize = 1024 * 1024;
const BULK_WRITES_IN_FLIGHT: usize = 8;
const BULK_SIZE_BYTES: u64 = 1024 * 1024 * 1024;

const FLUSHED_WRITE_COUNT: usize = 2_000;
/// Small writes go round in blocks that were written before, as a journal's do.
const FLUSHED_RANGE_BYTES: u64 = 1024 * 1024;

/// Figures no broker on this disk can beat.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct DiskCeiling {
    /// 1 MiB direct writes, 8 at once, one flush at the end.
    pub write_mb_per_s: f64,
    /// A direct write of 4 KiB to a block that has been written, and its flush, one after the other.
    pub flushed_write_p50_us: u64,
    pub flushed_write_p99_us: u64,
}

/// Measures in `directory` with the reactor's own files, on one core.
pub fn disk_ceiling(directory: &Path) -> Result<DiskCeiling> {
    let path = directory.join("disk-ceiling");
    let (done, outcome) = mpsc::channel();
    let settings = reactor::Settings { pinned: false, ..Default::default() };
    let cores = reactor::launch(settings, vec![(path, done)], |_, (path, done)| async move {
        // The receiver lives until the core has ended.
        let _ = done.send(measure(&path).await);
    })?;
    cores.join();
    outcome.recv()?.context("measuring the disk")
}

async fn measure(path: &Path) -> Result<DiskCeiling> {
    let file = File::open(path, Open::New).await?;
    let write_mb_per_s = bulk(&file).await?;
    let flushed = flushed_writes(&file).await?;
    reactor::directory::remove_file(path).await?;
    Ok(DiskCeiling {
        write_mb_per_s,
        flushed_write_p50_us: flushed.value_at_quantile(0.5),
        flushed_write_p99_us: flushed.value_at_quantile(0.99),
    })
}

async fn bulk(file: &File) -> Result<f64> {
    let block = AlignedBuffer::zeroed(BULK_WRITE_SIZE_BYTES).into_bytes();
    let begun = reactor::now();
    let lanes: Vec<_> = (0..BULK_WRITES_IN_FLIGHT)
        .map(|lane| reactor::spawn(bulk_lane(file.clone(), block.clone(), lane)))
        .collect();
    for lane in lanes {
        lane.await?;
    }
    file.flush().await?;
    Ok(BULK_SIZE_BYTES as f64 / 1e6 / (reactor::now() - begun).as_secs_f64())
}

/// Each lane writes every eighth block.
async fn bulk_lane(file: File, block: Bytes, lane: usize) -> std::io::Result<()> {
    let step = (BULK_WRITE_SIZE_BYTES * BULK_WRITES_IN_FLIGHT) as u64;
    let mut position = (lane * BULK_WRITE_SIZE_BYTES) as u64;
    while position < BULK_SIZE_BYTES {
        file.write_at(block.clone(), position).await?;
        position += step;
    }
    Ok(())
}

async fn flushed_writes(file: &File) -> Result<Histogram<u64>> {
    let block = AlignedBuffer::zeroed(ALIGNMENT).into_bytes();
    let mut latency_us = Histogram::new_with_bounds(1, 60_000_000, 3)
        .map_err(|error| anyhow!("a histogram: {error:?}"))?;
    for count in 0..FLUSHED_WRITE_COUNT as u64 {
        let begun = reactor::now();
        let position = count * ALIGNMENT as u64 % FLUSHED_RANGE_BYTES;
        file.write_at(block.clone(), position).await?;
        file.flush().await?;
        let spent: Duration = reactor::now() - begun;
        latency_us.saturating_record(spent.as_micros() as u64);
    }
    Ok(latency_us)
}
