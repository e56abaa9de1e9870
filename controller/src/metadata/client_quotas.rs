//! Quotas that the metadata log holds, by whom they limit. Source: KIP-546.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::records::metadata::ClientQuotaRecord;
use protocol::records::metadata::client_quota_record::EntityData;

use super::SharedMap;

/// Kafka's words for the types of an entity.
pub const USER: &str = "user";
pub const CLIENT_ID: &str = "client-id";
pub const IP: &str = "ip";

/// Whom quotas limit: a user, a client id, both together, or an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuotaEntity {
    pub user: Option<EntityName>,
    pub client_id: Option<EntityName>,
    pub ip: Option<EntityName>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntityName {
    /// Whoever has no quota of the name's own.
    Default,
    Named(Arc<str>),
}

/// What one entity is limited to, by Kafka's key.
pub type Quotas = BTreeMap<Arc<str>, Quota>;

/// A limit: of bytes or events a second, or of percent. Equal where the bits are, so that an image is equal
/// to its own replay.
#[derive(Clone, Copy, Debug)]
pub struct Quota(pub f64);

/// All quotas of a cluster. A clone is one pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientQuotas {
    entities: SharedMap<QuotaEntity, Arc<Quotas>>,
}

/// An entity has a type that nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownEntityType(pub String);

impl PartialEq for Quota {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Quota {}

impl EntityName {
    /// From a name on the wire, where none is the default.
    pub fn from_wire(name: Option<&str>) -> Self {
        name.map_or(EntityName::Default, |name| EntityName::Named(Arc::from(name)))
    }

    pub fn to_wire(&self) -> Option<&str> {
        match self {
            EntityName::Default => None,
            EntityName::Named(name) => Some(name),
        }
    }
}

impl QuotaEntity {
    /// From types and names. Of a type that is there twice the last name counts, as in Apache Kafka.
    pub fn new<'a>(
        parts: impl IntoIterator<Item = (&'a str, Option<&'a str>)>,
    ) -> Result<Self, UnknownEntityType> {
        let mut entity = QuotaEntity::default();
        for (kind, name) in parts {
            let part = match kind {
                USER => &mut entity.user,
                CLIENT_ID => &mut entity.client_id,
                IP => &mut entity.ip,
                other => return Err(UnknownEntityType(other.to_owned())),
            };
            *part = Some(EntityName::from_wire(name));
        }
        Ok(entity)
    }

    /// Types and names, those that the entity has.
    pub fn parts(&self) -> impl Iterator<Item = (&'static str, &EntityName)> {
        let parts = [(USER, &self.user), (CLIENT_ID, &self.client_id), (IP, &self.ip)];
        parts.into_iter().filter_map(|(kind, name)| Some((kind, name.as_ref()?)))
    }

    /// One record that sets `key`, or removes it where `quota` is none.
    pub fn to_record(&self, key: &str, quota: Option<f64>) -> ClientQuotaRecord {
        let entity = self.parts().map(|(kind, name)| EntityData {
            entity_type: kind.into(),
            entity_name: name.to_wire().map(Into::into),
        });
        ClientQuotaRecord {
            entity: entity.collect(),
            key: key.into(),
            value: quota.unwrap_or_default(),
            remove: quota.is_none(),
        }
    }
}

impl ClientQuotas {
    pub fn is_empty(&self) -> bool {
        self.entities.is_empty()
    }

    /// Entities and what each is limited to, at least one thing.
    pub fn iter(&self) -> impl Iterator<Item = (&QuotaEntity, &Arc<Quotas>)> {
        self.entities.iter()
    }

    pub fn of(&self, entity: &QuotaEntity) -> Option<&Arc<Quotas>> {
        self.entities.get(entity)
    }

    /// Folds in one record. On an error nothing is changed.
    pub(super) fn replay(&mut self, record: &ClientQuotaRecord) -> Result<(), UnknownEntityType> {
        let parts = record.entity.iter();
        let entity =
            QuotaEntity::new(parts.map(|it| (&*it.entity_type, it.entity_name.as_deref())))?;
        let mut of_entity = self.entities.get(&entity).cloned().unwrap_or_default();
        let quotas = Arc::make_mut(&mut of_entity);
        if record.remove {
            quotas.remove(&*record.key);
        } else {
            quotas.insert(Arc::from(&*record.key), Quota(record.value));
        }
        if quotas.is_empty() {
            self.entities.remove(&entity);
        } else {
            self.entities.insert(entity, of_entity);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use protocol::model::Offset;
    use protocol::records::metadata::MetadataRecord;

    use super::*;
    use crate::metadata::MetadataImage;

    #[test]
    fn a_snapshot_has_all_quotas_and_an_unknown_entity_changes_nothing() {
        let mut image = MetadataImage::default();
        let entities: &[&[(&str, Option<&str>)]] = &[
            &[(USER, Some("anna"))],
            &[(USER, None)],
            &[(USER, Some("anna")), (CLIENT_ID, None)],
            &[(CLIENT_ID, Some("shop"))],
            &[(IP, Some("10.0.0.1"))],
        ];
        for (index, parts) in entities.iter().enumerate() {
            let entity = QuotaEntity::new(parts.iter().copied()).unwrap();
            for (key, quota) in [("producer_byte_rate", 1.0 + index as f64), ("unknown", 0.5)] {
                let record = MetadataRecord::ClientQuota(entity.to_record(key, Some(quota)));
                image.replay(image.next_offset(), &record).unwrap();
            }
        }
        let mut restored = MetadataImage::default();
        for (offset, record) in (0..).zip(image.to_records()) {
            restored.replay(Offset(offset), &record).unwrap();
        }
        assert_eq!(restored.client_quotas(), image.client_quotas());
        assert_eq!(image.client_quotas().iter().count(), entities.len());

        let before = image.clone();
        let mut record = QuotaEntity::default().to_record("producer_byte_rate", Some(1.0));
        record.entity = vec![EntityData { entity_type: "group".into(), entity_name: None }];
        let record = MetadataRecord::ClientQuota(record);
        image.replay(image.next_offset(), &record).unwrap_err();
        assert_eq!(image, before);
    }
}
