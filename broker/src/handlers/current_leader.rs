//! Who leads a partition, for a client that asked the wrong broker or an old leader (KIP-951).

use std::collections::BTreeMap;

use controller::metadata::{Broker, Topic};
use protocol::model::PartitionId;

use crate::cores::ClusterView;

/// The leaders that one answer names, and where each is reached.
pub struct CurrentLeaders<'a> {
    view: &'a ClusterView,
    listener: &'a str,
    named: BTreeMap<i32, LeaderEndpoint>,
}

/// A leader as the answer's clients reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaderEndpoint {
    pub node_id: i32,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

impl<'a> CurrentLeaders<'a> {
    pub fn new(view: &'a ClusterView, listener: &'a str) -> Self {
        CurrentLeaders { view, listener, named: BTreeMap::new() }
    }

    /// Id and epoch of the leader of a partition, each -1 where it is not known, as the wire has it.
    pub fn name(&mut self, topic: Option<&Topic>, partition: i32) -> (i32, i32) {
        let partition = topic.and_then(|topic| topic.partitions.get(&PartitionId(partition)));
        let Some(partition) = partition else { return (-1, -1) };
        if let Some(leader) = partition.leader
            && let Some(broker) = self.view.image.broker(leader).filter(|broker| !broker.fenced)
            && let Some(endpoint) = endpoint(broker, self.listener)
        {
            self.named.insert(leader.0, endpoint);
        }
        (partition.leader.map_or(-1, |leader| leader.0), partition.leader_epoch.0)
    }

    /// Where those that were named are reached, each once.
    pub fn into_endpoints(self) -> impl Iterator<Item = LeaderEndpoint> {
        self.named.into_values()
    }
}

fn endpoint(broker: &Broker, listener: &str) -> Option<LeaderEndpoint> {
    let endpoint = broker.listeners.iter().find(|known| &*known.name == listener)?;
    Some(LeaderEndpoint {
        node_id: broker.id.0,
        host: endpoint.host.to_string(),
        port: endpoint.port,
        rack: broker.rack.as_deref().map(str::to_owned),
    })
}
