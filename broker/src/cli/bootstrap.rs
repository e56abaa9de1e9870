//! Which cluster a command talks to.

use std::time::Duration;

use client::{Cluster, Settings};

/// Where a running cluster is.
#[derive(clap::Args)]
pub struct Bootstrap {
    /// Brokers to reach the cluster by; the first that answers tells of the others.
    #[arg(
        short = 'b',
        long = "bootstrap-server",
        value_name = "HOST:PORT",
        value_delimiter = ',',
        default_value = "localhost:9092"
    )]
    servers: Vec<String>,
    /// How long one answer may take, and how long what may succeed later is tried again.
    #[arg(long, value_name = "SECONDS", default_value_t = 30,
          value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
}

impl Bootstrap {
    /// For a command that knows by itself where to ask.
    pub fn of(servers: Vec<String>, timeout: u64) -> Bootstrap {
        Bootstrap { servers, timeout }
    }

    /// Connects to the cluster.
    pub fn connect(&self) -> anyhow::Result<Cluster> {
        let settings = Settings {
            bootstrap_servers: self.servers.clone(),
            client_id: "millrace",
            deadline: Duration::from_secs(self.timeout),
        };
        Cluster::connect(settings).map_err(|error| match &error {
            client::ClientError::Connect { .. } | client::ClientError::Lookup { .. } => {
                anyhow::Error::new(error)
                    .context("no broker answers; --bootstrap-server HOST:PORT names another")
            }
            _ => error.into(),
        })
    }

    /// How long a broker may take to carry out what it was asked for, as requests say it.
    pub fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout * 1000).unwrap_or(i32::MAX)
    }
}
