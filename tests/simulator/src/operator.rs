//! Whoever makes and deletes topics, and has them forget records.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    MetadataRequest, MetadataResponse,
};
use protocol::model::Uuid;

use crate::client::{ClientError, Connection};
use crate::topic::{Deletion, Topic};
use crate::verdict::Failure;
use crate::workload::Workload;

impl Workload {
    /// Makes the topic, whatever it takes, and learns its id. No topic of its name is there, unless
    /// an earlier try has made it.
    pub async fn create_topic(&self, topic: &Topic) -> Option<()> {
        let configs = topic.plan.configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some(value.as_str().into()),
        });
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.plan.name.as_str().into(),
                num_partitions: topic.plan.partition_count,
                replication_factor: 1,
                configs: configs.collect(),
                ..CreatableTopic::default()
            }],
            ..CreateTopicsRequest::default()
        };
        self.persist(async |connection| {
            let response: CreateTopicsResponse = connection.call(&request, 7).await?;
            let Some(result) = response.topics.first() else {
                return Err(Failure::broken(12, "CreateTopics answers no topic".into()).into());
            };
            match ErrorCode::try_from(result.error_code) {
                // A first try may have succeeded without our hearing of it.
                Ok(ErrorCode::None | ErrorCode::TopicAlreadyExists) => Ok(Some(())),
                Ok(error) if !error.is_retriable() && error != ErrorCode::UnknownServerError => {
                    let what = format!(
                        "a topic is refused with {error} {:?}: {:?}",
                        result.error_message, topic.plan
                    );
                    Err(Failure::crash(what).into())
                }
                _ => Ok(None),
            }
        })
        .await?;
        let id = self.persist(async |connection| self.find_topic(connection, topic).await).await?;
        let topics = self.topics.borrow();
        if topics.iter().any(|other| other.id.get() == id) {
            let what = format!("a topic that was deleted is there again: {:?}", topic.plan);
            self.fail(Failure::broken(5, what));
            return None;
        }
        topic.id.set(id);
        Some(())
    }

    async fn find_topic(
        &self,
        connection: &mut Connection,
        topic: &Topic,
    ) -> Result<Option<Uuid>, ClientError> {
        let name = Some(topic.plan.name.as_str().into());
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { name, ..Default::default() }]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response: MetadataResponse = connection.call(&request, 12).await?;
        // A topic that was made is known from then on, whatever crashed between (INV-5).
        let Some(found) = response.topics.first().filter(|topic| topic.error_code == 0) else {
            let what = format!("a topic that was made is not known: {:?}", response.topics);
            return Err(Failure::broken(5, what).into());
        };
        let is_led = found.partitions.len() == topic.plan.partition_count as usize
            && found.partitions.iter().all(|partition| partition.error_code == 0);
        Ok(is_led.then_some(found.topic_id))
    }

    /// Deletes the topic, whatever it takes.
    pub async fn delete_topic(&self, topic: &Topic) -> Option<()> {
        topic.deletion.set(Deletion::Asked);
        let request = DeleteTopicsRequest {
            topics: vec![DeleteTopicState { name: None, topic_id: topic.id.get() }],
            timeout_ms: self.request_timeout.as_millis() as i32,
            ..DeleteTopicsRequest::default()
        };
        self.persist(async |connection| {
            let response: DeleteTopicsResponse = connection.call(&request, 6).await?;
            let Some(result) = response.responses.first() else {
                return Err(Failure::broken(12, "DeleteTopics answers no topic".into()).into());
            };
            match ErrorCode::try_from(result.error_code) {
                // A first try may have succeeded without our hearing of it.
                Ok(ErrorCode::None | ErrorCode::UnknownTopicId) => Ok(Some(())),
                _ => Ok(None),
            }
        })
        .await?;
        topic.deletion.set(Deletion::Done);
        Some(())
    }

    /// Deletes `topic` and makes `next`, of the same name.
    pub async fn replace_topic(&self, topic: &Rc<Topic>, next: &Rc<Topic>) -> Option<()> {
        self.delete_topic(topic).await?;
        self.create_topic(next).await
    }
}
