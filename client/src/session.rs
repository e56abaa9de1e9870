//! A connection to a broker whose versions are known.

use std::collections::BTreeMap;
use std::net::ToSocketAddrs as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use protocol::api::ApiKey;
use protocol::messages::api_versions::ApiVersionsRequest;
use protocol::wire::Request;

use crate::error::check;
use crate::{ClientError, Connection};

/// Every broker since Apache Kafka 2.4 speaks it.
const API_VERSIONS_VERSION: i16 = 3;

#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// What the broker offers, by API key.
    offered: BTreeMap<i16, RangeInclusive<i16>>,
}

impl Session {
    /// Connects to `server`, a `HOST:PORT`, and asks for its versions.
    pub fn open(
        server: &str,
        client_id: &'static str,
        answer_deadline: Duration,
    ) -> Result<Session, ClientError> {
        if !is_host_and_port(server) {
            return Err(ClientError::Address { server: server.to_owned() });
        }
        let addresses = server
            .to_socket_addrs()
            .map_err(|source| ClientError::Lookup { server: server.to_owned(), source })?;
        let mut connection = Connection::open(server, addresses, client_id, answer_deadline)?;
        let request = ApiVersionsRequest {
            client_software_name: client_id.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
        };
        let response = connection.call(&request, API_VERSIONS_VERSION)?;
        check(server, response.error_code, None)?;
        let offered = response
            .api_keys
            .iter()
            .map(|api| (api.api_key, api.min_version..=api.max_version))
            .collect();
        Ok(Session { connection, offered })
    }

    pub fn server(&self) -> &str {
        self.connection.server()
    }

    /// What the broker offers of `api`.
    pub fn offered(&self, api: ApiKey) -> Option<RangeInclusive<i16>> {
        self.offered.get(&i16::from(api)).cloned()
    }

    /// Sends `request` in the newest version that both sides speak, but none above `version_max`.
    pub fn call<R: Request>(
        &mut self,
        request: &R,
        version_max: i16,
    ) -> Result<R::Response, ClientError> {
        let api = R::API_KEY;
        let version = self.offered(api).and_then(|offered| {
            let ours = (*R::VERSIONS.start(), (*R::VERSIONS.end()).min(version_max));
            newest_of_both(ours, (*offered.start(), *offered.end()))
        });
        match version {
            Some(version) => self.connection.call(request, version),
            None => Err(ClientError::Version { server: self.server().to_owned(), api }),
        }
    }
}

fn is_host_and_port(server: &str) -> bool {
    server
        .rsplit_once(':')
        .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok_and(|it| it > 0))
}

/// The newest version within both ranges, which include their ends.
fn newest_of_both(ours: (i16, i16), theirs: (i16, i16)) -> Option<i16> {
    let newest = ours.1.min(theirs.1);
    (newest >= ours.0.max(theirs.0)).then_some(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_common_version_is_spoken() {
        for (ours, theirs, want) in [
            ((2, 7), (2, 7), Some(7)),
            ((2, 7), (5, 9), Some(7)),
            ((2, 7), (0, 4), Some(4)),
            ((2, 7), (7, 9), Some(7)),
            ((2, 7), (8, 9), None), // they have left ours behind
            ((2, 7), (0, 1), None), // and the other way round
        ] {
            assert_eq!(newest_of_both(ours, theirs), want, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn a_server_is_a_host_and_a_port() {
        for (server, want) in [
            ("localhost:9092", true),
            ("[::1]:9092", true),
            ("localhost", false),
            (":9092", false),
            ("localhost:", false),
            ("localhost:0", false),
            ("localhost:99999", false),
            ("http://localhost", false),
        ] {
            assert_eq!(is_host_and_port(server), want, "{server}");
        }
    }
}
