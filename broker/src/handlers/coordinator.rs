//! The way from a group to its coordinator.

use std::collections::BTreeMap;

use protocol::error_code::ErrorCode;
use protocol::wire::WireString;

use super::request::{Refusal, RequestContext};
use super::route::{self, Route};
use crate::coordinator::group::{
    GroupQuestion, GroupRequest, GroupResult, OFFSETS_TOPIC, partition_of,
};
use crate::cores::ClusterView;

/// How many partitions groups are shared out among; `None` before anybody has asked for a coordinator.
pub fn partition_count(view: &ClusterView) -> Option<usize> {
    view.image.topic_by_name(OFFSETS_TOPIC).map(|topic| topic.partitions.len())
}

/// Where partition `index` of the committed offsets is served.
pub fn route_to(context: &RequestContext, index: i32) -> Result<Route, ErrorCode> {
    let core = &context.core;
    route::by_name(&core.view(), core.node.config.node_id, OFFSETS_TOPIC, index)
        .map_err(|_| ErrorCode::NotCoordinator)
}

fn route_of(context: &RequestContext, group_id: &str) -> Result<Route, ErrorCode> {
    let count = partition_count(&context.core.view()).ok_or(ErrorCode::NotCoordinator)?;
    route_to(context, partition_of(group_id, count))
}

/// Asks the coordinator of `group_id`, and waits for its answer.
pub async fn ask(
    context: &RequestContext,
    group_id: &str,
    request: GroupRequest,
) -> Result<GroupResult, Refusal> {
    match route_of(context, group_id) {
        Ok(route) => {
            let question = GroupQuestion { partition: route.key, request };
            Ok(context.core.ask(route.core, question).await.await?)
        }
        Err(error) => Ok(Err(error)),
    }
}

/// Groups that one coordinator has: where they stand in the request, and their names.
pub struct OfOne {
    pub slots: Vec<usize>,
    pub result: GroupResult,
}

/// Asks all coordinators of `groups`, each for those that it has.
pub async fn ask_each(
    context: &RequestContext,
    groups: &[WireString],
    request: impl Fn(Vec<WireString>) -> GroupRequest,
) -> Result<Vec<OfOne>, Refusal> {
    let count = partition_count(&context.core.view()).unwrap_or(1);
    let mut by_partition: BTreeMap<i32, (Vec<usize>, Vec<WireString>)> = BTreeMap::new();
    for (slot, group) in groups.iter().enumerate() {
        let (slots, names) = by_partition.entry(partition_of(group, count)).or_default();
        slots.push(slot);
        names.push(group.clone());
    }
    let mut answers = Vec::with_capacity(by_partition.len());
    let mut asked = Vec::with_capacity(by_partition.len());
    for (partition, (slots, names)) in by_partition {
        match route_to(context, partition) {
            Ok(route) => {
                let question = GroupQuestion { partition: route.key, request: request(names) };
                asked.push((slots, context.core.ask(route.core, question).await));
            }
            Err(error) => answers.push(OfOne { slots, result: Err(error) }),
        }
    }
    for (slots, answer) in asked {
        answers.push(OfOne { slots, result: answer.await? });
    }
    Ok(answers)
}
