//! What every core knows of the cluster: an immutable value that is swapped when metadata move.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use controller::metadata::{KRAFT_VERSION, METADATA_VERSION, MetadataImage, SUPPORTED_FEATURES};
use controller::quota::QuotaTable;
use protocol::model::{Offset, TopicId};
use reactor::CoreIndex;

use super::placement::Placement;
use crate::replica::{PartitionKey, TopicSettings};

/// One version of the metadata, with what this broker derives from it. Metadata, routing and checks
/// read it without crossing a core.
#[derive(Clone, Debug)]
pub struct ClusterView {
    pub cluster_id: Arc<str>,
    pub image: MetadataImage,
    /// Of the controllers' quorum: no record of the image says it.
    pub kraft_version: i16,
    pub placement: Arc<Placement>,
    pub settings: Arc<BTreeMap<TopicId, Arc<TopicSettings>>>,
    /// What topics inherit where they set nothing themselves.
    pub defaults: Arc<controller::decide::Settings>,
    /// What clients are limited to.
    pub quotas: Arc<QuotaTable>,
}

/// A feature that this broker serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    pub name: &'static str,
    pub supported: RangeInclusive<i16>,
    /// The level that the cluster has agreed on; 0 for none.
    pub finalized: i16,
}

/// The features whose every level we serve today. Others are not told of before they are.
const SERVED_FEATURES: &[&str] = &[KRAFT_VERSION, METADATA_VERSION];

impl ClusterView {
    /// Before any metadata.
    pub fn empty(core_count: usize) -> Self {
        ClusterView {
            cluster_id: Arc::from(""),
            image: MetadataImage::default(),
            kraft_version: 0,
            placement: Arc::new(Placement::new(core_count)),
            settings: Arc::default(),
            defaults: Arc::default(),
            quotas: Arc::default(),
        }
    }

    /// The metadata log is folded in below this offset.
    pub fn version(&self) -> Offset {
        self.image.next_offset()
    }

    pub fn core_of(&self, partition: &PartitionKey) -> Option<CoreIndex> {
        self.placement.core_of(partition)
    }

    pub fn settings_of(&self, topic_id: TopicId) -> Option<&Arc<TopicSettings>> {
        self.settings.get(&topic_id)
    }

    pub fn features(&self) -> Vec<Feature> {
        SUPPORTED_FEATURES
            .iter()
            .filter(|(name, _)| SERVED_FEATURES.contains(name))
            .map(|(name, supported)| Feature {
                name,
                supported: supported.clone(),
                finalized: match *name {
                    KRAFT_VERSION => self.kraft_version,
                    name => self.image.feature_level(name),
                },
            })
            .collect()
    }
}
