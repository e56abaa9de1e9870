//! The cluster that runs: whether it answers, who leads its quorum, its brokers' disks, its partitions.

use client::{ClientError, Cluster, check as refused};
use protocol::messages::api_versions::{ApiVersionsRequest, ApiVersionsResponse};
use protocol::messages::describe_cluster::{DescribeClusterRequest, DescribeClusterResponse};
use protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};

use super::super::bootstrap::Bootstrap;
use super::super::brokers::brokers;
use super::super::log_dirs::{failure, log_directories};
use super::super::quorum;
use super::directory::is_low;
use super::finding::Findings;

/// How many partitions are named of those that have the same trouble.
const NAMED_COUNT_MAX: usize = 5;

const SEE_LOG: &str = "see that broker's log";

/// Asks the cluster that `bootstrap` reaches. What cannot be asked is a finding, and the rest is asked.
pub fn check(bootstrap: &Bootstrap) -> Findings {
    let mut findings = Findings::default();
    let mut cluster = match bootstrap.connect() {
        Ok(cluster) => cluster,
        Err(error) => {
            findings.broken(
                format!("{error:#}"),
                "start a broker, or see what it logged when it ended",
            );
            return findings;
        }
    };
    for (what, check) in [
        ("versions", check_versions as fn(&mut Cluster, &mut Findings) -> anyhow::Result<()>),
        ("the brokers", check_brokers),
        ("the quorum", check_quorum),
        ("log directories", check_directories),
        ("partitions", check_partitions),
    ] {
        if let Err(error) = check(&mut cluster, &mut findings) {
            findings.broken(format!("cannot ask for {what}: {error:#}"), SEE_LOG);
        }
    }
    findings
}

fn check_versions(cluster: &mut Cluster, findings: &mut Findings) -> anyhow::Result<()> {
    let request = ApiVersionsRequest {
        client_software_name: "millrace".into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
    };
    let response: ApiVersionsResponse = cluster.call(&request)?;
    refused("versions", response.error_code, None)?;
    let level = response
        .finalized_features
        .iter()
        .find(|feature| feature.name == "metadata.version")
        .and_then(|feature| controller::metadata::metadata_version_name(feature.max_version_level));
    findings.fine(format!(
        "{} answers, and speaks {} APIs; metadata.version is {}",
        cluster.server(),
        response.api_keys.len(),
        level.unwrap_or("newer than this command, or not told")
    ));
    Ok(())
}

fn check_brokers(cluster: &mut Cluster, findings: &mut Findings) -> anyhow::Result<()> {
    let mut request = DescribeClusterRequest {
        endpoint_type: 1,
        include_fenced_brokers: true,
        ..DescribeClusterRequest::default()
    };
    let response: DescribeClusterResponse = match cluster.call(&request) {
        // KIP-1073: brokers before Apache Kafka 4.0 do not tell of fenced ones.
        Err(ClientError::Encode { .. }) => {
            request.include_fenced_brokers = false;
            cluster.call(&request)?
        }
        response => response?,
    };
    refused("the cluster", response.error_code, response.error_message.as_deref())?;
    tell_brokers(&response, findings);
    Ok(())
}

fn tell_brokers(response: &DescribeClusterResponse, findings: &mut Findings) {
    let (fenced, running): (Vec<_>, Vec<_>) =
        response.brokers.iter().partition(|broker| broker.is_fenced);
    let s = if running.len() == 1 { "" } else { "s" };
    findings.fine(format!("{} broker{s} in cluster {}", running.len(), response.cluster_id));
    for broker in fenced {
        findings.broken(
            format!("broker {} is fenced: the controller does not hear from it", broker.broker_id),
            "start it; where it is gone for good, kafka-cluster unregister --id takes it out",
        );
    }
}

fn check_quorum(cluster: &mut Cluster, findings: &mut Findings) -> anyhow::Result<()> {
    let described = cluster.retry(quorum::describe)?;
    let voters = described.partition.current_voters.len();
    let s = if voters == 1 { "" } else { "s" };
    match described.partition.leader_id {
        leader @ 0.. => findings.fine(format!("controller {leader} leads {voters} voter{s}")),
        _ => findings.broken(
            format!(
                "none of {voters} controllers leads: topics and configurations cannot be altered"
            ),
            "start controllers until more than half of them run",
        ),
    }
    Ok(())
}

