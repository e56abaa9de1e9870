//! `millrace config set` and `millrace config unset`.

use anyhow::Result;
use serde_json::json;

use super::Target;
use crate::cli::alteration::Alteration;
use crate::cli::configs::{Change, change, key_and_value};

/// Give keys other values, all of them or none.
///
/// Example: millrace config set --topic orders retention.ms=86400000 segment.bytes=536870912
#[derive(clap::Args)]
pub struct Set {
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = key_and_value)]
    configs: Vec<(String, String)>,
    #[command(flatten)]
    how: How,
}

/// Take back the values that keys were given, all of them or none: then those hold that stand behind.
///
/// Example: millrace config unset --broker 1 log.retention.ms
#[derive(clap::Args)]
pub struct Unset {
    #[arg(required = true, value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    how: How,
}

#[derive(clap::Args)]
struct How {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    alteration: Alteration,
}

impl Set {
    pub fn run(&self) -> Result<()> {
        let set = self.configs.iter().map(|(key, value)| Change::Set(key, value));
        self.how.change(&set.collect::<Vec<_>>())
    }
}

impl Unset {
    pub fn run(&self) -> Result<()> {
        self.how.change(&self.keys.iter().map(|key| Change::Unset(key)).collect::<Vec<_>>())
    }
}

impl How {
    /// Says which keys were changed, not their values: some are secrets.
    fn change(&self, changes: &[Change<'_>]) -> Result<()> {
        let mut cluster = self.alteration.bootstrap.connect()?;
        let resource = self.target.resource();
        change(&mut cluster, resource, changes, self.alteration.dry_run)?;
        let (mut set, mut unset) = (Vec::new(), Vec::new());
        for change in changes {
            match *change {
                Change::Set(key, _) => set.push(key),
                Change::Unset(key) => unset.push(key),
            }
        }
        let (kind, name) = self.target.names();
        let object = json!({ "resource": kind, "name": name, "set": set, "unset": unset });
        let keys = [set, unset].concat().join(", ");
        let what = format!("The configuration of {}", resource.name());
        self.alteration.tell(&what, &format!(": {keys}"), object)
    }
}
