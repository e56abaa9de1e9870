//! UnregisterBroker: the cluster forgets a broker, and counts on it no more. Source: KIP-730.

use protocol::error_code::ErrorCode;
use protocol::messages::{UnregisterBrokerRequest, UnregisterBrokerResponse};
use protocol::model::BrokerId;
use protocol::records::metadata::{MetadataRecord, UnregisterBrokerRecord};

use super::leadership::{Move, move_partitions};
use super::{Decision, Refusal, View};

pub fn unregister_broker(
    view: &View<'_>,
    request: &UnregisterBrokerRequest,
) -> Result<Decision<UnregisterBrokerResponse>, Refusal> {
    let id = BrokerId(request.broker_id);
    let Some(broker) = view.image.broker(id) else {
        let message = format!("Broker ID {id} is not currently registered");
        return Err(Refusal::new(ErrorCode::BrokerIdNotRegistered, message));
    };
    // Stricter than Apache Kafka, which forgets a broker that lives, and whose every heartbeat then fails.
    // This one would have to restart to come back.
    if view.settings.local_broker == Some(id) {
        let message = format!("Broker {id} is this node, which runs: stop it first");
        return Err(Refusal::new(ErrorCode::InvalidRequest, message));
    }
    let mut records = move_partitions(view, Move::Leaves(id));
    records.push(MetadataRecord::UnregisterBroker(UnregisterBrokerRecord {
        broker_id: id.0,
        broker_epoch: broker.epoch.0,
    }));
    Ok(Decision { records, response: UnregisterBrokerResponse::default() })
}
