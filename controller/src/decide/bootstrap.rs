//! The first records of a new cluster.

use protocol::records::metadata::{
    BeginTransactionRecord, ConfigRecord, EndTransactionRecord, FeatureLevelRecord, MetadataRecord,
};
use protocol::wire::WireString;

use crate::config::{NodeLayers, topic_key};
use crate::metadata::{
    ConfigResource, ELR_VERSION, GROUP_VERSION, METADATA_VERSION, METADATA_VERSION_MAX,
    SHARE_VERSION, STREAMS_VERSION, TRANSACTION_VERSION,
};

use super::Settings;

/// Features of a new cluster, as `kafka-storage format` of 4.3 writes them to `bootstrap.checkpoint`.
const FEATURES: [(&str, i16); 6] = [
    (METADATA_VERSION, METADATA_VERSION_MAX),
    (ELR_VERSION, 1),
    (GROUP_VERSION, 1),
    (SHARE_VERSION, 1),
    (STREAMS_VERSION, 1),
    (TRANSACTION_VERSION, 2),
];

/// The records of `bootstrap.checkpoint` when nothing else is asked for.
pub fn bootstrap_feature_records() -> Vec<MetadataRecord> {
    let record = |(name, feature_level)| {
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: WireString::from_static(name),
            feature_level,
        })
    };
    FEATURES.into_iter().map(record).collect()
}

/// What the first leader of a new cluster writes: the records of `bootstrap.checkpoint` in one
/// transaction. With eligible leader replicas, `min.insync.replicas` belongs to the cluster and no
/// longer to each broker's file, so its value moves into the log. Source: KIP-966.
pub fn bootstrap_records(
    checkpoint: &[MetadataRecord],
    settings: &Settings,
) -> Vec<MetadataRecord> {
    let has_elr = checkpoint.iter().any(|record| match record {
        MetadataRecord::FeatureLevel(feature) => {
            feature.name == ELR_VERSION && feature.feature_level > 0
        }
        _ => false,
    });
    let mut records = vec![MetadataRecord::BeginTransaction(BeginTransactionRecord {
        name: Some(WireString::from_static("Bootstrap records")),
    })];
    records.extend(checkpoint.iter().cloned());
    let in_file = NodeLayers::of_file(&settings.file);
    let min_isr = topic_key("min.insync.replicas").and_then(|key| in_file.inherited(key));
    if let (true, Some((value, _))) = (has_elr, min_isr) {
        let cluster = ConfigResource::cluster();
        records.push(MetadataRecord::Config(ConfigRecord {
            resource_type: cluster.kind.to_wire(),
            resource_name: (*cluster.name).into(),
            name: WireString::from_static("min.insync.replicas"),
            value: Some((*value).into()),
        }));
    }
    records.push(MetadataRecord::EndTransaction(EndTransactionRecord {}));
    records
}
