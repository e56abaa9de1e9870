//! Which quota limits whom: what entities are given, sorted by who asks.

use core::net::IpAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::{ADDRESS_KEYS, QuotaKind};
use crate::metadata::{ClientQuotas, EntityName, Quota};

/// All quotas of a cluster, as they are looked up for each request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuotaTable {
    /// By kind, in their order.
    kinds: [KindTable; QuotaKind::ALL.len()],
    /// Connections a second, of addresses.
    addresses: BTreeMap<IpAddr, f64>,
    default_address: Option<f64>,
}

/// Who shares a quota, and how much it is. A name that is empty is none: whoever has the other name
/// shares it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limited<'a> {
    pub user: &'a str,
    pub client_id: &'a str,
    pub quota: f64,
}

/// The quotas of one kind.
#[derive(Clone, Debug, Default, PartialEq)]
struct KindTable {
    users: Limits,
    client_ids: Limits,
    /// Client ids of users, and of those that have no quotas of their own.
    of_users: BTreeMap<Arc<str>, Limits>,
    of_default_user: Limits,
}

/// Limits by name, and for all other names.
#[derive(Clone, Debug, Default, PartialEq)]
struct Limits {
    named: BTreeMap<Arc<str>, f64>,
    default: Option<f64>,
}

impl QuotaTable {
    pub fn new(quotas: &ClientQuotas) -> Self {
        let mut table = QuotaTable::default();
        for (entity, quotas) in quotas.iter() {
            let of = |key: &str| quotas.get(key).map(|Quota(quota)| *quota);
            match &entity.ip {
                None => {
                    for (kind, into) in QuotaKind::ALL.into_iter().zip(&mut table.kinds) {
                        if let Some(quota) = of(kind.key()) {
                            into.set(entity.user.as_ref(), entity.client_id.as_ref(), quota);
                        }
                    }
                }
                Some(name) => {
                    let Some(quota) = of(ADDRESS_KEYS[0].name) else { continue };
                    match name {
                        EntityName::Default => table.default_address = Some(quota),
                        // A host's name, which Apache Kafka has looked up, limits nobody here.
                        EntityName::Named(name) => {
                            if let Ok(address) = name.parse::<IpAddr>() {
                                table.addresses.insert(address.to_canonical(), quota);
                            }
                        }
                    }
                }
            }
        }
        table
    }

    /// Whether nobody's requests are limited.
    pub fn limits_no_client(&self) -> bool {
        self.kinds.iter().all(KindTable::is_empty)
    }

    /// The quota of `kind` for the requests of `user` that say `client_id`, and who shares it.
    pub fn of_client<'a>(
        &self,
        kind: QuotaKind,
        user: &'a str,
        client_id: Option<&'a str>,
    ) -> Option<Limited<'a>> {
        self.kinds[kind as usize].of(user, client_id.unwrap_or_default())
    }

    /// Connections that may come from `address`, a second.
    pub fn of_address(&self, address: IpAddr) -> Option<f64> {
        self.addresses.get(&address.to_canonical()).copied().or(self.default_address)
    }
}

impl KindTable {
    fn set(&mut self, user: Option<&EntityName>, client_id: Option<&EntityName>, quota: f64) {
        let (limits, name) = match (user, client_id) {
            (Some(user), None) => (&mut self.users, user),
            (None, Some(client_id)) => (&mut self.client_ids, client_id),
            (Some(EntityName::Default), Some(client_id)) => (&mut self.of_default_user, client_id),
            (Some(EntityName::Named(user)), Some(client_id)) => {
                (self.of_users.entry(user.clone()).or_default(), client_id)
            }
            // Nobody's.
            (None, None) => return,
        };
        match name {
            EntityName::Default => limits.default = Some(quota),
            EntityName::Named(name) => drop(limits.named.insert(name.clone(), quota)),
        }
    }

    fn is_empty(&self) -> bool {
        self.users.is_empty() && self.client_ids.is_empty() && !self.has_pairs()
    }

    fn has_pairs(&self) -> bool {
        !(self.of_users.is_empty() && self.of_default_user.is_empty())
    }

    /// Kafka's `quotaMetricTags`, which says who shares a quota, and then its `quotaLimit`, which says how
    /// much it is: of a client without an id not always the same quota.
    fn of<'a>(&self, user: &'a str, client_id: &'a str) -> Option<Limited<'a>> {
        let (user, client_id) = self.sharing(user, client_id)?;
        let quota = match (user, client_id) {
            ("", "") => None,
            ("", client_id) => self.client_ids.of(client_id),
            (user, "") => self.users.of(user),
            (user, client_id) => self.pair(user, client_id),
        };
        quota.map(|quota| Limited { user, client_id, quota })
    }

    /// User and client id that share a quota. Where there are quotas of one level alone it is that one,
    /// else the first that there is, the most special first.
    fn sharing<'a>(&self, user: &'a str, client_id: &'a str) -> Option<(&'a str, &'a str)> {
        let (both, the_user, the_id) = ((user, client_id), (user, ""), ("", client_id));
        let levels = (self.has_pairs(), !self.users.is_empty(), !self.client_ids.is_empty());
        match levels {
            (false, false, false) => return None,
            (true, false, false) => return Some(both),
            (false, true, false) => return Some(the_user),
            (false, false, true) => return Some(the_id),
            _ => {}
        }
        let own = self.of_users.get(user).and_then(|limits| limits.of(client_id));
        let own_user = self.users.named.get(user);
        let of_default = self.of_default_user.of(client_id);
        Some(if own.is_some() {
            both
        } else if own_user.is_some() {
            the_user
        } else if of_default.is_some() {
            both
        } else if self.users.default.is_some() {
            the_user
        } else {
            the_id
        })
    }

    fn pair(&self, user: &str, client_id: &str) -> Option<f64> {
        let own = self.of_users.get(user).and_then(|limits| limits.of(client_id));
        own.or_else(|| self.of_default_user.of(client_id))
    }
}

