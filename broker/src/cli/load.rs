//! From a file and overrides to a configuration.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use controller::config::NodeLayers;

use crate::config::{BrokerConfig, Endpoint, HostAddresses, Loaded, Properties, names_to_look_up};

/// What `millrace start` runs without a file.
const DEFAULT_PROPERTIES: &str = include_str!("../config/default.properties");

/// A configuration file and what overrides it.
#[derive(clap::Args)]
pub struct Source {
    /// Override one key of the configuration; may be given several times.
    #[arg(long = "override", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

impl Source {
    /// Loads `file`, or the embedded default where there is none.
    pub fn load(&self, file: Option<&Path>) -> Result<Loaded> {
        let (text, from) = match file {
            #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
            Some(path) => (
                std::fs::read_to_string(path)
                    .with_context(|| format!("cannot read {}", path.display()))?,
                path.to_owned(),
            ),
            None => (DEFAULT_PROPERTIES.to_owned(), PathBuf::from("the default configuration")),
        };
        let context = || format!("in {}", from.display());
        let mut properties = Properties::parse(&text).with_context(context)?;
        for text in &self.overrides {
            properties.set_override(text)?;
        }
        let mut loaded = BrokerConfig::from_properties(properties).with_context(context)?;
        resolve(&mut loaded.config)?;
        Ok(loaded)
    }
}

/// What a listener binds to: without a host, all addresses.
fn address_of(endpoint: &Endpoint) -> Option<SocketAddr> {
    if endpoint.host.is_empty() {
        return Some(SocketAddr::from(([0, 0, 0, 0], endpoint.port)));
    }
    let mut addresses = (endpoint.host.as_str(), endpoint.port).to_socket_addrs().ok()?;
    addresses.next()
}

/// Looks up what listeners bind to, and what is advertised where nothing says so.
fn resolve(config: &mut BrokerConfig) -> Result<()> {
    let address = address_of(&config.listener.endpoint)
        .with_context(|| format!("listeners: cannot look up the host of {}", config.listener))?;
    config.listen_address = Some(address);
    if let Some(endpoint) = &config.admin_listener {
        let address = address_of(endpoint).with_context(|| {
            format!("millrace.admin.listener: cannot look up the host of {endpoint}")
        })?;
        config.admin_address = Some(address);
    }
    let mut host_addresses = HostAddresses::new();
    for name in names_to_look_up(&NodeLayers::of_file(config.properties.entries())) {
        let addresses = (name, 0)
            .to_socket_addrs()
            .with_context(|| format!("max.connections.per.ip.overrides: cannot look up {name}"))?;
        let addresses = addresses.map(|address| address.ip()).collect();
        host_addresses.insert(name.to_owned(), addresses);
    }
    config.host_addresses = host_addresses;
    if config.advertised.host.is_empty() {
        #[expect(clippy::disallowed_methods, reason = "the command line is no core")]
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .context("cannot read this host's name; set advertised.listeners")?;
        config.advertised.host = name.trim().to_owned();
    }
    Ok(())
}
