//! How long one core takes to open many partitions: `open_many [partitions] [directory]`.
//!
//! Prints a line per kind of stop before: clean with a core checkpoint, clean without one (as after Apache
//! Kafka), and a crash. A node opens as many at once on each of its cores.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use protocol::model::{LeaderEpoch, PartitionId, TimestampMs, Uuid};
use protocol::record_batch::{BatchBuilder, BatchOptions, RecordBatch};
use storage::{
    AppendAsLeader, ChunkPool, LogConfig, LogDirectory, LogOffsets, Origin, PartitionLog, Settings,
    TopicPartition, Volume,
};

/// As many as a broker's core opens at once.
const TOGETHER: usize = 64;
const RECORDS_PER_PARTITION: i64 = 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let count = arguments.next().map_or(5000, |count| count.parse().expect("a number"));
    let directory = arguments.next().map_or_else(|| "/tmp/open_many".into(), PathBuf::from);
    reactor::launch(
        reactor::Settings::default(),
        vec![directory],
        move |_, directory| async move {
            reactor::directory::create_all(&directory).await.expect("made");
            make(&directory, count).await;
            for what in ["clean, with a core checkpoint", "clean, without", "crash"] {
                measure(&directory, count, what).await;
            }
            reactor::directory::remove_all(&directory).await.expect("removed");
        },
    )
    .expect("a core")
    .join();
}

fn name(partition: usize) -> TopicPartition {
    TopicPartition { topic: "orders".to_owned(), partition: PartitionId(partition as i32) }
}

fn volume(directory: &Path) -> Rc<Volume> {
    Volume::of_core(directory, 0, Settings::default(), ChunkPool::new(64 << 20))
}

async fn each<F: Future<Output = PartitionLog> + 'static>(
    count: usize,
    work: impl Fn(usize) -> F,
) -> Vec<PartitionLog> {
    let mut logs = Vec::with_capacity(count);
    for start in (0..count).step_by(TOGETHER) {
        let range = start..count.min(start + TOGETHER);
        let tasks: Vec<_> = range.map(|partition| reactor::spawn(work(partition))).collect();
        for task in tasks {
            logs.push(task.await);
        }
    }
    logs
}

fn batch() -> RecordBatch {
    let mut builder = BatchBuilder::new(BatchOptions::default());
    for record in 0..RECORDS_PER_PARTITION {
        builder.append(TimestampMs(record), None, Some(&[7; 100]), &[]);
    }
    RecordBatch::new(builder.build()).expect("a batch")
}

async fn make(path: &Path, count: usize) {
    let directory = Rc::new(LogDirectory::open(path).await.expect("a log directory"));
    let volume = volume(path);
    let logs = each(count, |partition| {
        let (directory, volume) = (directory.clone(), volume.clone());
        async move {
            let config = LogConfig::default();
            let name = name(partition);
            let made = directory.create_partition(&volume, &name, config, Uuid::ONE).await;
            let log = made.expect("made");
            let how = AppendAsLeader {
                leader_epoch: LeaderEpoch(0),
                origin: Origin::Client,
                now: TimestampMs(0),
                log_append_time: false,
            };
            log.append_as_leader(&[batch()], how).expect("appended");
            log
        }
    })
    .await;
    stop(&directory, &volume, logs, true).await;
}

/// A clean stop; with `checkpoint`, as ours leaves it.
async fn stop(
    directory: &LogDirectory,
    volume: &Rc<Volume>,
    logs: Vec<PartitionLog>,
    checkpoint: bool,
) {
    let all = logs.clone();
    each(logs.len(), |index| {
        let log = all[index].clone();
        async move {
            log.close().await.expect("closed");
            log
        }
    })
    .await;
    if checkpoint {
        volume.write_checkpoint(&logs).await.expect("a checkpoint");
    }
    let offsets = logs.iter().enumerate().map(|(partition, log)| LogOffsets {
        name: name(partition),
        recovery_point: log.recovery_point(),
        log_start_offset: log.log_start_offset(),
        first_dirty_offset: log.first_dirty_offset(),
        high_watermark: log.log_end_offset(),
    });
    directory.write_checkpoints(&offsets.collect::<Vec<_>>()).await.expect("checkpoints");
    directory.mark_clean(7).await.expect("marked");
}

async fn measure(path: &Path, count: usize, what: &str) {
    let start = reactor::now();
    let directory = Rc::new(LogDirectory::open(path).await.expect("a log directory"));
    let listed = reactor::now();
    let volume = volume(path);
    let logs = each(count, |partition| {
        let (directory, volume) = (directory.clone(), volume.clone());
        async move {
            let name = name(partition);
            let opened = directory.open_partition(&volume, &name, LogConfig::default()).await;
            opened.expect("opened")
        }
    })
    .await;
    let opened = reactor::now();
    println!(
        "{what}: {count} partitions: {} ms for the directory, {} ms for the logs, {} us each",
        (listed - start).as_millis(),
        (opened - listed).as_millis(),
        (opened - listed).as_micros() / count as u128
    );
    match what {
        // The next one finds no core checkpoint.
        "clean, with a core checkpoint" => {
            stop(&directory, &volume, logs, false).await;
            drop(directory);
            let file = path.join("millrace-checkpoint-0");
            reactor::directory::remove_file(&file).await.expect("removed");
        }
        // The next one finds neither markers nor closed logs.
        _ => directory.claim().await.expect("claimed"),
    }
}
