//! How many connections a node takes, of whom, and how fast.

use std::collections::BTreeMap;

use controller::config::NodeLayers;
use reactor::net::IpAddr;

/// What hosts' names stand for: looked up at the start, since cores have no resolver.
pub type HostAddresses = BTreeMap<String, Vec<IpAddr>>;

/// Kafka's limits of connections. Where a key is not set they are beyond what a host can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Of all clients: who comes later waits in the kernel's queue. Source: `max.connections`.
    pub count_max: usize,
    /// Of one address: one more is closed at once. Source: `max.connections.per.ip`.
    pub per_address_max: usize,
    /// Instead, for some addresses. Source: `max.connections.per.ip.overrides`.
    pub per_address_overrides: BTreeMap<IpAddr, usize>,
    /// Named there, and not looked up.
    pub unknown_hosts: Vec<String>,
    /// A second; who comes faster waits in the kernel's queue. Source: `max.connection.creation.rate`.
    pub creation_rate_max: u32,
}

impl ConnectionLimits {
    /// The limits of the node of `layers`. A name that is not among `hosts` limits nobody.
    pub fn new(layers: &NodeLayers<'_>, hosts: &HostAddresses) -> Self {
        let count = |name| {
            let number = layers.number(name);
            number.and_then(|number| usize::try_from(number).ok()).unwrap_or(usize::MAX)
        };
        let (mut per_address_overrides, mut unknown_hosts) = (BTreeMap::new(), Vec::new());
        for (host, count_max) in host_counts(overrides(layers)) {
            match host.parse::<IpAddr>() {
                Ok(address) => {
                    per_address_overrides.insert(address.to_canonical(), count_max);
                }
                Err(_) if hosts.contains_key(host) => {
                    let addresses = hosts[host].iter().map(|it| (it.to_canonical(), count_max));
                    per_address_overrides.extend(addresses);
                }
                Err(_) => unknown_hosts.push(host.to_owned()),
            }
        }
        ConnectionLimits {
            count_max: count("max.connections"),
            per_address_max: count("max.connections.per.ip"),
            per_address_overrides,
            unknown_hosts,
            creation_rate_max: u32::try_from(count("max.connection.creation.rate"))
                .unwrap_or(u32::MAX),
        }
    }

    /// Says which hosts are named in vain.
    pub fn warn(&self) {
        for host in &self.unknown_hosts {
            tracing::warn!(
                host,
                "max.connections.per.ip.overrides: a host that was not looked up at the start limits \
                 nobody; set its address instead"
            );
        }
    }

    /// What connections of `address` may be open together.
    pub fn of(&self, address: IpAddr) -> usize {
        let instead = self.per_address_overrides.get(&address.to_canonical());
        instead.copied().unwrap_or(self.per_address_max)
    }
}

fn overrides<'a>(layers: &NodeLayers<'a>) -> &'a str {
    layers.set("max.connections.per.ip.overrides").map_or("", |(text, _)| text)
}

/// The hosts that `layers` name and that must be looked up.
pub fn names_to_look_up<'a>(layers: &NodeLayers<'a>) -> impl Iterator<Item = &'a str> {
    let hosts = host_counts(overrides(layers)).map(|(host, _)| host);
    hosts.filter(|host| host.parse::<IpAddr>().is_err())
}

/// The entries of `host:count,host:count`; what is none was refused when it was set.
fn host_counts(text: &str) -> impl Iterator<Item = (&str, usize)> {
    text.split(',').filter_map(|entry| {
        // An IPv6 address has colons of its own.
        let (host, count) = entry.trim().rsplit_once(':')?;
        let host = host.trim();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        Some((bare.unwrap_or(host), count.trim().parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_limited_by_address_and_by_name() {
        let text = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let overrides = "10.0.0.7:100, [2001:db8::1]:7,::ffff:10.0.0.8:8,a.example:3,b.example:4";
        let file = BTreeMap::from([
            text("max.connections", "500"),
            text("max.connections.per.ip", "0"),
            text("max.connections.per.ip.overrides", overrides),
        ]);
        let layers = NodeLayers::of_file(&file);
        assert_eq!(names_to_look_up(&layers).collect::<Vec<_>>(), ["a.example", "b.example"]);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let hosts = BTreeMap::from([("a.example".to_owned(), vec![address("10.0.0.3")])]);
        let limits = ConnectionLimits::new(&layers, &hosts);
        for (of, want) in [
            ("10.0.0.7", 100),
            ("::ffff:10.0.0.7", 100),
            ("10.0.0.8", 8),
            ("2001:db8::1", 7),
            ("10.0.0.3", 3),
            ("10.0.0.9", 0),
        ] {
            assert_eq!(limits.of(address(of)), want, "{of}");
        }
        assert_eq!(limits.unknown_hosts, ["b.example"]);
        assert_eq!((limits.count_max, limits.creation_rate_max), (500, i32::MAX as u32));
    }
}
