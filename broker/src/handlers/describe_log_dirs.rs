//! DescribeLogDirs (KIP-113, KIP-827, KIP-1066): log directories, their space, and how large each
//! partition in them is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::describe_log_dirs::{
    DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResponse,
    DescribeLogDirsResult, DescribeLogDirsTopic,
};
use reactor::CoreIndex;

use super::request::{Refusal, RequestContext, RequestHead};
use crate::replica::{LogSize, LogSizes};

pub const VERSIONS: RangeInclusive<i16> = 1..=5;

/// What a partition takes in an answer, as structures and as bytes.
const LOG_SIZE_BYTES: usize = 128;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeLogDirsRequest,
) -> Result<DescribeLogDirsResponse, Refusal> {
    let core = &context.core;
    let mut asked = Vec::new();
    for owner in 0..core.mesh.core_count() {
        asked.push(core.ask(CoreIndex(owner), LogSizes).await);
    }
    let mut sizes = Vec::new();
    for answer in asked {
        sizes.extend(answer.await?);
    }
    context.check_granted(sizes.len() * LOG_SIZE_BYTES)?;
    let wanted = Wanted::of(request);
    let mut results = Vec::new();
    for (directory, path) in core.node.config.log_dirs.iter().enumerate() {
        let log_dir = path.to_string_lossy().as_ref().into();
        let space = match core.volumes[directory].failure() {
            Some(_) => None,
            None => reactor::directory::space(path).await.ok(),
        };
        results.push(match space {
            Some(space) => DescribeLogDirsResult {
                error_code: ErrorCode::None.into(),
                log_dir,
                topics: wanted.topics_in(directory, &sizes),
                total_bytes: wire_size(space.total_bytes),
                usable_bytes: wire_size(space.free_bytes),
                ..Default::default()
            },
            None => DescribeLogDirsResult {
                error_code: ErrorCode::KafkaStorageError.into(),
                log_dir,
                ..Default::default()
            },
        });
    }
    Ok(DescribeLogDirsResponse { results, ..Default::default() })
}

/// What is asked about; `None` for everything.
struct Wanted(Option<BTreeMap<String, BTreeSet<i32>>>);

impl Wanted {
    fn of(request: DescribeLogDirsRequest) -> Self {
        Wanted(request.topics.map(|topics| {
            let mut wanted: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
            for topic in topics {
                wanted.entry(topic.topic.to_string()).or_default().extend(topic.partitions);
            }
            wanted
        }))
    }

    fn has(&self, log: &LogSize) -> bool {
        self.0.as_ref().is_none_or(|wanted| {
            wanted.get(&*log.topic).is_some_and(|partitions| partitions.contains(&log.index.0))
        })
    }

    fn topics_in(&self, directory: usize, sizes: &[LogSize]) -> Vec<DescribeLogDirsTopic> {
        let mut topics: BTreeMap<&str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
        for log in sizes.iter().filter(|log| log.directory == directory && self.has(log)) {
            topics.entry(&log.topic).or_default().push(DescribeLogDirsPartition {
                partition_index: log.index.0,
                partition_size: wire_size(log.size_bytes),
                // How far it is behind the high watermark: a leader never is.
                offset_lag: 0,
                is_future_key: false,
            });
        }
        let topic = |(name, mut partitions): (&str, Vec<DescribeLogDirsPartition>)| {
            partitions.sort_by_key(|partition| partition.partition_index);
            DescribeLogDirsTopic { name: name.into(), partitions }
        };
        topics.into_iter().map(topic).collect()
    }
}

fn wire_size(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
