//! `millrace consume`: records as lines.

mod filter;
mod reader;

use std::io::{self, IsTerminal as _};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use protocol::record_batch::Record;

use super::bootstrap::Bootstrap;
use super::lines::{Line, Lines};
use super::offsets::At;
use super::output::Output;
use super::storage::wall_clock_ms;
use super::times;
use filter::Filter;
use reader::{From, Reader};

/// Print the records that are in a topic, or all that come.
///
/// Without --follow it ends where the partitions ended when it began. Records of one partition come in
/// their order. What is printed can be given to millrace produce with the same flags.
///
/// Example: millrace consume orders --format json --since 10m --key ann
#[derive(clap::Args)]
pub struct Consume {
    topic: String,
    #[command(flatten)]
    lines: Lines,
    /// Read this partition; may be given several times. Without it all.
    #[arg(short, long = "partition", value_name = "PARTITION",
          value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    /// Begin at an offset, with the last COUNT records of each partition (-COUNT), or at the
    /// beginning or the end.
    #[arg(long, value_name = "beginning|end|OFFSET|-COUNT", value_parser = from,
          allow_hyphen_values = true, default_value = "beginning")]
    from: From,
    /// Begin with the first record of this time or later: milliseconds since 1970, or how long ago, as
    /// 90s, 10m, 2h or 7d.
    #[arg(long, value_name = "TIME", value_parser = since, conflicts_with = "from")]
    since: Option<Since>,
    /// Go on with records that come, until it is interrupted.
    #[arg(short, long)]
    follow: bool,
    /// End after as many records.
    #[arg(short = 'n', long, value_name = "COUNT")]
    max: Option<u64>,
    #[command(flatten)]
    filter: Filter,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// A time of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    TimestampMs(i64),
    AgoMs(i64),
}

fn from(text: &str) -> Result<From, String> {
    match (text, text.parse::<i64>()) {
        ("beginning", _) => Ok(From::At(At::Beginning)),
        ("end", _) => Ok(From::At(At::End)),
        (_, Ok(offset)) if offset >= 0 => Ok(From::Offset(offset)),
        (_, Ok(offset)) if offset > i64::MIN => Ok(From::Last(-offset)),
        _ => Err("it has to be beginning, end, an offset, or -COUNT".to_owned()),
    }
}

fn since(text: &str) -> Result<Since, String> {
    let timestamp = || text.parse().ok().filter(|it: &i64| *it >= 0).map(Since::TimestampMs);
    let since = times::age_ms(text).map(Since::AgoMs).or_else(timestamp);
    since.ok_or_else(|| "it has to be milliseconds since 1970, or as 90s, 10m, 2h or 7d".to_owned())
}

impl Consume {
    pub fn run(&self) -> Result<()> {
        self.lines.check()?;
        let from = match self.since {
            None => self.from,
            Some(Since::TimestampMs(timestamp)) => From::At(At::TimestampMs(timestamp)),
            Some(Since::AgoMs(ago)) => {
                From::At(At::TimestampMs(wall_clock_ms()?.saturating_sub(ago).max(0)))
            }
        };
        let cluster = self.bootstrap.connect()?;
        let mut reader = Reader::open(cluster, &self.topic, &self.partitions, from, self.follow)?;
        let mut output = Output::stdout();
        let mut text = Vec::new();
        let mut left = self.max.unwrap_or(u64::MAX);
        let bar = progress();
        while left > 0 && !reader.is_done() {
            for (partition, record) in reader.read()? {
                bar.inc(1);
                if left == 0 || !self.filter.takes(&record) {
                    continue;
                }
                left -= 1;
                self.lines.write(&line_of(partition, &record)?, &mut text);
                output.write(&text)?;
                text.clear();
            }
            output.flush()?;
        }
        bar.finish_and_clear();
        Ok(())
    }
}

fn line_of(partition: i32, record: &Record) -> Result<Line> {
    let mut headers = Vec::with_capacity(record.headers.len());
    for header in &record.headers {
        let Ok(name) = String::from_utf8(header.key.to_vec()) else {
            bail!("partition {partition}, offset {}: a header's name is no UTF-8", record.offset.0);
        };
        headers.push((name, header.value.as_ref().map(|value| value.to_vec())));
    }
    Ok(Line {
        partition: Some(partition),
        offset: Some(record.offset.0),
        timestamp_ms: Some(record.timestamp.0),
        key: record.key.as_ref().map(|key| key.to_vec()),
        value: record.value.as_ref().map(|value| value.to_vec()),
        headers,
    })
}

/// Drawn on stderr where that is a terminal and records go elsewhere.
fn progress() -> ProgressBar {
    if io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner();
    match ProgressStyle::with_template("{spinner} {human_pos} records, {per_sec}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_an_offset_a_place_or_a_count() {
        for (text, want) in [
            ("beginning", Some(From::At(At::Beginning))),
            ("end", Some(From::At(At::End))),
            ("0", Some(From::Offset(0))),
            ("17", Some(From::Offset(17))),
            ("-17", Some(From::Last(17))),
            ("-9223372036854775808", None),
            ("start", None),
            ("", None),
        ] {
            assert_eq!(from(text).ok(), want, "{text}");
        }
    }

    #[test]
    fn a_time_is_a_timestamp_or_an_age() {
        for (text, want) in [
            ("1700000000000", Some(Since::TimestampMs(1_700_000_000_000))),
            ("90s", Some(Since::AgoMs(90_000))),
            ("10m", Some(Since::AgoMs(600_000))),
            ("2h", Some(Since::AgoMs(7_200_000))),
            ("7d", Some(Since::AgoMs(604_800_000))),
            ("9223372036854775807d", None),
            ("-1", None),
            ("-1s", None),
            ("s", None),
            ("", None),
            ("1ö", None),
        ] {
            assert_eq!(since(text).ok(), want, "{text}");
        }
    }
}
