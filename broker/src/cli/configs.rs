//! Configurations of topics and brokers, as a running cluster has them.

use anyhow::{Result, bail};
use client::{Cluster, check};
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};
use protocol::wire::Request;

use super::brokers::brokers;

/// Whose configuration.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    Topic(&'a str),
    Broker(i32),
    /// What holds for each broker that has no value of its own.
    Cluster,
}

impl Resource<'_> {
    /// Kafka's number of the kind, and the name.
    fn on_wire(self) -> (i8, String) {
        match self {
            Resource::Topic(name) => (2, name.to_owned()),
            Resource::Broker(id) => (4, id.to_string()),
            Resource::Cluster => (4, String::new()),
        }
    }

    pub fn name(self) -> String {
        match self {
            Resource::Topic(name) => format!("topic {name:?}"),
            Resource::Broker(id) => format!("broker {id}"),
            Resource::Cluster => "all brokers".to_owned(),
        }
    }

    /// A broker answers for its own configuration alone; about the rest any one does.
    fn call<R: Request>(self, cluster: &mut Cluster, request: &R) -> Result<R::Response> {
        match self {
            Resource::Broker(id) => {
                brokers(cluster, Some(id))?;
                Ok(cluster.call_broker(id, request, i16::MAX)?)
            }
            Resource::Topic(_) | Resource::Cluster => Ok(cluster.call(request)?),
        }
    }
}

/// What is to become of a key.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    Set(&'a str, &'a str),
    Unset(&'a str),
}

const SET: i8 = 0;
const DELETE: i8 = 1;

/// Makes all `changes`, or none where the cluster refuses one. Errors name what it refuses.
pub fn change(
    cluster: &mut Cluster,
    resource: Resource<'_>,
    changes: &[Change<'_>],
    dry_run: bool,
) -> Result<()> {
    let (resource_type, resource_name) = resource.on_wire();
    let config = |change: &Change<'_>| match *change {
        Change::Set(name, value) => {
            AlterableConfig { name: name.into(), config_operation: SET, value: Some(value.into()) }
        }
        Change::Unset(name) => {
            AlterableConfig { name: name.into(), config_operation: DELETE, value: None }
        }
    };
    let request = IncrementalAlterConfigsRequest {
        resources: vec![AlterConfigsResource {
            resource_type,
            resource_name: resource_name.into(),
            configs: changes.iter().map(config).collect(),
        }],
        validate_only: dry_run,
    };
    let response = resource.call(cluster, &request)?;
    for result in &response.responses {
        let what = format!("the configuration of {}", resource.name());
        check(&what, result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// `keys` of `resource`, all where none is named, with their values and where those come from, in the
/// order of their names. Keys that it does not have are left out.
pub fn describe(
    cluster: &mut Cluster,
    resource: Resource<'_>,
    keys: &[String],
) -> Result<Vec<DescribeConfigsResourceResult>> {
    let (resource_type, resource_name) = resource.on_wire();
    let named = || keys.iter().map(Into::into).collect();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: resource_name.into(),
            configuration_keys: (!keys.is_empty()).then(named),
        }],
        include_synonyms: true,
        include_documentation: true,
    };
    let mut response = resource.call(cluster, &request)?;
    let what = format!("the configuration of {}", resource.name());
    let Some(mut result) = response.results.pop() else { bail!("{what}: the answer is empty") };
    check(&what, result.error_code, result.error_message.as_deref())?;
    result.configs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(result.configs)
}

/// Kafka's number of a value that the topic itself has.
pub const OF_THE_TOPIC: i8 = 1;

/// Kafka's number of a value that nobody has set.
pub const BY_DEFAULT: i8 = 5;

/// Where a value comes from, by Kafka's number.
pub fn source_name(source: i8) -> &'static str {
    match source {
        OF_THE_TOPIC => "topic",
        2 => "broker",
        3 => "cluster",
        4 => "file",
        BY_DEFAULT => "default",
        6 => "logger",
        7 => "subscription",
        8 => "group",
        _ => "unknown",
    }
}

/// What values of a key are, by Kafka's number.
pub fn type_name(config_type: i8) -> &'static str {
    match config_type {
        1 => "boolean",
        2 => "string",
        3 => "int",
        4 => "short",
        5 => "long",
        6 => "double",
        7 => "list",
        8 => "class",
        9 => "password",
        _ => "unknown",
    }
}

/// `KEY=VALUE` of an argument. The value may be empty, or have a `=` of its own.
pub fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has to be KEY=VALUE".to_owned()),
    }
}
