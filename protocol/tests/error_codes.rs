//! Error codes are found wherever a response says them.

use protocol::messages::fetch::{FetchableTopicResponse, PartitionData};
use protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use protocol::messages::{
    ApiVersionsResponse, FetchRequest, FetchResponse, HeartbeatResponse, MetadataResponse,
};
use protocol::wire::ApiMessage;

fn codes(message: &impl ApiMessage) -> Vec<i16> {
    let mut codes = Vec::new();
    message.error_codes(&mut |code| codes.push(code));
    codes
}

#[test]
fn codes_are_found_at_every_depth() {
    let partition = |error_code| PartitionData { error_code, ..Default::default() };
    let topic = FetchableTopicResponse {
        partitions: vec![partition(0), partition(6)],
        ..Default::default()
    };
    let fetched = FetchResponse {
        error_code: 70,
        responses: vec![topic.clone(), topic],
        ..Default::default()
    };
    assert_eq!(codes(&fetched), [70, 0, 6, 0, 6]);
    let topic = MetadataResponseTopic {
        error_code: 3,
        partitions: vec![MetadataResponsePartition { error_code: 5, ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(codes(&MetadataResponse { topics: vec![topic], ..Default::default() })[..2], [3, 5]);
    assert_eq!(codes(&ApiVersionsResponse { error_code: 35, ..Default::default() }), [35]);
    assert_eq!(codes(&HeartbeatResponse { error_code: 27, ..Default::default() }), [27]);
    assert_eq!(codes(&FetchRequest::default()), [0_i16; 0]);
}
