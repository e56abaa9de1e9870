//! Configurations of topics, as a running cluster has them.

use anyhow::{Result, bail};
use client::{ClientError, Cluster, check};
use protocol::messages::describe_configs::{
    DescribeConfigsRequest, DescribeConfigsResource, DescribeConfigsResourceResult,
};
use protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterableConfig, IncrementalAlterConfigsRequest,
};

/// Whose configuration.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    Topic(&'a str),
}

impl Resource<'_> {
    /// Kafka's number of the kind, and the name.
    fn on_wire(self) -> (i8, String) {
        match self {
            Resource::Topic(name) => (2, name.to_owned()),
        }
    }

    pub fn name(self) -> String {
        match self {
            Resource::Topic(name) => format!("topic {name:?}"),
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
    let response = cluster.call(&request)?;
    for result in &response.responses {
        let what = format!("the configuration of {}", resource.name());
        check(&what, result.error_code, result.error_message.as_deref())?;
    }
    Ok(())
}

/// All keys of `resource`, with their values and where those come from, in the order of their names.
pub fn describe(
    cluster: &mut Cluster,
    resource: Resource<'_>,
) -> Result<Vec<DescribeConfigsResourceResult>> {
    let (resource_type, resource_name) = resource.on_wire();
    let request = DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name: resource_name.into(),
            configuration_keys: None,
        }],
        include_synonyms: false,
        include_documentation: false,
    };
    let mut response = cluster.call(&request)?;
    let what = format!("the configuration of {}", resource.name());
    let Some(mut result) = response.results.pop() else { bail!("{what}: the answer is empty") };
    let refused: Result<(), ClientError> =
        check(&what, result.error_code, result.error_message.as_deref());
    refused?;
    result.configs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(result.configs)
}

/// Kafka's number of a value that the topic itself has.
pub const OF_THE_TOPIC: i8 = 1;
