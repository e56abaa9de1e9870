//! The producers of a log at its end: the newest good snapshot, and the batches behind it.

use std::collections::BTreeMap;

use protocol::model::Offset;
use reactor::file::{File, Open};

use super::decision::Stop;
use super::indexes::read_indexes;
use super::known::Known;
use super::listing::{Listing, remove};
use super::load::Context;
use super::transactions::{aborted_before, write_aborted};
use crate::error::StorageError;
use crate::index::AbortedTransaction;
use crate::segment::{FileKind, Indexes, ScanEnd, Scanner, Segment, path_of};
use crate::small_file;
use crate::state::{Producers, producer_batch};

/// Returns the producers and the offset of the newest good snapshot. They come from the checkpoint where
/// it holds, else from that snapshot. Snapshots beyond the end of the log and bad ones are removed, and
/// so are those that belong to no segment but the newest.
pub(super) async fn load_producers(
    context: &Context<'_>,
    segments: &mut BTreeMap<Offset, Segment>,
    listing: Listing,
    log_end_offset: Offset,
    known: &Known<'_>,
) -> Result<(Producers, Option<Offset>), StorageError> {
    let checkpointed = known.producers();
    let Listing { mut snapshots, transaction_indexes, .. } = listing;
    let mut producers = Producers::default();
    let (mut found, mut is_beyond_the_end) = (None, false);
    while let Some(offset) = snapshots.pop() {
        let path = path_of(context.directory, FileKind::ProducerSnapshot, offset);
        if found.is_some() {
            if !segments.contains_key(&offset) {
                remove(&path).await?;
            }
            continue;
        }
        if checkpointed.is_some() && offset <= log_end_offset {
            // Nothing of it is needed.
            found = Some(offset);
            continue;
        }
        let bytes = small_file::read(&path).await?.unwrap_or_default();
        match Producers::decode_snapshot(&bytes) {
            Ok(decoded) if offset <= log_end_offset => {
                producers = decoded;
                found = Some(offset);
            }
            Ok(_beyond_the_end) => {
                remove(&path).await?;
                is_beyond_the_end = true;
            }
            Err(reason) => {
                tracing::warn!(snapshot = %path.display(), reason, "removing a bad snapshot");
                remove(&path).await?;
            }
        }
    }
    if is_beyond_the_end {
        // Other batches may come to where they are of: then they would seem to be of those.
        let flushed = reactor::directory::sync(context.directory).await;
        flushed.map_err(StorageError::io("flush", context.directory))?;
    }
    let first = segments.keys().next().copied().unwrap_or(Offset::ZERO);
    let mut from = found.unwrap_or(first);
    if let Some((checkpointed, recovery_point)) = checkpointed {
        (producers, from) = (checkpointed, recovery_point);
    }
    for segment in segments.values_mut() {
        let is_active = matches!(segment.indexes, Indexes::Growing(_));
        let is_listed = transaction_indexes.contains(&segment.base_offset);
        if segment.next_offset > from || is_active {
            let mut aborted = aborted_before(context, segment, from, known, is_listed).await?;
            replay(context, segment, from, &mut producers, &mut aborted).await?;
            segment.aborted = Some(aborted);
        }
        // What follows a truncation or a crash need not be what the file says.
        let is_stale = is_listed && is_active && known.stop == Stop::Unclean;
        if is_stale || (segment.next_offset > from && !is_active) {
            write_aborted(context.directory, segment).await?;
        }
    }
    producers.expire(context.now, context.config.producer_id_expiration_ms);
    Ok((producers, found))
}

/// Takes in the batches of one segment from offset `from` on, and the transactions that they abort.
async fn replay(
    context: &Context<'_>,
    segment: &Segment,
    from: Offset,
    producers: &mut Producers,
    aborted: &mut Vec<AbortedTransaction>,
) -> Result<(), StorageError> {
    if segment.next_offset <= from {
        return Ok(());
    }
    let path = path_of(context.directory, FileKind::Log, segment.base_offset);
    let file = File::open(&path, Open::Existing).await.map_err(StorageError::io("open", &path))?;
    let entry = match segment.loaded_indexes() {
        Some(indexes) => indexes.offsets.entry_before(from),
        None => {
            let extent = (segment.base_offset, segment.size_bytes, segment.next_offset);
            let interval_bytes = context.config.index_interval_bytes;
            let indexes = read_indexes(context.directory, &file, extent, interval_bytes).await?;
            indexes.offsets.entry_before(from)
        }
    };
    let scan = |position| {
        let (file, path) = (file.clone(), path.clone());
        Scanner::new(file, path, position, segment.size_bytes, segment.base_offset)
    };
    // Where the index leads behind the batch that it names, all of the segment is read.
    let position = match entry {
        Some((named, position)) => match scan(position).next().await? {
            Ok(scanned) if scanned.batch.header().last_offset() <= named => position,
            Ok(_) | Err(_) => 0,
        },
        None => 0,
    };
    let mut scanner = scan(position);
    loop {
        match scanner.next().await? {
            Ok(scanned) => {
                if let Some(batch) = producer_batch(&scanned.batch)
                    && batch.base_offset >= from
                {
                    aborted.extend(producers.replay(&batch));
                }
            }
            Err(ScanEnd::Whole) => return Ok(()),
            // The padding of a segment that was rolled just before a crash.
            Err(ScanEnd::Bad(_)) if scanner.next_offset() >= segment.next_offset => return Ok(()),
            Err(ScanEnd::Bad(source)) => {
                let position = u64::from(scanner.position());
                return Err(StorageError::CorruptBatch { path, position, source });
            }
        }
    }
}
