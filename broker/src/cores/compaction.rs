//! Compacting the core's logs, one at a time, the dirtiest first.

use std::rc::Rc;
use std::time::Duration;

use controller::config::node_key;
use protocol::model::TimestampMs;
use storage::{Compaction, Pace};

use super::core::Core;
use crate::replica::Partition;

/// What the configuration says now.
struct Settings {
    is_enabled: bool,
    /// This core's part of what the node reads and writes for compaction.
    bytes_per_second: f64,
    /// This core's part of the memory for keys.
    map_size_bytes_max: usize,
    /// How long it rests when nothing is due.
    backoff_ms: u64,
}

impl Settings {
    fn new(core: &Core) -> Settings {
        let view = core.view();
        let layers = view.defaults.layers(&view.image);
        let core_count = core.mesh.core_count();
        let text = |name: &str| {
            let key = node_key(name).expect("a key of Kafka's");
            layers.value(key).unwrap_or_default().trim()
        };
        let unsigned = |name: &str| text(name).parse::<u64>().unwrap_or(0);
        let buffer_size_bytes = unsigned("log.cleaner.dedupe.buffer.size") as usize / core_count;
        let rate = text("log.cleaner.io.max.bytes.per.second").parse().unwrap_or(f64::MAX);
        Settings {
            is_enabled: text("log.cleaner.enable").eq_ignore_ascii_case("true"),
            bytes_per_second: rate / core_count as f64,
            map_size_bytes_max: buffer_size_bytes.max(MAP_SIZE_BYTES_MIN),
            backoff_ms: unsigned("log.cleaner.backoff.ms").clamp(1, BACKOFF_MS_MAX),
        }
    }
}

/// The keys of one large batch, without which compaction would never come further.
const MAP_SIZE_BYTES_MIN: usize = 1 << 20;

/// How often the configured pace is looked at.
const PACE_INTERVAL: Duration = Duration::from_secs(1);

/// However long it is to rest, a new configuration is heard of by then.
const BACKOFF_MS_MAX: u64 = 3_600_000;

/// Compacts the partitions of `core` until it stops.
pub async fn run(core: Rc<Core>) {
    while !core.stop.is_set() {
        let settings = Settings::new(&core);
        let has_compacted = settings.is_enabled && compact_dirtiest(&core, &settings).await;
        if !has_compacted {
            let rest = reactor::sleep(Duration::from_millis(settings.backoff_ms));
            futures_lite::future::or(core.stop.wait(), rest).await;
        }
    }
}

/// Returns whether a log was compacted: then another may be due.
async fn compact_dirtiest(core: &Core, settings: &Settings) -> bool {
    let mut dirtiest: Option<(f64, Rc<Partition>)> = None;
    for (_, partition) in core.partitions() {
        if core.stop.is_set() {
            return false;
        }
        let now = TimestampMs(reactor::wall_clock());
        match partition.log().compaction_due(now).await {
            Ok(Some(ratio)) => {
                if dirtiest.as_ref().is_none_or(|(most, _)| ratio > *most) {
                    dirtiest = Some((ratio, partition));
                }
            }
            Ok(None) => {}
            Err(error) => {
                // A log that went offline has said so; one that is closed or deleted wants nothing.
                let (topic, partition) = (&partition.topic, partition.index);
                tracing::debug!(%topic, %partition, %error, "not looked at for compaction");
            }
        }
        reactor::yield_now().await;
    }
    let Some((ratio, partition)) = dirtiest else {
        return false;
    };
    let pace = Pace::new(settings.bytes_per_second);
    let how = Compaction {
        map_size_bytes_max: settings.map_size_bytes_max,
        memory: &core.compaction,
        pace: &pace,
    };
    let started = reactor::now();
    let now = TimestampMs(reactor::wall_clock());
    let round = partition.log().compact(now, &how);
    // The log says itself why it cannot be compacted, and is not due again.
    let Ok(Some(compacted)) = futures_lite::future::or(round, keep_pace(core, &pace)).await else {
        return false;
    };
    let (topic, index) = (&partition.topic, partition.index);
    tracing::info!(
        %topic, partition = %index, ratio, elapsed = ?(reactor::now() - started),
        keys = compacted.keys,
        segments_before = compacted.segments_before, segments_after = compacted.segments_after,
        size_bytes_before = compacted.size_bytes_before,
        size_bytes_after = compacted.size_bytes_after,
        first_dirty_offset = %compacted.first_dirty_offset,
        "compacted"
    );
    // Else it would be due again at once, and again.
    compacted.segments_before > 0
}

/// Has a round hear of another pace while it is under way; never ends.
async fn keep_pace<T>(core: &Core, pace: &Pace) -> T {
    loop {
        reactor::sleep(PACE_INTERVAL).await;
        pace.set(Settings::new(core).bytes_per_second);
    }
}
