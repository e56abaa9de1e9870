//! Whoever makes and deletes topics, and has them forget records.

use std::cell::Cell;
use std::rc::Rc;

use futures_lite::future::zip;
use protocol::error_code::ErrorCode;
use protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use protocol::messages::delete_topics::DeleteTopicState;
use protocol::messages::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, MetadataRequest, MetadataResponse,
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
        // Two ask for it: one of them makes it, and the other hears of that.
        let made = Cell::new(0);
        let (one, other) =
            zip(self.make_topic(topic, &request, &made), self.make_topic(topic, &request, &made))
                .await;
        one.and(other)?;
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

    /// Has the topic made by `request`, or hears that it is; `made` counts who was told that he has made it.
    async fn make_topic(
        &self,
        topic: &Topic,
        request: &CreateTopicsRequest,
        made: &Cell<u32>,
    ) -> Option<()> {
        self.persist(async |connection| {
            let response: CreateTopicsResponse = connection.call(request, 7).await?;
            let Some(result) = response.topics.first() else {
                return Err(Failure::broken(12, "CreateTopics answers no topic".into()).into());
            };
            match ErrorCode::try_from(result.error_code) {
                Ok(ErrorCode::None) => {
                    made.set(made.get() + 1);
                    if made.get() > 1 {
                        let what = format!("a topic was made twice: {:?}", topic.plan);
                        return Err(Failure::broken(5, what).into());
                    }
                    Ok(Some(()))
                }
                // A first try may have succeeded without our hearing of it.
                Ok(ErrorCode::TopicAlreadyExists) => Ok(Some(())),
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
        .await
    }

    async fn find_topic(
        &self,
        connection: &mut Connection,
        topic: &Topic,
    ) -> Result<Option<Uuid>, ClientError> {
        let found = known_topic(connection, topic).await?;
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

    /// Has the partition forget its records below `offset`, which is below its high watermark.
    pub async fn delete_records(&self, topic: &Topic, partition: i32, offset: i64) -> Option<()> {
        topic.history.borrow_mut().ask_to_delete(partition, offset);
        let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset }];
        let request = DeleteRecordsRequest {
            topics: vec![DeleteRecordsTopic { name: topic.plan.name.as_str().into(), partitions }],
            timeout_ms: self.request_timeout.as_millis() as i32,
        };
        self.persist(async |connection| {
            let response: DeleteRecordsResponse = connection.call(&request, 2).await?;
            let result = response.topics.first().and_then(|topic| topic.partitions.first());
            let Some(result) = result else {
                let what = "DeleteRecords answers no partition".to_owned();
                return Err(Failure::broken(12, what).into());
            };
            let error =
                ErrorCode::try_from(result.error_code).unwrap_or(ErrorCode::UnknownServerError);
            match error {
                ErrorCode::None if result.low_watermark < offset => {
                    let low_watermark = result.low_watermark;
                    let what = format!("DeleteRecords up to {offset} answers {low_watermark}");
                    Err(Failure::broken(1, what).into())
                }
                ErrorCode::None => {
                    let mut history = topic.history.borrow_mut();
                    history.begins_at(partition, result.low_watermark)?;
                    Ok(Some(()))
                }
                error if error.is_retriable() => Ok(None),
                // All up to there was read: it is below the high watermark (INV-9).
                error => {
                    let what = format!(
                        "partition={partition} DeleteRecords up to {offset} answers {error}"
                    );
                    Err(Failure::broken(9, what).into())
                }
            }
        })
        .await
    }
}

/// What the broker tells of a topic that was made: it is known from then on, whatever crashed between
/// (INV-5).
pub async fn known_topic(
    connection: &mut Connection,
    topic: &Topic,
) -> Result<MetadataResponseTopic, ClientError> {
    let name = Some(topic.plan.name.as_str().into());
    let request = MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name, ..Default::default() }]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let mut response: MetadataResponse = connection.call(&request, 12).await?;
    match response.topics.first() {
        Some(topic) if topic.error_code == 0 => Ok(response.topics.swap_remove(0)),
        Some(_) | None => {
            let what = format!("a topic that was made is not known: {:?}", response.topics);
            Err(Failure::broken(5, what).into())
        }
    }
}
