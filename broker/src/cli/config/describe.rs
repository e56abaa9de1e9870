//! `millrace config describe`.

use anyhow::{Result, bail};
use protocol::messages::describe_configs::DescribeConfigsResourceResult;
use serde_json::{Value, json};

use super::Target;
use crate::cli::bootstrap::Bootstrap;
use crate::cli::configs::{self, BY_DEFAULT, source_name, type_name};
use crate::cli::output::Output;
use crate::cli::table::Table;

/// Show what is configured, and where each value comes from.
///
/// FROM is `topic` or `broker` for a value of its own, `cluster` for one of all brokers, `file` for the
/// broker's server.properties, `default` for none of these.
///
/// Example: millrace config describe --topic orders retention.ms cleanup.policy
#[derive(clap::Args)]
pub struct Describe {
    /// These keys alone; without any, those that are set somewhere.
    #[arg(value_name = "KEY", conflicts_with = "all")]
    keys: Vec<String>,
    #[command(flatten)]
    target: Target,
    /// Every key, with its default where nothing is set.
    #[arg(short, long)]
    all: bool,
    /// Print an object a line, with type, documentation, and the values that stand behind each other.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bootstrap: Bootstrap,
}

impl Describe {
    pub fn run(&self) -> Result<()> {
        let mut cluster = self.bootstrap.connect()?;
        let resource = self.target.resource();
        let mut configs = configs::describe(&mut cluster, resource, &self.keys)?;
        let is_there = |key: &&String| configs.iter().any(|config| &*config.name == key.as_str());
        if let Some(missing) = self.keys.iter().find(|key| !is_there(key)) {
            bail!(
                "{} has no configuration {missing:?}; --all shows those there are",
                resource.name()
            );
        }
        if self.keys.is_empty() && !self.all {
            configs.retain(|config| config.config_source != BY_DEFAULT);
        }
        let mut output = Output::stdout();
        if self.json {
            for config in &configs {
                output.line(&self.json(config).to_string())?;
            }
        } else if configs.is_empty() {
            output.line(&format!("Nothing is set for {}.", resource.name()))?;
        } else {
            let mut table = Table::new(&["KEY", "VALUE", "FROM"]);
            for config in &configs {
                let value = match &config.value {
                    Some(value) => value.as_str(),
                    None if config.is_sensitive => "(hidden)",
                    None => "-",
                };
                let cells = [config.name.as_str(), value, source_name(config.config_source)];
                table.row(cells.map(str::to_owned));
            }
            output.write(table.text().as_bytes())?;
        }
        output.flush()
    }

    fn json(&self, config: &DescribeConfigsResourceResult) -> Value {
        let (kind, name) = self.target.names();
        let synonyms = config.synonyms.iter().map(|synonym| {
            json!({
                "key": synonym.name.as_str(),
                "value": synonym.value.as_deref(),
                "from": source_name(synonym.source),
            })
        });
        json!({
            "resource": kind,
            "name": name,
            "key": config.name.as_str(),
            "value": config.value.as_deref(),
            "from": source_name(config.config_source),
            "type": type_name(config.config_type),
            "read_only": config.read_only,
            "sensitive": config.is_sensitive,
            "synonyms": synonyms.collect::<Vec<_>>(),
            "documentation": config.documentation.as_deref(),
        })
    }
}
