//! `millrace quorum`: what `kafka-metadata-quorum describe` does, by the same requests.

use anyhow::Result;
use client::{ClientError, Cluster, check};
use protocol::messages::describe_quorum::{
    DescribeQuorumRequest, DescribeQuorumResponse, Node, ReplicaState, RequestPartitionData,
    RequestTopicData, ResponsePartitionData,
};
use serde_json::{Value, json};

use super::bootstrap::Bootstrap;
use super::output::Output;
use super::table::Table;

/// Show who keeps the cluster's metadata: the controllers, their leader, and how far each one is.
///
/// Example: millrace quorum --bootstrap-server broker-1:9092
#[derive(clap::Args)]
pub struct Quorum {
    /// Print an object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

/// What the leader says of the metadata log.
pub struct Described {
    pub partition: ResponsePartitionData,
    nodes: Vec<Node>,
}

impl Quorum {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let cluster_id = cluster.metadata(Some(&[]))?.cluster_id;
        let described = cluster.retry(describe)?;
        let mut output = Output::stdout();
        if self.json {
            output.line(&described.json(cluster_id.as_deref()).to_string())?;
        } else {
            output.write(described.text(cluster_id.as_deref()).as_bytes())?;
        }
        output.flush()
    }
}

/// Asks any broker, which asks the leader.
pub fn describe(cluster: &mut Cluster) -> Result<Described, ClientError> {
    let partitions = vec![RequestPartitionData { partition_index: 0 }];
    let topic = RequestTopicData { topic_name: "__cluster_metadata".into(), partitions };
    let response = cluster.call(&DescribeQuorumRequest { topics: vec![topic] })?;
    let DescribeQuorumResponse { error_code, error_message, topics, nodes } = response;
    let what = "the metadata quorum";
    check(what, error_code, error_message.as_deref())?;
    let mut partition =
        topics.into_iter().flat_map(|topic| topic.partitions).next().unwrap_or_default();
    check(what, partition.error_code, partition.error_message.as_deref())?;
    partition.current_voters.sort_by_key(|voter| voter.replica_id);
    partition.observers.sort_by_key(|observer| observer.replica_id);
    Ok(Described { partition, nodes })
}

impl Described {
    /// Where the metadata log ends, by its leader.
    fn log_end_offset(&self) -> Option<i64> {
        let leader = self.partition.leader_id;
        let voter = self.partition.current_voters.iter().find(|it| it.replica_id == leader)?;
        known(voter.log_end_offset)
    }

    fn lag(&self, replica: &ReplicaState) -> Option<i64> {
        Some((self.log_end_offset()? - known(replica.log_end_offset)?).max(0))
    }

    fn replicas(&self) -> impl Iterator<Item = (&'static str, &ReplicaState)> {
        let leader = self.partition.leader_id;
        let role = move |id| if id == leader { "leader" } else { "voter" };
        let voters = self.partition.current_voters.iter().map(move |it| (role(it.replica_id), it));
        voters.chain(self.partition.observers.iter().map(|it| ("observer", it)))
    }

    fn text(&self, cluster_id: Option<&str>) -> String {
        let ResponsePartitionData { leader_id, leader_epoch, high_watermark, .. } = self.partition;
        let leader = match known(leader_id.into()) {
            Some(id) => format!("{id} in epoch {leader_epoch}"),
            None => format!("none in epoch {leader_epoch}"),
        };
        let mut table = Table::new(&["NODE", "ROLE", "LOG END", "LAG", "CAUGHT UP", "DIRECTORY"]);
        let number = |it: Option<i64>| it.map_or_else(|| "-".to_owned(), |it| it.to_string());
        // The leader's own times are its now: clocks of other hosts do not come into it.
        let now_ms = self
            .replicas()
            .find(|(role, _)| *role == "leader")
            .and_then(|(_, it)| known(it.last_caught_up_timestamp));
        for (role, replica) in self.replicas() {
            let caught_up = known(replica.last_caught_up_timestamp);
            let ago = now_ms.zip(caught_up).map(|(now, then)| format!("{} ms ago", now - then));
            table.row([
                replica.replica_id.to_string(),
                role.to_owned(),
                number(known(replica.log_end_offset)),
                number(self.lag(replica)),
                ago.unwrap_or_else(|| "-".to_owned()),
                directory(replica).unwrap_or_else(|| "-".to_owned()),
            ]);
        }
        format!(
            "cluster         {}\nleader          {leader}\nhigh watermark  {}\n\n{}",
            cluster_id.unwrap_or("unknown"),
            number(known(high_watermark)),
            table.text()
        )
    }

    fn json(&self, cluster_id: Option<&str>) -> Value {
        let listeners = |id: i32| {
            let node = self.nodes.iter().find(|node| node.node_id == id);
            let listeners = node.into_iter().flat_map(|node| &node.listeners);
            let listeners = listeners.map(
                |it| json!({ "name": it.name.as_str(), "host": it.host.as_str(), "port": it.port }),
            );
            listeners.collect::<Vec<_>>()
        };
        let replicas = self.replicas().map(|(role, replica)| {
            json!({
                "node": replica.replica_id,
                "role": role,
                "directory_id": directory(replica),
                "log_end_offset": known(replica.log_end_offset),
                "lag": self.lag(replica),
                "last_fetch_ms": known(replica.last_fetch_timestamp),
                "last_caught_up_ms": known(replica.last_caught_up_timestamp),
                "listeners": listeners(replica.replica_id),
            })
        });
        json!({
            "cluster_id": cluster_id,
            "leader": known(self.partition.leader_id.into()),
            "leader_epoch": self.partition.leader_epoch,
            "high_watermark": known(self.partition.high_watermark),
            "replicas": replicas.collect::<Vec<_>>(),
        })
    }
}

/// The wire's -1 is nothing.
fn known(number: i64) -> Option<i64> {
    (number >= 0).then_some(number)
}

/// The id of the directory that a replica votes with; those of a static quorum have none.
fn directory(replica: &ReplicaState) -> Option<String> {
    let id = replica.replica_directory_id;
    (!id.is_zero()).then(|| id.to_string())
}
