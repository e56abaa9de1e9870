//! OffsetDelete (KIP-496): offsets of a group are forgotten, where no member reads the topic. Source:
//! `KafkaApis.handleOffsetDeleteRequest`.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::offset_delete::{
    OffsetDeleteRequestTopic, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};
use protocol::model::PartitionId;

use super::coordinator::ask;
use super::request::{Refusal, RequestContext, RequestHead};
use crate::coordinator::group::{GroupAnswer, GroupRequest};

pub const VERSIONS: RangeInclusive<i16> = 0..=0;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: OffsetDeleteRequest,
) -> Result<OffsetDeleteResponse, Refusal> {
    let view = context.core.view();
    let exists = |topic: &str, index| {
        let known = view.image.topic_by_name(topic);
        known.is_some_and(|topic| topic.partitions.contains_key(&PartitionId(index)))
    };
    let mut known = request.topics.clone();
    for topic in &mut known {
        topic.partitions.retain(|partition| exists(&topic.name, partition.partition_index));
    }
    known.retain(|topic| !topic.partitions.is_empty());
    let asked = OffsetDeleteRequest { topics: known, ..request.clone() };
    match ask(context, &request.group_id, GroupRequest::DeleteOffsets(asked)).await? {
        Ok(GroupAnswer::DeleteOffsets(response)) => {
            let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
            let mut codes = partitions.map(|partition| partition.error_code);
            let answer = |topic: OffsetDeleteRequestTopic| OffsetDeleteResponseTopic {
                partitions: topic
                    .partitions
                    .iter()
                    .map(|partition| OffsetDeleteResponsePartition {
                        partition_index: partition.partition_index,
                        error_code: match exists(&topic.name, partition.partition_index) {
                            true => codes.next().unwrap_or_default(),
                            false => ErrorCode::UnknownTopicOrPartition.into(),
                        },
                    })
                    .collect(),
                name: topic.name,
            };
            let topics = request.topics.into_iter().map(answer).collect();
            Ok(OffsetDeleteResponse { topics, ..OffsetDeleteResponse::default() })
        }
        Ok(other) => unreachable!("{other:?} answers no OffsetDelete"),
        Err(error) => {
            Ok(OffsetDeleteResponse { error_code: error.into(), ..OffsetDeleteResponse::default() })
        }
    }
}
