//! The broker that coordinates a group.

use client::{ClientError, Cluster, check};
use protocol::messages::find_coordinator::FindCoordinatorRequest;
use protocol::wire::Request;

/// Kafka's number of a coordinator of groups.
const OF_GROUPS: i8 = 0;

/// Which broker coordinates `group` now; the cluster can be asked of it by its id.
pub fn find(cluster: &mut Cluster, group: &str) -> Result<i32, ClientError> {
    // Where brokers listen is known from the metadata.
    cluster.metadata(Some(&[]))?;
    let request = FindCoordinatorRequest {
        key_type: OF_GROUPS,
        coordinator_keys: vec![group.into()],
        ..FindCoordinatorRequest::default()
    };
    let response = cluster.call(&request)?;
    let found = response.coordinators.into_iter().next().unwrap_or_default();
    let what = format!("the coordinator of group {group:?}");
    check(&what, found.error_code, found.error_message.as_deref())?;
    Ok(found.node_id)
}

/// Asks the coordinator of `group`, which may just be moving or loading. `answer` makes of the response
/// what is wanted of it, or its error.
pub fn ask<R: Request, T>(
    cluster: &mut Cluster,
    group: &str,
    request: &R,
    version_max: i16,
    mut answer: impl FnMut(R::Response) -> Result<T, ClientError>,
) -> Result<T, ClientError> {
    cluster.retry(|cluster| {
        let coordinator = find(cluster, group)?;
        answer(cluster.call_broker(coordinator, request, version_max)?)
    })
}
