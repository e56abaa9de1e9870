//! Reading a partition of `__consumer_offsets` into its groups. Source: `CoordinatorLoaderImpl`.

use std::collections::BTreeMap;

use protocol::model::ProducerId;
use protocol::record_batch::{BatchError, Batches, ControlRecordType, RecordBatch, RecordError};
use protocol::wire::DecodeError;
use reactor::sync::Event;
use storage::{ReadError, StorageError};

use super::record::GroupRecord;
use super::shard::GroupShard;
use crate::replica::Partition;

/// What is read at a time.
const READ_SIZE_BYTES: usize = 1 << 20;

/// What a batch may be when it is decompressed: as much as any that a coordinator writes.
const DECOMPRESSED_SIZE_BYTES_MAX: usize = 256 << 20;

#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("the core is stopping")]
    Stopping,
    #[error(transparent)]
    Storage(#[from] StorageError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Batch(#[from] BatchError),
    #[error("records of the batch at offset {base_offset}: {source}")]
    Records { base_offset: protocol::model::Offset, source: RecordError },
    #[error("the record at offset {offset}: {source}")]
    Record { offset: protocol::model::Offset, source: DecodeError },
}

/// Offsets of transactions that are not decided yet.
type Pending = BTreeMap<ProducerId, Vec<GroupRecord>>;

/// Replays all that `partition` has into `shard`. What was appended before and is not committed yet is
/// waited for.
pub async fn load(
    partition: &Partition,
    mut shard: GroupShard,
    stop: &Event,
) -> Result<GroupShard, LoadError> {
    let log = partition.log();
    let end = log.log_end_offset();
    log.wait_durable(end).await?;
    let mut from = log.log_start_offset();
    let mut pending = Pending::new();
    let mut unknown_count = 0;
    while from < end {
        if stop.is_set() {
            return Err(LoadError::Stopping);
        }
        let read = log.read(from, READ_SIZE_BYTES, true, end).await?;
        if read.next_offset == from {
            // Compaction has left nothing more.
            break;
        }
        for slice in read.slices {
            for batch in Batches::new(slice) {
                unknown_count += replay_batch(&mut shard, &batch?, &mut pending)?;
            }
        }
        from = read.next_offset;
        reactor::yield_now().await;
    }
    if unknown_count > 0 {
        tracing::warn!(
            topic = %partition.topic, partition = %partition.index, records = unknown_count,
            "records of kinds of group that this broker does not serve yet: they stay in the log"
        );
    }
    Ok(shard)
}

/// Returns how many records are of an unknown kind.
fn replay_batch(
    shard: &mut GroupShard,
    batch: &RecordBatch,
    pending: &mut Pending,
) -> Result<u64, LoadError> {
    let header = batch.header();
    let base_offset = header.base_offset;
    let records = batch
        .records(DECOMPRESSED_SIZE_BYTES_MAX)
        .map_err(|source| LoadError::Records { base_offset, source })?;
    let of_transaction = header.producer_id.filter(|_| header.is_transactional());
    let mut unknown_count = 0;
    for record in records {
        let record = record.map_err(|source| LoadError::Records { base_offset, source })?;
        let Some(key) = record.key else { continue };
        if header.is_control() {
            let decided = of_transaction.and_then(|producer_id| pending.remove(&producer_id));
            if ControlRecordType::from_key(&key) == Some(ControlRecordType::Commit) {
                decided.into_iter().flatten().for_each(|record| shard.replay(&record));
            }
            continue;
        }
        let offset = record.offset;
        let decoded = GroupRecord::decode(key, record.value)
            .map_err(|source| LoadError::Record { offset, source })?;
        match (decoded, of_transaction) {
            (None, _) => unknown_count += 1,
            (Some(record), None) => shard.replay(&record),
            (Some(record), Some(id)) => pending.entry(id).or_default().push(record),
        }
    }
    Ok(unknown_count)
}