fn check_directories(cluster: &mut Cluster, findings: &mut Findings) -> anyhow::Result<()> {
    for id in brokers(cluster, None)? {
        let directories = match log_directories(cluster, id, None) {
            Ok(directories) => directories,
            Err(error) => {
                let error = anyhow::Error::new(error);
                findings
                    .broken(format!("broker {id} does not tell of its disks: {error:#}"), SEE_LOG);
                continue;
            }
        };
        let mut online = 0;
        for directory in &directories {
            let name = &directory.log_dir;
            if let Some(code) = failure(directory) {
                findings.broken(
                    format!("broker {id}: {name} is offline: {code}"),
                    format!("see broker {id}'s log and the kernel's (`dmesg`); mend the disk, then restart"),
                );
                continue;
            }
            online += 1;
            let sizes = (directory.usable_bytes.try_into(), directory.total_bytes.try_into());
            if let (Ok(free), Ok(total)) = sizes
                && is_low(free, total)
            {
                findings.warning(
                    format!("broker {id}: {name} has only {} MiB left", free >> 20),
                    "make room, or keep less: log.retention.bytes, log.retention.ms",
                );
            }
        }
        findings
            .fine(format!("broker {id}: {online} of {} log directories online", directories.len()));
    }
    Ok(())
}

fn check_partitions(cluster: &mut Cluster, findings: &mut Findings) -> anyhow::Result<()> {
    let topics = cluster.metadata(None)?.topics;
    let partitions = topics.iter().map(|topic| topic.partitions.len()).sum::<usize>();
    let leaderless = those(&topics, |partition| partition.leader_id < 0);
    let behind = those(&topics, |partition| {
        partition.leader_id >= 0 && partition.isr_nodes.len() < partition.replica_nodes.len()
    });
    if leaderless.is_empty() && behind.is_empty() {
        let topics = topics.len();
        findings
            .fine(format!("{partitions} partitions of {topics} topics have leader and replicas"));
    }
    if !leaderless.is_empty() {
        findings.broken(
            format!("{} have no leader: {}", counted(&leaderless), named(&leaderless)),
            "bring back the brokers and disks that keep them (millrace topic describe shows which)",
        );
    }
    if !behind.is_empty() {
        findings.warning(
            format!("{} lack replicas in sync: {}", counted(&behind), named(&behind)),
            "bring back the brokers and disks that keep them, and wait until they have caught up",
        );
    }
    Ok(())
}

/// The partitions that are `so`, by name.
fn those(
    topics: &[MetadataResponseTopic],
    so: impl Fn(&MetadataResponsePartition) -> bool,
) -> Vec<String> {
    let mut names = Vec::new();
    for topic in topics {
        let name = topic.name.as_deref().unwrap_or_default();
        let partitions = topic.partitions.iter().filter(|partition| so(partition));
        names.extend(partitions.map(|partition| format!("{name}-{}", partition.partition_index)));
    }
    names.sort();
    names
}

fn counted(names: &[String]) -> String {
    format!("{} partition{}", names.len(), if names.len() == 1 { "" } else { "s" })
}

fn named(names: &[String]) -> String {
    let shown = names.len().min(NAMED_COUNT_MAX);
    let more = if names.len() > shown { ", …" } else { "" };
    names[..shown].join(", ") + more
}

#[cfg(test)]
mod tests {
    use protocol::messages::describe_cluster::DescribeClusterBroker;

    use super::*;

    fn partition(index: i32, leader_id: i32, isr_nodes: &[i32]) -> MetadataResponsePartition {
        MetadataResponsePartition {
            partition_index: index,
            leader_id,
            replica_nodes: vec![1, 2],
            isr_nodes: isr_nodes.to_vec(),
            ..MetadataResponsePartition::default()
        }
    }

    #[test]
    fn partitions_in_trouble_are_counted_and_some_named() {
        let partitions = (0..7).map(|index| partition(index, -1, &[1])).collect();
        let topic = MetadataResponseTopic {
            name: Some("t".into()),
            partitions,
            ..MetadataResponseTopic::default()
        };
        let names = those(&[topic], |partition| partition.leader_id < 0);
        assert_eq!(counted(&names), "7 partitions");
        assert_eq!(named(&names), "t-0, t-1, t-2, t-3, t-4, …");
        assert_eq!(counted(&names[..1]), "1 partition");
        assert_eq!(named(&names[..1]), "t-0");
    }

    #[test]
    fn a_fenced_broker_is_no_running_one() {
        let broker = |broker_id, is_fenced| DescribeClusterBroker {
            broker_id,
            is_fenced,
            ..DescribeClusterBroker::default()
        };
        let response = DescribeClusterResponse {
            brokers: vec![broker(1, false), broker(2, true)],
            cluster_id: "c".into(),
            ..DescribeClusterResponse::default()
        };
        let mut findings = Findings::default();
        tell_brokers(&response, &mut findings);
        let want = "cluster\n  ok       1 broker in cluster c\n  \
                    broken   broker 2 is fenced: the controller does not hear from it\n           \
                    do: start it; where it is gone for good, kafka-cluster unregister --id takes it out\n";
        assert_eq!(findings.text("cluster"), want);
    }
}
