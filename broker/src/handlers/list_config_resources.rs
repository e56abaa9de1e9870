//! ListConfigResources (KIP-714, KIP-1142): what can be asked for its configurations. Source:
//! `KafkaApis.handleListConfigResources`.

use std::ops::RangeInclusive;

use controller::metadata::ResourceType;
use protocol::error_code::ErrorCode;
use protocol::messages::list_config_resources::{
    ConfigResource, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use super::request::{Refusal, RequestContext, RequestHead};
use crate::cores::ClusterView;

pub const VERSIONS: RangeInclusive<i16> = 0..=1;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

/// What a name takes in an answer, as structure and as bytes, with the topic's own.
const RESOURCE_SIZE_BYTES: usize = 512;

pub async fn serve(
    context: &RequestContext,
    head: &RequestHead,
    request: ListConfigResourcesRequest,
) -> Result<ListConfigResourcesResponse, Refusal> {
    let view = context.core.view();
    let count = view.image.topics().len() + view.image.configs().len();
    context.check_granted((count + 2 * view.image.brokers().len()) * RESOURCE_SIZE_BYTES)?;
    Ok(answer(&view, head.version, &request.resource_types))
}

/// Version 0 lists subscriptions to metrics alone; the next one all types, where it names none.
fn answer(view: &ClusterView, version: i16, asked: &[i8]) -> ListConfigResourcesResponse {
    let supported: &[i8] = match version {
        0 => &[CLIENT_METRICS],
        _ => &[GROUP, CLIENT_METRICS, BROKER_LOGGER, BROKER, TOPIC],
    };
    if asked.iter().any(|kind| !supported.contains(kind)) {
        return ListConfigResourcesResponse {
            error_code: ErrorCode::UnsupportedVersion.into(),
            ..Default::default()
        };
    }
    let wanted = supported.iter().filter(|kind| asked.is_empty() || asked.contains(kind));
    let resources = wanted.flat_map(|&kind| {
        let named = |name: &str| ConfigResource { resource_name: name.into(), resource_type: kind };
        let resources: Vec<ConfigResource> = match kind {
            TOPIC => view.image.topics().iter().map(|topic| named(&topic.name)).collect(),
            BROKER | BROKER_LOGGER => {
                let active = view.image.brokers().values().filter(|broker| !broker.fenced);
                active.map(|broker| named(&broker.id.to_string())).collect()
            }
            kind => {
                let with_configs = view.image.configs().keys();
                let of_kind = ResourceType::from_wire(kind);
                let set = with_configs.filter(|resource| Some(resource.kind) == of_kind);
                set.map(|resource| named(&resource.name)).collect()
            }
        };
        resources
    });
    ListConfigResourcesResponse { config_resources: resources.collect(), ..Default::default() }
}
