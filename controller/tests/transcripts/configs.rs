//! Commands that alter configurations.

use controller::Request;
use protocol::messages::{
    AlterConfigsRequest, IncrementalAlterConfigsRequest, alter_configs as whole,
    incremental_alter_configs as single,
};

use crate::cluster::Arguments;

/// `alter topic:orders set=a:1;b:2 delete=c append=d:x subtract=e:y --validate-only`, of as many
/// resources as are named; `replace` with `set` alone is the API that forgets what it does not name.
pub fn alter(replaces_all: bool, arguments: &Arguments<'_>) -> Request {
    let resources = arguments.words().filter(|word| !word.starts_with("--"));
    let resources: Vec<(i8, &str)> = resources.map(resource).collect();
    let validate_only = arguments.has("--validate-only");
    if replaces_all {
        let entries = entries(arguments.value("set"));
        let configs = entries.iter().map(|(name, value)| whole::AlterableConfig {
            name: (*name).into(),
            value: value.map(Into::into),
        });
        let configs: Vec<_> = configs.collect();
        let resources = resources.into_iter().map(|(kind, name)| whole::AlterConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configs: configs.clone(),
        });
        let resources = resources.collect();
        return Request::AlterConfigs(AlterConfigsRequest { resources, validate_only });
    }
    let operations = ["set", "delete", "append", "subtract", "odd"].into_iter().zip(0..);
    let configs = operations.flat_map(|(verb, operation)| {
        let entries = entries(arguments.value(verb)).into_iter();
        entries.map(move |(name, value)| single::AlterableConfig {
            name: name.into(),
            config_operation: operation,
            value: value.map(Into::into),
        })
    });
    let configs: Vec<_> = configs.collect();
    let resources = resources.into_iter().map(|(kind, name)| single::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configs: configs.clone(),
    });
    let resources = resources.collect();
    Request::IncrementalAlterConfigs(IncrementalAlterConfigsRequest { resources, validate_only })
}

fn resource(word: &str) -> (i8, &str) {
    let (kind, name) = word.split_once(':').unwrap_or((word, ""));
    let kind = match kind {
        "topic" => 2,
        "broker" => 4,
        "logger" => 8,
        "metrics" => 16,
        "group" => 32,
        number => number.parse().unwrap(),
    };
    (kind, name)
}

fn entries(text: Option<&str>) -> Vec<(&str, Option<&str>)> {
    let entries = text.into_iter().flat_map(|text| text.split(';'));
    entries
        .map(|entry| {
            entry.split_once(':').map_or((entry, None), |(name, value)| (name, Some(value)))
        })
        .collect()
}
