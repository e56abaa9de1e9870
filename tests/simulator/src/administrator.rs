//! Whoever alters topics, and looks whether what was altered holds.

use std::rc::Rc;

use futures_lite::future::zip;
use protocol::error_code::ErrorCode;
use protocol::messages::create_partitions::CreatePartitionsTopic;
use protocol::messages::describe_configs::DescribeConfigsResource;
use protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

use crate::client::{ClientError, Connection};
use crate::operator::known_topic;
use crate::topic::Topic;
use crate::verdict::Failure;
use crate::workload::Workload;

/// A configuration that no client notices.
const ALTERED_CONFIG: &str = "file.delete.delay.ms";

/// Requests that are sent one after the other without waiting for answers.
const PIPELINE_LENGTH: u64 = 3;

/// `resource_type` of a topic, `config_operation` of a value that is set, `config_source` of a topic's own.
const TOPIC: i8 = 2;
const SET: i8 = 0;
const TOPIC_CONFIG: i8 = 1;

/// What is altered.
#[derive(Clone, Copy, Debug)]
pub enum Alteration {
    /// To values from here on, one after the other.
    Config(u64),
    /// To so many partitions.
    Partitions(i32),
}

impl Workload {
    /// Alters `topic`, whatever it takes, and looks at it before and after.
    pub async fn alter_topic(&self, topic: &Rc<Topic>, alteration: Alteration) -> Option<()> {
        self.check_altered(topic).await?;
        match alteration {
            Alteration::Config(first) => self.alter_config(topic, first).await?,
            Alteration::Partitions(count) => {
                topic.alterations.borrow_mut().ask_partitions(count);
                // Two ask for the same: one of them makes it so, and the other hears of that.
                let (one, other) =
                    zip(self.grow_topic(topic, count), self.grow_topic(topic, count)).await;
                one.and(other)?;
            }
        }
        self.check_altered(topic).await
    }

    async fn alter_config(&self, topic: &Topic, first: u64) -> Option<()> {
        // Each try has values of its own: requests of one before may be on their way.
        let mut next = first;
        self.persist(async |connection| {
            let values: Vec<String> =
                (next..next + PIPELINE_LENGTH).map(|value| value.to_string()).collect();
            next += PIPELINE_LENGTH;
            topic.alterations.borrow_mut().ask_config(ALTERED_CONFIG, &values);
            for value in &values {
                connection.send(&set(topic, value), 1).await?;
            }
            let mut are_set = true;
            for _ in &values {
                let response: IncrementalAlterConfigsResponse = connection.receive().await?;
                let Some(result) = response.responses.first() else {
                    let what = "IncrementalAlterConfigs answers no topic".to_owned();
                    return Err(Failure::broken(12, what).into());
                };
                are_set &= result.error_code == ErrorCode::None.code();
            }
            if are_set {
                topic.alterations.borrow_mut().config_acknowledged(ALTERED_CONFIG, &values);
                self.count_decision();
            }
            Ok(are_set.then_some(()))
        })
        .await
    }

    async fn grow_topic(&self, topic: &Topic, count: i32) -> Option<()> {
        let request = CreatePartitionsRequest {
            topics: vec![CreatePartitionsTopic {
                name: topic.plan.name.as_str().into(),
                count,
                assignments: None,
            }],
            timeout_ms: self.request_timeout.as_millis() as i32,
            validate_only: false,
        };
        self.persist(async |connection| {
            let response: CreatePartitionsResponse = connection.call(&request, 3).await?;
            let Some(result) = response.results.first() else {
                let what = "CreatePartitions answers no topic".to_owned();
                return Err(Failure::broken(12, what).into());
            };
            let has_grown = match ErrorCode::try_from(result.error_code) {
                Ok(ErrorCode::None) => true,
                // There are as many already.
                Ok(ErrorCode::InvalidPartitions) => false,
                _ => return Ok(None),
            };
            topic.alterations.borrow_mut().has_partitions(count, has_grown)?;
            self.count_decision();
            Ok(Some(()))
        })
        .await
    }

    /// That what the broker says of `topic` is what was altered.
    pub async fn check_altered(&self, topic: &Topic) -> Option<()> {
        self.persist(async |connection| {
            check_configs(connection, topic).await?;
            check_partitions(connection, topic).await
        })
        .await
    }
}

fn set(topic: &Topic, value: &str) -> IncrementalAlterConfigsRequest {
    let config = AlterableConfig {
        name: ALTERED_CONFIG.into(),
        config_operation: SET,
        value: Some(value.into()),
    };
    let resource = AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.plan.name.as_str().into(),
        configs: vec![config],
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}

async fn check_configs(connection: &mut Connection, topic: &Topic) -> Result<(), ClientError> {
    let names = topic.alterations.borrow().configs();
    let resource = DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: topic.plan.name.as_str().into(),
        configuration_keys: Some(names.iter().map(|&name| name.into()).collect()),
    };
    let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: DescribeConfigsResponse = connection.call(&request, 4).await?;
    let Some(result) = response.results.first().filter(|result| result.error_code == 0) else {
        return Err(std::io::Error::other("no configuration is told").into());
    };
    for name in names {
        let told = result.configs.iter().find(|config| *config.name == *name);
        let own = told.filter(|config| config.config_source == TOPIC_CONFIG);
        let value = own.and_then(|config| config.value.as_deref());
        topic.alterations.borrow().check_config(name, value)?;
    }
    Ok(())
}

async fn check_partitions(
    connection: &mut Connection,
    topic: &Topic,
) -> Result<Option<()>, ClientError> {
    let found = known_topic(connection, topic).await?;
    topic.alterations.borrow().check_partitions(found.partitions.len() as i32)?;
    Ok(Some(()))
}
