//! `millrace produce`: records from lines.

mod partitioner;
mod producer;

use std::io::{self, BufRead, BufReader, IsTerminal as _, Read};
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use indicatif::{ProgressBar, ProgressStyle};
use protocol::record_batch::Compression;
use serde_json::json;

use super::bootstrap::Bootstrap;
use super::lines::Lines;
use super::output::Output;
use producer::Producer;

/// A line that is longer is no record that a broker would take.
const LINE_SIZE_BYTES_MAX: u64 = 256 << 20;

const READ_SIZE_BYTES: usize = 256 << 10;

/// Write a record for each line of a file or of stdin; each is in its topic, on every in-sync replica,
/// when the command has ended with 0.
///
/// Records go to the partition of their key as with Apache Kafka's own producer, those without a key to
/// all partitions in turn. What is written again after a broken connection is not there twice.
///
/// Example: printf 'ann\t3 pears\nbob\t1 plum\n' | millrace produce orders --keys
#[derive(clap::Args)]
pub struct Produce {
    topic: String,
    /// Where the lines are; without it stdin.
    file: Option<PathBuf>,
    #[command(flatten)]
    lines: Lines,
    /// Write to this partition alone.
    #[arg(short, long, value_name = "PARTITION", value_parser = clap::value_parser!(i32).range(0..))]
    partition: Option<i32>,
    /// How batches are compressed.
    #[arg(short = 'z', long, value_enum, default_value_t)]
    compression: Codec,
    /// Print an object with what was written.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// Kafka's names of codecs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Codec {
    #[default]
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl Codec {
    /// At the level that Kafka's producers have by default.
    fn compression(self) -> Compression {
        match self {
            Codec::None => Compression::None,
            Codec::Gzip => Compression::Gzip { level: None },
            Codec::Snappy => Compression::Snappy,
            Codec::Lz4 => Compression::Lz4,
            Codec::Zstd => Compression::Zstd { level: 3 },
        }
    }
}

impl Produce {
    pub fn run(&self) -> Result<()> {
        self.lines.check()?;
        let input = self.open()?;
        let cluster = self.bootstrap.connect()?;
        let mut producer = Producer::open(cluster, &self.topic, self.compression.compression())?;
        let outcome = self.write(input, &mut producer);
        let count = producer.acknowledged_count();
        if let Err(error) = outcome {
            return Err(error.context(format!("after {count} acknowledged records")));
        }
        let mut output = Output::stdout();
        if self.json {
            let written = json!({
                "topic": self.topic,
                "records": count,
                "partitions": producer.acknowledged(),
            });
            output.line(&written.to_string())?;
        } else {
            let s = if count == 1 { "" } else { "s" };
            output.line(&format!("Wrote {count} record{s} to {}.", self.topic))?;
        }
        output.flush()
    }

    fn open(&self) -> Result<Box<dyn Read>> {
        #[expect(clippy::disallowed_types, reason = "the command line is no core")]
        match &self.file {
            Some(path) => {
                let file = std::fs::File::open(path)
                    .with_context(|| format!("cannot open {}", path.display()))?;
                Ok(Box::new(file))
            }
            None => Ok(Box::new(io::stdin())),
        }
    }

    /// Whoever types sees each line written: what is there is sent before more is waited for.
    fn write(&self, input: Box<dyn Read>, producer: &mut Producer) -> Result<()> {
        let mut input = BufReader::with_capacity(READ_SIZE_BYTES, input);
        let bar = self.progress();
        let mut line = Vec::new();
        for number in 1_u64.. {
            if !input.buffer().contains(&b'\n') {
                producer.flush()?;
                bar.set_position(producer.acknowledged_count());
            }
            line.clear();
            let size = (&mut input).take(LINE_SIZE_BYTES_MAX).read_until(b'\n', &mut line);
            if size.with_context(|| format!("cannot read line {number}"))? == 0 {
                break;
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            ensure!((line.len() as u64) < LINE_SIZE_BYTES_MAX, "line {number} is too long");
            let mut record = self.lines.parse(&line).with_context(|| format!("line {number}"))?;
            match (self.partition, record.partition) {
                (Some(asked), Some(said)) if asked != said => {
                    bail!("line {number} is for partition {said}, --partition for {asked}")
                }
                (asked, said) => record.partition = asked.or(said),
            }
            producer.append(record).with_context(|| format!("line {number}"))?;
        }
        producer.flush()?;
        bar.finish_and_clear();
        Ok(())
    }

    /// Drawn on stderr where that is a terminal and nobody types.
    fn progress(&self) -> ProgressBar {
        if self.file.is_none() && io::stdin().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}");
        let bar = ProgressBar::new_spinner();
        match style {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        }
    }
}
