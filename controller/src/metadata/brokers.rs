//! Registrations of brokers and controllers.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::model::{BrokerEpoch, BrokerId, DirectoryId, Uuid};
use protocol::records::metadata::{
    RegisterBrokerRecord, RegisterControllerRecord, register_broker_record,
    register_controller_record,
};

/// Where a node listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    pub name: Arc<str>,
    pub host: Arc<str>,
    pub port: u16,
    /// Kafka's number: 0 PLAINTEXT, 1 SSL, 2 SASL_PLAINTEXT, 3 SASL_SSL.
    pub security_protocol: i16,
}

/// The levels of one feature that a node's software can serve, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeatureRange {
    pub min: i16,
    pub max: i16,
}

/// A registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub id: BrokerId,
    pub epoch: BrokerEpoch,
    pub incarnation_id: Uuid,
    pub listeners: Vec<Listener>,
    pub features: BTreeMap<Arc<str>, FeatureRange>,
    pub rack: Option<Arc<str>>,
    /// Fenced: it serves no client and leads nothing.
    pub fenced: bool,
    pub in_controlled_shutdown: bool,
    /// Its log directories that are online.
    pub log_dirs: Vec<DirectoryId>,
    /// Directories that take no new partition; `None` until the broker has told. Source: KIP-1066.
    pub cordoned_log_dirs: Option<Vec<DirectoryId>>,
}

/// A registered controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControllerNode {
    pub id: BrokerId,
    pub incarnation_id: Uuid,
    pub zk_migration_ready: bool,
    pub listeners: Vec<Listener>,
    pub features: BTreeMap<Arc<str>, FeatureRange>,
}

impl Broker {
    /// Whether it may lead and follow partitions.
    pub fn is_active(&self) -> bool {
        !self.fenced && !self.in_controlled_shutdown
    }

    /// Whether every directory is cordoned, so that no partition may be placed here.
    pub fn is_cordoned(&self) -> bool {
        self.cordoned_log_dirs.as_ref().is_some_and(|cordoned| {
            !self.log_dirs.is_empty() && self.log_dirs.iter().all(|dir| cordoned.contains(dir))
        })
    }

    /// Whether a replica in `directory` can be read; one that is not yet assigned can.
    pub fn has_directory(&self, directory: DirectoryId) -> bool {
        directory.is_zero() || self.log_dirs.is_empty() || self.log_dirs.contains(&directory)
    }

    /// The directory of a new replica: zero, "to be assigned", when the broker has to choose.
    pub fn default_directory(&self) -> DirectoryId {
        match self.log_dirs.as_slice() {
            &[only] => only,
            _ => DirectoryId::ZERO,
        }
    }

    pub fn from_record(record: &RegisterBrokerRecord) -> Self {
        Broker {
            id: BrokerId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation_id: record.incarnation_id,
            listeners: record
                .end_points
                .iter()
                .map(|end_point| Listener {
                    name: Arc::from(&*end_point.name),
                    host: Arc::from(&*end_point.host),
                    port: end_point.port,
                    security_protocol: end_point.security_protocol,
                })
                .collect(),
            features: record
                .features
                .iter()
                .map(|feature| {
                    let range = FeatureRange {
                        min: feature.min_supported_version,
                        max: feature.max_supported_version,
                    };
                    (Arc::from(&*feature.name), range)
                })
                .collect(),
            rack: record.rack.as_ref().map(|rack| Arc::from(&**rack)),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs: record.log_dirs.clone(),
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        }
    }

    pub fn to_record(&self) -> RegisterBrokerRecord {
        RegisterBrokerRecord {
            broker_id: self.id.0,
            is_migrating_zk_broker: false,
            incarnation_id: self.incarnation_id,
            broker_epoch: self.epoch.0,
            end_points: self
                .listeners
                .iter()
                .map(|listener| register_broker_record::BrokerEndpoint {
                    name: (*listener.name).into(),
                    host: (*listener.host).into(),
                    port: listener.port,
                    security_protocol: listener.security_protocol,
                })
                .collect(),
            features: self
                .features
                .iter()
                .map(|(name, range)| register_broker_record::BrokerFeature {
                    name: (**name).into(),
                    min_supported_version: range.min,
                    max_supported_version: range.max,
                })
                .collect(),
            rack: self.rack.as_deref().map(Into::into),
            fenced: self.fenced,
            in_controlled_shutdown: self.in_controlled_shutdown,
            log_dirs: self.log_dirs.clone(),
            cordoned_log_dirs: self.cordoned_log_dirs.clone(),
        }
    }
}

impl ControllerNode {
    pub fn from_record(record: &RegisterControllerRecord) -> Self {
        ControllerNode {
            id: BrokerId(record.controller_id),
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            listeners: record
                .end_points
                .iter()
                .map(|end_point| Listener {
                    name: Arc::from(&*end_point.name),
                    host: Arc::from(&*end_point.host),
                    port: end_point.port,
                    security_protocol: end_point.security_protocol,
                })
                .collect(),
            features: record
                .features
                .iter()
                .map(|feature| {
                    let range = FeatureRange {
                        min: feature.min_supported_version,
                        max: feature.max_supported_version,
                    };
                    (Arc::from(&*feature.name), range)
                })
                .collect(),
        }
    }

    pub fn to_record(&self) -> RegisterControllerRecord {
        RegisterControllerRecord {
            controller_id: self.id.0,
            incarnation_id: self.incarnation_id,
            zk_migration_ready: self.zk_migration_ready,
            end_points: self
                .listeners
                .iter()
                .map(|listener| register_controller_record::ControllerEndpoint {
                    name: (*listener.name).into(),
                    host: (*listener.host).into(),
                    port: listener.port,
                    security_protocol: listener.security_protocol,
                })
                .collect(),
            features: self
                .features
                .iter()
                .map(|(name, range)| register_controller_record::ControllerFeature {
                    name: (**name).into(),
                    min_supported_version: range.min,
                    max_supported_version: range.max,
                })
                .collect(),
        }
    }
}
