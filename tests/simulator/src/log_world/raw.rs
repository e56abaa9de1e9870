//! What a crash left in a log's files, before anyone repairs it.
//!
//! In each segment every byte is the one that was appended there, or zero: whatever else stood there
//! could be taken for records one day.

use std::path::Path;

use bytes::Bytes;
use protocol::model::Offset;
use protocol::record_batch::Batches;
use reactor::file::{File, Open};

use super::model::{LogModel, Presence};
use crate::verdict::Failure;

/// Checks the segments of `log`, which lies in `directory`. Nothing is open there.
pub async fn check_segments(directory: &Path, log: &LogModel) -> Result<(), Failure> {
    // What is cut while the power fails may be there or not, and be followed by neither.
    let is_known = log.cut_to.is_none() && !log.rot.is_in_segments();
    if log.presence != Presence::Present || !is_known {
        return Ok(());
    }
    let directory = directory.join(log.name.to_string());
    let Ok(entries) = reactor::directory::list(&directory).await else { return Ok(()) };
    let mut segments: Vec<(Offset, String)> = entries
        .into_iter()
        .filter_map(|entry| {
            let offset = entry.name.strip_suffix(".log")?.parse().ok()?;
            Some((Offset(offset), entry.name))
        })
        .collect();
    segments.sort();
    for (index, (base_offset, name)) in segments.iter().enumerate() {
        let next = segments.get(index + 1).map(|(next, _)| *next);
        let image = log.image(*base_offset, next);
        let unreadable =
            |error: std::io::Error| Failure::crash(format!("{}/{name}: {error}", log.name));
        let file = File::open(&directory.join(name), Open::Existing).await.map_err(unreadable)?;
        let found = file.read_range(0..file.size()).await.map_err(unreadable)?;
        if let Some(position) = first_wrong(&found, &image) {
            let extent = (*base_offset, next);
            if log.is_compacted && is_compacted_segment(log, extent, &found) {
                continue;
            }
            let what = format!(
                "{}/{name} position={position}: neither what was appended there nor zero; appended are {} bytes of {}",
                log.name,
                image.len(),
                found.len()
            );
            return Err(Failure::broken(2, what));
        }
    }
    Ok(())
}

/// Whether `found`, a segment from `base_offset` up to `next`, begins with batches that compaction may have
/// left, and goes on with what was appended behind them, or zeros: one that was compacted and cut since.
fn is_compacted_segment(
    log: &LogModel,
    (base_offset, next): (Offset, Option<Offset>),
    found: &Bytes,
) -> bool {
    let mut batches = Batches::new(found.clone());
    let (mut position, mut end) = (0, base_offset);
    while let Some(Ok(batch)) = batches.next()
        && log.check_batch(&batch).is_ok()
    {
        position = batches.whole_size_bytes();
        end = batch.header().next_offset();
    }
    let rest = found.get(position..).unwrap_or_default();
    first_wrong(rest, &log.image(end, next)).is_none()
}

/// Where `found` first has what is neither zero nor as `image` has it.
fn first_wrong(found: &[u8], image: &[u8]) -> Option<usize> {
    let mut bytes = found.iter().enumerate();
    bytes.find(|&(at, &byte)| byte != 0 && image.get(at) != Some(&byte)).map(|(at, _)| at)
}
