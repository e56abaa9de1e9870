//! `millrace log-dirs`: what `kafka-log-dirs` does, by the same requests.

use anyhow::Result;
use client::{ClientError, Cluster, check};
use indicatif::HumanBytes;
use protocol::error_code::ErrorCode;
use protocol::messages::describe_log_dirs::{
    DescribableLogDirTopic, DescribeLogDirsPartition, DescribeLogDirsRequest, DescribeLogDirsResult,
};
use serde_json::{Value, json};

use super::bootstrap::Bootstrap;
use super::brokers::brokers;
use super::output::{Output, all_went_well};
use super::table::Table;

/// Show brokers' log directories: whether they work, what lies there, and how much room is left.
///
/// Example: millrace log-dirs orders --broker 1 --partitions
#[derive(clap::Args)]
pub struct LogDirs {
    /// Count the partitions of these topics; without any, of all.
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
    /// Of this broker alone.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    broker: Option<i32>,
    /// A row for each partition instead of one for each directory.
    #[arg(short, long)]
    partitions: bool,
    /// Print an object a line for each directory.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

const OF_DIRECTORIES: [&str; 7] =
    ["BROKER", "DIRECTORY", "STATE", "PARTITIONS", "SIZE", "FREE", "TOTAL"];
const OF_PARTITIONS: [&str; 6] = ["BROKER", "DIRECTORY", "TOPIC", "PARTITION", "SIZE", "LAG"];

impl LogDirs {
    /// A broker that does not answer fails the command; the others are shown all the same.
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let ids = brokers(&mut cluster, self.broker)?;
        let topics = self.wanted(&mut cluster)?;
        let mut table =
            Table::new(if self.partitions { &OF_PARTITIONS } else { &OF_DIRECTORIES[..] });
        let mut output = Output::stdout();
        let mut failures = Vec::new();
        for broker_id in ids {
            let directories = match log_directories(&mut cluster, broker_id, topics.clone()) {
                Ok(directories) => directories,
                Err(error) => {
                    failures.push(format!("{:#}", anyhow::Error::new(error)));
                    continue;
                }
            };
            for directory in &directories {
                if self.json {
                    output.line(&json(broker_id, directory).to_string())?;
                } else if self.partitions {
                    add_partitions(&mut table, broker_id, directory);
                } else {
                    add_directory(&mut table, broker_id, directory);
                }
            }
        }
        if !self.json {
            output.write(table.text().as_bytes())?;
        }
        output.flush()?;
        all_went_well(&failures)
    }

    /// Partitions are asked for by their numbers; `None` for all of all topics.
    fn wanted(&self, cluster: &mut Cluster) -> Result<Option<Vec<DescribableLogDirTopic>>> {
        if self.topics.is_empty() {
            return Ok(None);
        }
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let mut wanted = Vec::new();
        for topic in cluster.metadata(Some(&names))?.topics {
            let name = topic.name.unwrap_or_default();
            check(&format!("topic {:?}", name.as_str()), topic.error_code, None)?;
            let partitions = topic.partitions.iter().map(|it| it.partition_index).collect();
            wanted.push(DescribableLogDirTopic { topic: name, partitions });
        }
        Ok(Some(wanted))
    }
}

/// The log directories of a broker that the last metadata named, with those of `topics` that lie there.
pub fn log_directories(
    cluster: &mut Cluster,
    broker_id: i32,
    topics: Option<Vec<DescribableLogDirTopic>>,
) -> Result<Vec<DescribeLogDirsResult>, ClientError> {
    let request = DescribeLogDirsRequest { topics };
    let response = cluster.call_broker(broker_id, &request, i16::MAX)?;
    check(&format!("log directories of broker {broker_id}"), response.error_code, None)?;
    let mut directories = response.results;
    directories.sort_by(|a, b| a.log_dir.cmp(&b.log_dir));
    for directory in &mut directories {
        directory.topics.sort_by(|a, b| a.name.cmp(&b.name));
        for topic in &mut directory.topics {
            topic.partitions.sort_by_key(|it| (it.partition_index, it.is_future_key));
        }
    }
    Ok(directories)
}

/// What is wrong with a directory, in Kafka's word.
pub fn failure(directory: &DescribeLogDirsResult) -> Option<String> {
    match ErrorCode::try_from(directory.error_code) {
        Ok(ErrorCode::None) => None,
        Ok(code) => Some(code.to_string()),
        Err(_) => Some(directory.error_code.to_string()),
    }
}

fn partitions_of(
    directory: &DescribeLogDirsResult,
) -> impl Iterator<Item = (&str, &DescribeLogDirsPartition)> {
    directory
        .topics
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.as_str(), partition)))
}

fn size_bytes(directory: &DescribeLogDirsResult) -> u64 {
    partitions_of(directory).filter_map(|(_, partition)| known(partition.partition_size)).sum()
}

/// The wire's -1 is nothing.
fn known(size_bytes: i64) -> Option<u64> {
    u64::try_from(size_bytes).ok()
}

fn shown(size_bytes: Option<u64>) -> String {
    size_bytes.map_or_else(|| "-".to_owned(), |bytes| HumanBytes(bytes).to_string())
}

fn add_directory(table: &mut Table, broker_id: i32, directory: &DescribeLogDirsResult) {
    let state = match failure(directory) {
        Some(code) => format!("offline ({code})"),
        None if directory.is_cordoned => "cordoned".to_owned(),
        None => "online".to_owned(),
    };
    table.row([
        broker_id.to_string(),
        directory.log_dir.to_string(),
        state,
        partitions_of(directory).count().to_string(),
        shown(Some(size_bytes(directory))),
        shown(known(directory.usable_bytes)),
        shown(known(directory.total_bytes)),
    ]);
}

fn add_partitions(table: &mut Table, broker_id: i32, directory: &DescribeLogDirsResult) {
    for (topic, partition) in partitions_of(directory) {
        // A replica that is to move here, and is not served yet.
        let moving = if partition.is_future_key { " (moving here)" } else { "" };
        table.row([
            broker_id.to_string(),
            directory.log_dir.to_string(),
            format!("{topic}{moving}"),
            partition.partition_index.to_string(),
            shown(known(partition.partition_size)),
            partition.offset_lag.to_string(),
        ]);
    }
}

fn json(broker_id: i32, directory: &DescribeLogDirsResult) -> Value {
    let partitions = partitions_of(directory).map(|(topic, partition)| {
        json!({
            "topic": topic,
            "partition": partition.partition_index,
            "size_bytes": partition.partition_size,
            "lag": partition.offset_lag,
            "is_future": partition.is_future_key,
        })
    });
    json!({
        "broker": broker_id,
        "directory": directory.log_dir.as_str(),
        "error": failure(directory),
        "cordoned": directory.is_cordoned,
        "size_bytes": size_bytes(directory),
        "free_bytes": known(directory.usable_bytes),
        "total_bytes": known(directory.total_bytes),
        "partitions": partitions.collect::<Vec<_>>(),
    })
}
