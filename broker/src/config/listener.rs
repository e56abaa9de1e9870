//! `listeners`, `advertised.listeners` and the protocol each listener speaks.

use std::fmt;
use std::str::FromStr;

/// A host and port as clients are told them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Endpoint {
    type Err = ListenerError;

    /// Parses `host:port`; an IPv6 address stands in brackets.
    fn from_str(text: &str) -> Result<Endpoint, ListenerError> {
        let error = || ListenerError { text: text.to_owned() };
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let host = match bracketed {
            Some(inner) => inner,
            None if host.contains([':', '[', ']']) => return Err(error()),
            None => host,
        };
        Ok(Endpoint { host: host.to_owned(), port: port.parse().map_err(|_| error())? })
    }
}

/// One entry of `listeners` or `advertised.listeners`, such as `PLAINTEXT://localhost:9092`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Upper case, as Kafka normalises it.
    pub name: String,
    pub endpoint: Endpoint,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no listener: expected NAME://host:port, such as PLAINTEXT://localhost:9092")]
pub struct ListenerError {
    text: String,
}

impl Listener {
    /// Parses a comma-separated list.
    pub fn parse_list(text: &str) -> Result<Vec<Listener>, ListenerError> {
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Listener::parse).collect()
    }

    fn parse(text: &str) -> Result<Listener, ListenerError> {
        let error = || ListenerError { text: text.to_owned() };
        let (name, address) = text.split_once("://").ok_or_else(error)?;
        let valid_name = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !valid_name {
            return Err(error());
        }
        let endpoint = address.parse().map_err(|_| error())?;
        Ok(Listener { name: name.to_ascii_uppercase(), endpoint })
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, self.endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_names_hosts_and_ports() {
        for (text, want) in [
            ("PLAINTEXT://localhost:9092", Some(("PLAINTEXT", "localhost", 9092))),
            ("plaintext://:9092", Some(("PLAINTEXT", "", 9092))),
            ("IN_1://[::1]:19092", Some(("IN_1", "::1", 19092))),
            ("localhost:9092", None),
            ("PLAINTEXT://localhost", None),
            ("PLAINTEXT://::1:9092", None),
            ("PLAINTEXT://localhost:99999", None),
            ("BAD NAME://localhost:1", None),
        ] {
            let parsed = Listener::parse_list(text).ok().map(|list| {
                let one = list.into_iter().next().expect("one listener");
                (one.name, one.endpoint.host, one.endpoint.port)
            });
            let want = want.map(|(name, host, port)| (name.to_owned(), host.to_owned(), port));
            assert_eq!(parsed, want, "{text}");
        }
    }
}
