//! `millrace config`: what `kafka-configs` does for topics and brokers, by the same requests.

mod alter;
mod describe;

use anyhow::Result;
use clap::Subcommand;

use super::configs::Resource;

/// Show and alter configurations of topics and brokers while they run.
#[derive(Subcommand)]
pub enum Config {
    Describe(describe::Describe),
    Set(alter::Set),
    Unset(alter::Unset),
}

impl Config {
    pub fn run(&self) -> Result<()> {
        match self {
            Config::Describe(describe) => describe.run(),
            Config::Set(set) => set.run(),
            Config::Unset(unset) => unset.run(),
        }
    }
}

/// Whose configuration.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// The configuration of this topic.
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// The configuration of this broker.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i32).range(0..))]
    broker: Option<i32>,
    /// What holds for each broker that has no value of its own.
    #[arg(long)]
    cluster: bool,
}

impl Target {
    fn resource(&self) -> Resource<'_> {
        match (&self.topic, self.broker) {
            (Some(topic), _) => Resource::Topic(topic),
            (None, Some(id)) => Resource::Broker(id),
            (None, None) => Resource::Cluster,
        }
    }

    /// Kind and name, as programs are told of them.
    fn names(&self) -> (&'static str, Option<String>) {
        match self.resource() {
            Resource::Topic(name) => ("topic", Some(name.to_owned())),
            Resource::Broker(id) => ("broker", Some(id.to_string())),
            Resource::Cluster => ("cluster", None),
        }
    }
}
