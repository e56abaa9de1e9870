//! BrokerRegistration and BrokerHeartbeat: brokers come, serve and go. Sources: KIP-631, KIP-966,
//! Kafka's `ClusterControlManager` and `BrokerHeartbeatManager`.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::error_code::ErrorCode;
use protocol::messages::{
    BrokerHeartbeatRequest, BrokerHeartbeatResponse, BrokerRegistrationRequest,
    BrokerRegistrationResponse,
};
use protocol::model::{BrokerEpoch, BrokerId, DirectoryId, Offset};
use protocol::records::metadata::{BrokerRegistrationChangeRecord, MetadataRecord};

use crate::metadata::{Broker, FeatureRange, KRAFT_VERSION, Listener};

use super::leadership::{
    Move, fence_broker, move_from_directories, move_partitions, unfence_broker,
};
use super::{Decision, Refusal, View};

/// Directory ids below this number have meanings of their own (unassigned, lost, migrating).
const RESERVED_DIRECTORY_IDS: u8 = 100;

/// The registered broker with that epoch.
pub(super) fn check_broker_epoch<'a>(
    view: &View<'a>,
    broker: BrokerId,
    epoch: BrokerEpoch,
) -> Result<&'a Arc<Broker>, Refusal> {
    match view.image.broker(broker) {
        Some(registration) if registration.epoch == epoch => Ok(registration),
        Some(registration) => Err(Refusal::new(
            ErrorCode::StaleBrokerEpoch,
            format!("Broker {broker} is registered with epoch {}, not {epoch}", registration.epoch),
        )),
        None => Err(Refusal::new(
            ErrorCode::StaleBrokerEpoch,
            format!("Broker {broker} is not registered"),
        )),
    }
}

/// Registers a broker, fenced; its epoch is the offset of this decision's first record.
pub fn broker_registration(
    view: &View<'_>,
    request: &BrokerRegistrationRequest,
) -> Result<Decision<BrokerRegistrationResponse>, Refusal> {
    let id = BrokerId(request.broker_id);
    check_registration(view, request)?;
    let known = view.image.broker(id);
    let mut broker = Broker {
        id,
        epoch: BrokerEpoch(view.next_offset.0),
        incarnation_id: request.incarnation_id,
        listeners: listeners(request),
        features: check_features(view, request)?,
        rack: request.rack.as_deref().map(Arc::from),
        fenced: true,
        in_controlled_shutdown: false,
        log_dirs: request.log_dirs.clone(),
        cordoned_log_dirs: None,
    };
    let mut records = Vec::new();
    match known {
        // The same process again, which did not get its answer.
        Some(known) if known.incarnation_id == request.incarnation_id => {
            broker.epoch = known.epoch;
            broker.fenced = known.fenced;
            broker.in_controlled_shutdown = known.in_controlled_shutdown;
            broker.cordoned_log_dirs.clone_from(&known.cordoned_log_dirs);
        }
        // A new process. One that can name its predecessor's epoch stopped cleanly.
        Some(known) => {
            let is_clean = request.previous_broker_epoch == known.epoch.0;
            let change = if is_clean { Move::Leaves(id) } else { Move::LostWrites(id) };
            records.extend(move_partitions(view, change));
        }
        None => {}
    }
    records.push(MetadataRecord::RegisterBroker(broker.to_record()));
    let response = BrokerRegistrationResponse {
        broker_epoch: broker.epoch.0,
        ..BrokerRegistrationResponse::default()
    };
    Ok(Decision { records, response })
}

fn check_registration(view: &View<'_>, request: &BrokerRegistrationRequest) -> Result<(), Refusal> {
    let id = BrokerId(request.broker_id);
    let ours = &view.settings.cluster_id;
    if *request.cluster_id != **ours {
        return Err(Refusal::new(
            ErrorCode::InconsistentClusterId,
            format!("Expected cluster id {ours}, but got {}", request.cluster_id),
        ));
    }
    if let Some(known) = view.image.broker(id)
        && known.incarnation_id != request.incarnation_id
        && !known.in_controlled_shutdown
        && view.sessions.is_valid(id, view.now.monotonic)
    {
        return Err(Refusal::new(
            ErrorCode::DuplicateBrokerRegistration,
            format!("Another broker is registered with id {id}, and its session is alive"),
        ));
    }
    if request.is_migrating_zk_broker {
        return Err(Refusal::new(
            ErrorCode::BrokerIdNotRegistered,
            "Brokers that use ZooKeeper cannot register",
        ));
    }
    check_directories(view, id, &request.log_dirs)
}

