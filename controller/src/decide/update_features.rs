//! UpdateFeatures: the cluster agrees on other levels of its features; all that one request asks for, or
//! nothing. Sources: KIP-584, KIP-778, KIP-1022, Kafka's `FeatureControlManager`.

use std::collections::BTreeMap;

use protocol::error_code::ErrorCode;
use protocol::messages::update_features::{FeatureUpdateKey, UpdatableFeatureResult};
use protocol::messages::{UpdateFeaturesRequest, UpdateFeaturesResponse};
use protocol::records::metadata::{ConfigRecord, FeatureLevelRecord, MetadataRecord};
use protocol::wire::WireString;

use crate::config::{NodeLayers, topic_key};
use crate::metadata::{
    ConfigResource, Configs, ELR_VERSION, FeatureRange, KRAFT_VERSION, METADATA_VERSION,
    ResourceType, SUPPORTED_FEATURES, metadata_changed_since,
};
use crate::raft::KraftVersion;

use super::{Decision, Refusal, View};

/// 4.0-IV1, on which the eligible leader replicas stand.
const ELR_METADATA_VERSION_MIN: i16 = 23;

/// The last version whose answer has a result for each feature.
const RESULTS_VERSION_MAX: i16 = 1;

/// How a level may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Upgrade {
    Only,
    SafeDowngrade,
    UnsafeDowngrade,
}

pub fn update_features(
    view: &View<'_>,
    kraft_version: KraftVersion,
    version: i16,
    request: &UpdateFeaturesRequest,
) -> Decision<UpdateFeaturesResponse> {
    // The last word about a feature counts.
    let updates: BTreeMap<&str, &FeatureUpdateKey> =
        request.feature_updates.iter().map(|update| (&*update.feature, update)).collect();
    let level_after = |feature: &str| match updates.get(feature) {
        Some(update) => update.max_version_level,
        None => view.image.feature_level(feature),
    };
    let mut records = Vec::new();
    for update in updates.values() {
        match check(view, kraft_version, version, update, &level_after) {
            Ok(record) => records.extend(record),
            Err(refusal) => {
                let message = format!(
                    "The update failed for all features since the following feature had an error: {}",
                    refusal.message
                );
                return Decision::answer(UpdateFeaturesResponse {
                    error_code: refusal.error.into(),
                    error_message: Some(message.into()),
                    ..UpdateFeaturesResponse::default()
                });
            }
        }
    }
    if updates.get(ELR_VERSION).is_some_and(|update| update.max_version_level > 0) {
        records.splice(0..0, one_min_insync_replicas(view));
    }
    if request.validate_only {
        records.clear();
    }
    let result = |update: &FeatureUpdateKey| UpdatableFeatureResult {
        feature: update.feature.clone(),
        error_message: None,
        ..UpdatableFeatureResult::default()
    };
    let results = match version {
        ..=RESULTS_VERSION_MAX => request.feature_updates.iter().map(result).collect(),
        _ => Vec::new(),
    };
    let response = UpdateFeaturesResponse {
        error_message: None,
        results,
        ..UpdateFeaturesResponse::default()
    };
    Decision { records, response }
}

/// The record of one update; `None` where it changes nothing that is written.
fn check(
    view: &View<'_>,
    kraft_version: KraftVersion,
    version: i16,
    update: &FeatureUpdateKey,
    level_after: &dyn Fn(&str) -> i16,
) -> Result<Option<MetadataRecord>, Refusal> {
    let (feature, level) = (&*update.feature, update.max_version_level);
    let invalid = |why: &str| {
        let message = format!("Invalid update version {level} for feature {feature}. {why}");
        Refusal::new(ErrorCode::InvalidUpdateVersion, message)
    };
    let upgrade = upgrade_of(version, update)
        .ok_or_else(|| invalid("The controller does not support the given upgrade type."))?;
    let current = match feature {
        KRAFT_VERSION => kraft_version.level(),
        _ => view.image.feature_level(feature),
    };
    if level < 0 {
        return Err(invalid("A feature version cannot be less than 0."));
    }
    if let Some(why) = why_unsupported(view, feature, level) {
        return Err(invalid(&why));
    }
    if level < current && upgrade == Upgrade::Only {
        return Err(invalid(
            "Can't downgrade the version of this feature without setting the upgrade type to either \
             safe or unsafe downgrade.",
        ));
    }
    if level > current && upgrade != Upgrade::Only {
        return Err(invalid("Can't downgrade to a newer version."));
    }
    match feature {
        METADATA_VERSION => check_metadata_version(current, level, upgrade)?,
        KRAFT_VERSION if level == current => return Ok(None),
        KRAFT_VERSION if level < current => {
            return Err(invalid("Can't downgrade the version of this feature."));
        }
        KRAFT_VERSION => {
            return Err(invalid(
                "This release cannot make a static quorum a dynamic one: format it so.",
            ));
        }
        ELR_VERSION if level > 0 && level_after(METADATA_VERSION) < ELR_METADATA_VERSION_MIN => {
            let why = format!(
                "{ELR_VERSION} could not be set to {level} because it depends on {METADATA_VERSION} \
                 level {ELR_METADATA_VERSION_MIN}"
            );
            return Err(invalid(&why));
        }
        _ => {}
    }
    let record = FeatureLevelRecord { name: feature.into(), feature_level: level };
    Ok(Some(MetadataRecord::FeatureLevel(record)))
}

