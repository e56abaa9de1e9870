//! DescribeCluster (KIP-700, KIP-919, KIP-1073): the brokers of this cluster.

use std::ops::RangeInclusive;

use protocol::error_code::ErrorCode;
use protocol::messages::describe_cluster::{
    DescribeClusterBroker, DescribeClusterRequest, DescribeClusterResponse,
};

use super::operations;
use super::request::{Refusal, RequestContext, RequestHead};

pub const VERSIONS: RangeInclusive<i16> = 0..=2;

/// `endpoint_type` of brokers; 2 is that of controllers, which only they answer.
const BROKERS: i8 = 1;

pub async fn serve(
    context: &RequestContext,
    _head: &RequestHead,
    request: DescribeClusterRequest,
) -> Result<DescribeClusterResponse, Refusal> {
    let core = &context.core;
    if request.endpoint_type != BROKERS {
        let error = match request.endpoint_type {
            2 => ErrorCode::MismatchedEndpointType,
            _ => ErrorCode::UnsupportedEndpointType,
        };
        return Ok(DescribeClusterResponse {
            error_code: error.into(),
            error_message: Some("this listener describes brokers: endpoint type 1".into()),
            endpoint_type: BROKERS,
            cluster_authorized_operations: operations::UNKNOWN,
            ..Default::default()
        });
    }
    let view = core.view();
    let listener = &core.node.config.listener.name;
    let brokers = view
        .image
        .brokers()
        .values()
        .filter(|broker| !broker.fenced || request.include_fenced_brokers)
        .filter_map(|broker| {
            let endpoint = broker.listeners.iter().find(|known| &*known.name == listener)?;
            Some(DescribeClusterBroker {
                broker_id: broker.id.0,
                host: (*endpoint.host).into(),
                port: i32::from(endpoint.port),
                rack: broker.rack.as_deref().map(Into::into),
                is_fenced: broker.fenced,
            })
        })
        .collect();
    Ok(DescribeClusterResponse {
        endpoint_type: BROKERS,
        cluster_id: (*view.cluster_id).into(),
        controller_id: core.node.config.node_id.0,
        brokers,
        cluster_authorized_operations: operations::asked(
            request.include_cluster_authorized_operations,
            operations::CLUSTER,
        ),
        ..Default::default()
    })
}