fn check_directories(
    view: &View<'_>,
    id: BrokerId,
    log_dirs: &[DirectoryId],
) -> Result<(), Refusal> {
    let invalid = |message: String| Err(Refusal::new(ErrorCode::InvalidRegistration, message));
    if log_dirs.is_empty() {
        return invalid("The registration names no log directory".to_owned());
    }
    for (index, directory) in log_dirs.iter().enumerate() {
        let [leading @ .., last] = directory.0;
        if leading == [0; 15] && last < RESERVED_DIRECTORY_IDS {
            return invalid(format!("Directory id {directory} is reserved"));
        }
        if log_dirs[..index].contains(directory) {
            return invalid(format!("Directory id {directory} is named twice"));
        }
        let mut others = view.image.brokers().values().filter(|broker| broker.id != id);
        if let Some(other) = others.find(|broker| broker.log_dirs.contains(directory)) {
            return invalid(format!("Directory id {directory} is that of broker {}", other.id));
        }
    }
    Ok(())
}

fn listeners(request: &BrokerRegistrationRequest) -> Vec<Listener> {
    let listener = |listener: &protocol::messages::broker_registration::Listener| Listener {
        name: Arc::from(&*listener.name),
        host: Arc::from(&*listener.host),
        port: listener.port,
        security_protocol: listener.security_protocol,
    };
    request.listeners.iter().map(listener).collect()
}

/// The broker's features; every level that the cluster has must be among them.
fn check_features(
    view: &View<'_>,
    request: &BrokerRegistrationRequest,
) -> Result<BTreeMap<Arc<str>, FeatureRange>, Refusal> {
    let features: BTreeMap<Arc<str>, FeatureRange> = request
        .features
        .iter()
        .map(|feature| {
            let range = FeatureRange {
                min: feature.min_supported_version,
                max: feature.max_supported_version,
            };
            (Arc::from(&*feature.name), range)
        })
        .collect();
    for (name, &level) in view.image.features() {
        // Not in the metadata records but in KRaft's own; the broker follows what the quorum does.
        if **name == *KRAFT_VERSION {
            continue;
        }
        let range = features.get(name).copied().unwrap_or(FeatureRange { min: 0, max: 0 });
        if !(range.min..=range.max).contains(&level) {
            return Err(Refusal::new(
                ErrorCode::UnsupportedVersion,
                format!(
                    "The broker supports {name} from {} to {}, but the cluster is at {level}",
                    range.min, range.max
                ),
            ));
        }
    }
    Ok(features)
}

/// What a broker is, and what a heartbeat makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BrokerState {
    Fenced,
    Unfenced,
    ControlledShutdown,
    ShutdownNow,
}

/// Hears of a broker: fences, unfences, or lets it shut down.
pub fn broker_heartbeat(
    view: &View<'_>,
    request: &BrokerHeartbeatRequest,
) -> Result<Decision<BrokerHeartbeatResponse>, Refusal> {
    let (id, epoch) = (BrokerId(request.broker_id), BrokerEpoch(request.broker_epoch));
    let broker = check_broker_epoch(view, id, epoch)?;
    // The epoch is the offset of the registration, or of the record before it that it came with.
    let is_caught_up = request.current_metadata_offset >= epoch.0;
    let current = state_of(broker);
    let next = match next_state(view, broker, request, current, is_caught_up) {
        // First the directories: a broker must not be made leader of what it has just lost.
        BrokerState::Unfenced if loses_directories(broker, request) => current,
        next => next,
    };
    let mut records = match next {
        _ if next == current => Vec::new(),
        BrokerState::Unfenced => unfence_broker(view, id, epoch),
        BrokerState::Fenced | BrokerState::ShutdownNow => fence_broker(view, id),
        BrokerState::ControlledShutdown => begin_shutdown(view, id, epoch),
    };
    records.extend(directory_changes(view, broker, request, &records));
    let response = BrokerHeartbeatResponse {
        is_caught_up,
        is_fenced: matches!(next, BrokerState::Fenced | BrokerState::ShutdownNow),
        should_shut_down: next == BrokerState::ShutdownNow,
        ..BrokerHeartbeatResponse::default()
    };
    Ok(Decision { records, response })
}

