//! Kafka's APIs: their keys, and which versions of each this broker speaks.

use std::fmt;
use std::ops::RangeInclusive;

use crate::messages::APIS;
pub use crate::messages::ApiKey;

/// Who serves an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Broker,
    Controller,
}

/// A row of the generated table.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) key: ApiKey,
    pub(crate) name: &'static str,
    pub(crate) versions: Option<RangeInclusive<i16>>,
    pub(crate) latest_stable: Option<i16>,
    pub(crate) flexible_from: Option<i16>,
    pub(crate) listeners: &'static [Listener],
}

/// A number that is no API's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("API key {key} is unknown")]
pub struct UnknownApiKey {
    pub key: i16,
}

impl ApiKey {
    /// All APIs in the order of their keys, those that Kafka has removed included.
    pub fn all() -> impl Iterator<Item = ApiKey> {
        APIS.iter().map(|api| api.key)
    }

    fn api(self) -> &'static Api {
        let api = APIS.get(self as usize);
        api.unwrap_or_else(|| unreachable!("{} has no row in the table of APIs", self as i16))
    }

    /// The schema's name, such as `FindCoordinator`.
    pub fn name(self) -> &'static str {
        self.api().name
    }

    /// The versions that Apache Kafka 4.3 reads, the unstable one included. `None`: Kafka 4.0
    /// removed the API.
    pub fn versions(self) -> Option<RangeInclusive<i16>> {
        self.api().versions.clone()
    }

    /// The newest version that Apache Kafka 4.3 offers unless told to offer unstable ones.
    pub fn latest_stable_version(self) -> Option<i16> {
        self.api().latest_stable
    }

    /// The first version with compact lengths and tagged fields (KIP-482).
    pub fn flexible_from(self) -> Option<i16> {
        self.api().flexible_from
    }

    pub fn is_flexible(self, version: i16) -> bool {
        self.flexible_from().is_some_and(|first| version >= first)
    }

    /// Where Apache Kafka serves the API.
    pub fn listeners(self) -> &'static [Listener] {
        self.api().listeners
    }

    pub fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// KIP-511: the answer to ApiVersions always has header 0, so that a client that does not know
    /// the broker's versions yet can read it.
    pub fn response_header_version(self, version: i16) -> i16 {
        i16::from(self != ApiKey::ApiVersions && self.is_flexible(version))
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<ApiKey> for i16 {
    fn from(key: ApiKey) -> i16 {
        key as i16
    }
}

impl TryFrom<i16> for ApiKey {
    type Error = UnknownApiKey;

    fn try_from(key: i16) -> Result<Self, UnknownApiKey> {
        let index = usize::try_from(key).map_err(|_| UnknownApiKey { key })?;
        APIS.get(index).map(|api| api.key).ok_or(UnknownApiKey { key })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_indexed_by_key() {
        for (index, key) in ApiKey::all().enumerate() {
            assert_eq!(key as usize, index);
            assert_eq!(ApiKey::try_from(index as i16), Ok(key));
        }
        for key in [-1, i16::MIN, APIS.len() as i16, i16::MAX] {
            assert_eq!(ApiKey::try_from(key), Err(UnknownApiKey { key }));
        }
    }

    #[test]
    fn versions_and_headers_are_kafka_s() {
        for (key, versions, stable, request_2_from, response_1_from) in [
            (ApiKey::Produce, Some(3..=13), Some(13), Some(9), Some(9)),
            (ApiKey::Fetch, Some(4..=18), Some(18), Some(12), Some(12)),
            (ApiKey::SaslHandshake, Some(0..=1), Some(1), None, None),
            (ApiKey::ApiVersions, Some(0..=4), Some(4), Some(3), None),
            (ApiKey::InitProducerId, Some(0..=6), Some(5), Some(2), Some(2)), // 6 is unstable
            (ApiKey::LeaderAndIsr, None, None, None, None),
        ] {
            assert_eq!(key.versions(), versions, "{key}");
            assert_eq!(key.latest_stable_version(), stable, "{key}");
            let first = |header: fn(ApiKey, i16) -> i16, wanted| {
                (0..=20).find(|version| header(key, *version) == wanted)
            };
            assert_eq!(first(ApiKey::request_header_version, 2), request_2_from, "{key}");
            assert_eq!(first(ApiKey::response_header_version, 1), response_1_from, "{key}");
        }
    }
}
