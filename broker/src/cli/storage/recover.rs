//! `millrace storage recover`: after a crash, back to what a clean stop leaves, without a broker.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use storage::{ChunkPool, RecoverProgress, Recovered, Settings, StorageError, Volume};

use super::on_core::run_on_core;
use super::verify::progress_bar;
use super::{Source, all_directories};

/// Memory for what is read and appended; logs are recovered one after the other.
const CHUNKS_SIZE_BYTES: usize = 128 << 20;

/// Bring what a crash has left in the journal into the segments, complete all files, and take the guard
/// away, so that Apache Kafka may start, too. Exits with 1 where a partition cannot be recovered; the
/// guard then stays.
///
/// Example: millrace storage recover -c server.properties
#[derive(clap::Args)]
pub struct Recover {
    /// Kafka's server.properties; without it the embedded default.
    #[arg(short = 'c', long)]
    config: Option<PathBuf>,
    /// Print what was done as JSON, an object per log directory.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    source: Source,
}

impl Recover {
    pub fn run(&self) -> Result<()> {
        let config = self.source.load(self.config.as_deref())?.config;
        let mut offline_count = 0;
        for directory in all_directories(&config) {
            let recovered = recover(directory.clone(), config.storage.clone())?;
            offline_count += recovered.offline.len();
            if self.json {
                print_json(&directory, &recovered);
            } else {
                print(&directory, &recovered);
            }
        }
        match offline_count {
            0 => Ok(()),
            _ => bail!(
                "{offline_count} partitions could not be recovered, and Apache Kafka cannot start: \
                 see `millrace storage verify` and docs/storage.md"
            ),
        }
    }
}

fn recover(directory: PathBuf, settings: Settings) -> Result<Recovered> {
    let bar = progress_bar("replaying the journal");
    let shown = bar.clone();
    let path = directory.clone();
    let recovered: Result<Recovered, StorageError> =
        run_on_core(&[&directory], move || async move {
            let volume = Volume::new(&path, settings, ChunkPool::new(CHUNKS_SIZE_BYTES));
            storage::recover(&volume, &mut |progress| show(&shown, progress)).await
        })?;
    bar.finish_and_clear();
    Ok(recovered?)
}

fn show(bar: &ProgressBar, progress: RecoverProgress) {
    match progress {
        RecoverProgress::Journals(journals) => {
            bar.set_length(journals.total_bytes);
            bar.set_position(journals.done_bytes);
        }
        RecoverProgress::Logs { done, total } => {
            bar.set_message(format!("recovering logs, {done} of {total}"));
        }
    }
}

fn print(directory: &Path, recovered: &Recovered) {
    let directory = directory.display();
    if recovered.was_clean {
        println!("{directory}: the last stop was clean, nothing to do");
        return;
    }
    println!(
        "{directory}: {} partitions recovered, {} bytes from the journal",
        recovered.partitions, recovered.appended_bytes
    );
    for (partition, reason) in &recovered.offline {
        println!("{directory}: {partition} stays offline: {reason}");
    }
}

fn print_json(directory: &Path, recovered: &Recovered) {
    let offline = |(partition, reason): &(storage::TopicPartition, String)| serde_json::json!({ "partition": partition.to_string(), "reason": reason });
    let line = serde_json::json!({
        "directory": directory,
        "was_clean": recovered.was_clean,
        "partitions": recovered.partitions,
        "appended_bytes": recovered.appended_bytes,
        "offline": recovered.offline.iter().map(offline).collect::<Vec<_>>(),
    });
    println!("{line}");
}