fn loses_directories(broker: &Broker, request: &BrokerHeartbeatRequest) -> bool {
    broker.log_dirs.iter().any(|directory| request.offline_log_dirs.contains(directory))
}

fn state_of(broker: &Broker) -> BrokerState {
    if broker.fenced {
        BrokerState::Fenced
    } else if broker.in_controlled_shutdown {
        BrokerState::ControlledShutdown
    } else {
        BrokerState::Unfenced
    }
}

fn next_state(
    view: &View<'_>,
    broker: &Broker,
    request: &BrokerHeartbeatRequest,
    current: BrokerState,
    is_caught_up: bool,
) -> BrokerState {
    let leads = || {
        view.image.topics().iter().any(|topic| {
            topic.partitions.values().any(|partition| partition.leader == Some(broker.id))
        })
    };
    match current {
        BrokerState::Fenced if request.want_shut_down => BrokerState::ShutdownNow,
        BrokerState::Fenced if !request.want_fence && is_caught_up => BrokerState::Unfenced,
        BrokerState::Fenced => BrokerState::Fenced,
        BrokerState::Unfenced => match (request.want_fence, request.want_shut_down) {
            (true, true) => BrokerState::ShutdownNow,
            (true, false) => BrokerState::Fenced,
            (false, true) if leads() => BrokerState::ControlledShutdown,
            (false, true) => BrokerState::ShutdownNow,
            (false, false) => BrokerState::Unfenced,
        },
        BrokerState::ControlledShutdown if leads() || !others_know(view, broker.id) => {
            BrokerState::ControlledShutdown
        }
        BrokerState::ControlledShutdown | BrokerState::ShutdownNow => BrokerState::ShutdownNow,
    }
}

/// Whether every active broker has read that `broker` is shutting down.
fn others_know(view: &View<'_>, broker: BrokerId) -> bool {
    let Some(shutdown_offset) = view.sessions.shutdown_offset(broker) else { return true };
    let mut active = view.image.brokers().values().filter(|other| other.is_active());
    active.all(|other| {
        let read: Option<Offset> = view.sessions.metadata_offset(other.id);
        read.is_some_and(|read| read >= shutdown_offset)
    })
}

fn begin_shutdown(view: &View<'_>, id: BrokerId, epoch: BrokerEpoch) -> Vec<MetadataRecord> {
    let mut records =
        vec![MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: id.0,
            broker_epoch: epoch.0,
            in_controlled_shutdown: 1,
            ..BrokerRegistrationChangeRecord::default()
        })];
    records.extend(move_partitions(view, Move::Leaves(id)));
    records
}

/// Directories that failed, or that take no new partitions any more.
fn directory_changes(
    view: &View<'_>,
    broker: &Broker,
    request: &BrokerHeartbeatRequest,
    earlier: &[MetadataRecord],
) -> Vec<MetadataRecord> {
    let change = |change: BrokerRegistrationChangeRecord| {
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_id: broker.id.0,
            broker_epoch: broker.epoch.0,
            ..change
        })
    };
    let mut records = Vec::new();
    if loses_directories(broker, request) {
        let (_, online): (Vec<_>, Vec<_>) =
            broker.log_dirs.iter().partition(|&dir| request.offline_log_dirs.contains(dir));
        // A record without directories says "no change": who lost all of them stops by itself.
        if !online.is_empty() {
            records.push(change(BrokerRegistrationChangeRecord {
                log_dirs: online,
                ..BrokerRegistrationChangeRecord::default()
            }));
        }
        // What has just moved away from the whole broker needs no second record.
        if earlier.is_empty() {
            records.extend(move_from_directories(view, broker.id, &request.offline_log_dirs));
        }
    }
    if request.cordoned_log_dirs.is_some() && request.cordoned_log_dirs != broker.cordoned_log_dirs
    {
        records.push(change(BrokerRegistrationChangeRecord {
            cordoned_log_dirs: request.cordoned_log_dirs.clone(),
            ..BrokerRegistrationChangeRecord::default()
        }));
    }
    records
}