impl Limits {
    fn of(&self, name: &str) -> Option<f64> {
        self.named.get(name).copied().or(self.default)
    }

    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.default.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::MetadataImage;
    use protocol::model::Offset;
    use protocol::records::metadata::client_quota_record::EntityData;
    use protocol::records::metadata::{ClientQuotaRecord, MetadataRecord};

    /// A table of entities like `user:anna+client-id:-`, where `-` is the default.
    fn table(key: &str, quotas: &[(&str, f64)]) -> QuotaTable {
        let mut image = MetadataImage::default();
        for (offset, &(entity, value)) in quotas.iter().enumerate() {
            let part = |part: &str| {
                let (kind, name) = part.split_once(':').unwrap();
                let entity_name = (name != "-").then(|| name.into());
                EntityData { entity_type: kind.into(), entity_name }
            };
            let entity = entity.split('+').map(part).collect();
            let record = ClientQuotaRecord { entity, key: key.into(), value, remove: false };
            image.replay(Offset(offset as i64), &MetadataRecord::ClientQuota(record)).unwrap();
        }
        QuotaTable::new(image.client_quotas())
    }

    #[test]
    fn the_most_special_quota_limits_and_says_who_shares_it() {
        // All eight levels, from the most special one.
        let levels = [
            ("user:anna+client-id:shop", 1.0),
            ("user:anna+client-id:-", 2.0),
            ("user:anna", 3.0),
            ("user:-+client-id:shop", 4.0),
            ("user:-+client-id:-", 5.0),
            ("user:-", 6.0),
            ("client-id:shop", 7.0),
            ("client-id:-", 8.0),
        ];
        let both = ("anna", "shop");
        for (first, want) in [
            (0, Some((both, 1.0))),
            (1, Some((both, 2.0))),
            (2, Some((("anna", ""), 3.0))),
            (3, Some((both, 4.0))),
            (4, Some((both, 5.0))),
            (5, Some((("anna", ""), 6.0))),
            (6, Some((("", "shop"), 7.0))),
            (7, Some((("", "shop"), 8.0))),
            (8, None),
        ] {
            let table = table("consumer_byte_rate", &levels[first..]);
            let found = table.of_client(QuotaKind::Fetch, "anna", Some("shop"));
            let found = found.map(|found| ((found.user, found.client_id), found.quota));
            assert_eq!(found, want, "from level {first}");
            assert_eq!(table.of_client(QuotaKind::Produce, "anna", Some("shop")), None);
            assert_eq!(table.limits_no_client(), first == levels.len());
        }
        // Who has no quota of one's own: the same levels, asked for other names.
        let table = table("consumer_byte_rate", &levels);
        for (user, client_id, want) in [
            ("anna", Some("bank"), Some((("anna", "bank"), 2.0))),
            ("bert", Some("shop"), Some((("bert", "shop"), 4.0))),
            ("bert", Some("bank"), Some((("bert", "bank"), 5.0))),
            // As Apache Kafka: of the two together, but by the quota of the user.
            ("anna", None, Some((("anna", ""), 3.0))),
            ("bert", Some(""), Some((("bert", ""), 6.0))),
        ] {
            let found = table.of_client(QuotaKind::Fetch, user, client_id);
            let found = found.map(|found| ((found.user, found.client_id), found.quota));
            assert_eq!(found, want, "{user} {client_id:?}");
        }
    }

    #[test]
    fn where_one_level_alone_is_limited_it_says_who_shares() {
        for (entity, user, client_id, want) in [
            ("user:bert", "anna", Some("shop"), None),
            ("user:-", "anna", Some("shop"), Some(("anna", ""))),
            ("user:-", "anna", None, Some(("anna", ""))),
            ("client-id:-", "anna", Some("shop"), Some(("", "shop"))),
            ("client-id:-", "anna", None, None),
            ("user:-+client-id:-", "anna", Some("shop"), Some(("anna", "shop"))),
            ("user:-+client-id:-", "anna", None, None),
        ] {
            let table = table("request_percentage", &[(entity, 5.0)]);
            let found = table.of_client(QuotaKind::Request, user, client_id);
            let found = found.map(|found| (found.user, found.client_id));
            assert_eq!(found, want, "{entity} of {user} {client_id:?}");
        }
    }

    #[test]
    fn an_address_has_its_own_quota_or_the_default() {
        let quotas = [("ip:10.0.0.1", 3.0), ("ip:a.example", 4.0), ("ip:-", 5.0)];
        let of = |table: &QuotaTable, address: &str| table.of_address(address.parse().unwrap());
        let limited = table("connection_creation_rate", &quotas);
        assert_eq!(of(&limited, "10.0.0.1"), Some(3.0));
        assert_eq!(of(&limited, "::ffff:10.0.0.1"), Some(3.0));
        assert_eq!(of(&limited, "10.0.0.2"), Some(5.0));
        assert!(limited.limits_no_client());
        let limited = table("connection_creation_rate", &quotas[..2]);
        assert_eq!(of(&limited, "10.0.0.2"), None);
    }
}