/// Version 0 knows only whether a downgrade is allowed, which then is a safe one.
fn upgrade_of(version: i16, update: &FeatureUpdateKey) -> Option<Upgrade> {
    match (version, update.upgrade_type) {
        (0, _) if update.allow_downgrade => Some(Upgrade::SafeDowngrade),
        (0, _) | (_, 1) => Some(Upgrade::Only),
        (_, 2) => Some(Upgrade::SafeDowngrade),
        (_, 3) => Some(Upgrade::UnsafeDowngrade),
        _ => None,
    }
}

fn why_unsupported(view: &View<'_>, feature: &str, level: i16) -> Option<String> {
    // Nobody has to support what is off, but one that nobody has heard of is a slip of the pen.
    let off = FeatureRange { min: 0, max: 0 };
    let why = |who: String, range: FeatureRange| match range {
        FeatureRange { min, max } if (min..=max).contains(&level) => None,
        FeatureRange { max: 0, .. } => Some(format!("{who} does not support this feature.")),
        FeatureRange { min, max } => Some(format!("{who} only supports versions {min}-{max}")),
    };
    let Some((_, own)) = SUPPORTED_FEATURES.iter().find(|(name, _)| *name == feature) else {
        return Some("The controller does not support this feature.".to_owned());
    };
    let own = FeatureRange { min: *own.start(), max: *own.end() };
    why("The controller".to_owned(), own).or_else(|| {
        view.image.brokers().values().find_map(|broker| {
            let range = broker.features.get(feature).copied().unwrap_or(off);
            why(format!("Broker {}", broker.id), range)
        })
    })
}

fn check_metadata_version(current: i16, level: i16, upgrade: Upgrade) -> Result<(), Refusal> {
    if level >= current || !metadata_changed_since(level, current) {
        return Ok(());
    }
    let why = match upgrade {
        Upgrade::UnsafeDowngrade => "Unsafe metadata downgrade is not supported in this version.",
        Upgrade::Only | Upgrade::SafeDowngrade => {
            "Refusing to perform the requested downgrade because it might delete metadata information."
        }
    };
    let message =
        format!("Unsupported metadata.version downgrade from {current} to {level}. {why}");
    Err(Refusal::new(ErrorCode::InvalidUpdateVersion, message))
}

/// With eligible leader replicas, `min.insync.replicas` is the cluster's: its value moves from the file
/// into the log, and each broker's own goes. Source: KIP-966.
fn one_min_insync_replicas(view: &View<'_>) -> Vec<MetadataRecord> {
    const NAME: &str = "min.insync.replicas";
    let record = |resource: &ConfigResource, value: Option<WireString>| {
        MetadataRecord::Config(ConfigRecord {
            resource_type: resource.kind.to_wire(),
            resource_name: (*resource.name).into(),
            name: WireString::from_static(NAME),
            value,
        })
    };
    let has_own = |configs: &Configs| configs.contains_key(NAME);
    let cluster = ConfigResource::cluster();
    let in_file = NodeLayers::of_file(&view.settings.file);
    let min_isr = topic_key(NAME).and_then(|key| in_file.inherited(key));
    let mut records = Vec::new();
    if let Some((value, _)) = min_isr
        && !view.image.config(&cluster).is_some_and(|configs| has_own(configs))
    {
        records.push(record(&cluster, Some((*value).into())));
    }
    for (resource, configs) in view.image.configs().iter() {
        if resource.kind == ResourceType::Broker && *resource != cluster && has_own(configs) {
            records.push(record(resource, None));
        }
    }
    records
}
