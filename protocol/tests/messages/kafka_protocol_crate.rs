//! The `kafka-protocol` crate reads what we write and writes the same bytes: every message and
//! version that both know.

use std::ops::RangeInclusive;

use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage, VersionRange};
use protocol::for_each_api;
use protocol::messages as ours;
use protocol::wire::Message;

use crate::random::{Draw, Random};

const ROUNDS: u64 = 40;

/// Returns how many versions both know.
fn compare<Ours, Theirs>() -> usize
where
    Ours: Message + Draw,
    Theirs: TheirMessage + Encodable + Decodable,
{
    let versions = both(Ours::VERSIONS, Theirs::VERSIONS);
    for version in versions.clone() {
        for seed in 0..ROUNDS {
            let message = Ours::draw(&mut Random::new(seed), version);
            let case = format!("{} v{version}, seed {seed}", Ours::NAME);
            let bytes = message.to_encoded(version).expect(&case).contiguous();
            let mut rest = bytes.clone();
            let their_message = Theirs::decode(&mut rest, version).expect(&case);
            assert!(rest.is_empty(), "{case}: they leave {} bytes", rest.len());
            let mut their_bytes = Vec::new();
            their_message.encode(&mut their_bytes, version).expect(&case);
            assert_eq!(their_bytes, bytes, "{case}");
        }
    }
    versions.count()
}

fn both(ours: RangeInclusive<i16>, theirs: VersionRange) -> RangeInclusive<i16> {
    *ours.start().max(&theirs.min)..=*ours.end().min(&theirs.max)
}

/// Compares the messages that it lists; gives (name, our versions, versions that both know).
macro_rules! compare_all {
    ($($name:ident)*) => {
        [$((
            <ours::$name as Message>::NAME,
            <ours::$name as Message>::VERSIONS.count(),
            compare::<ours::$name, theirs::$name>(),
        )),*]
    };
}

macro_rules! all_names {
    ($($api:ident: $request:ident, $response:ident;)*) => {
        [$((<ours::$request>::NAME, <ours::$request>::VERSIONS.count()),
           (<ours::$response>::NAME, <ours::$response>::VERSIONS.count())),*]
    };
}

#[test]
fn messages_are_the_same_bytes() {
    let compared = compare_all! {
        ProduceRequest
        ProduceResponse
        FetchRequest
        FetchResponse
        ListOffsetsRequest
        ListOffsetsResponse
        MetadataRequest
        MetadataResponse
        OffsetCommitRequest
        OffsetCommitResponse
        OffsetFetchRequest
        OffsetFetchResponse
        FindCoordinatorRequest
        FindCoordinatorResponse
        JoinGroupRequest
        JoinGroupResponse
        HeartbeatRequest
        HeartbeatResponse
        LeaveGroupRequest
        LeaveGroupResponse
        SyncGroupRequest
        SyncGroupResponse
        DescribeGroupsRequest
        DescribeGroupsResponse
        ListGroupsRequest
        ListGroupsResponse
        SaslHandshakeRequest
        SaslHandshakeResponse
        ApiVersionsRequest
        ApiVersionsResponse
        CreateTopicsRequest
        CreateTopicsResponse
        DeleteTopicsRequest
        DeleteTopicsResponse
        DeleteRecordsRequest
        DeleteRecordsResponse
        InitProducerIdRequest
        InitProducerIdResponse
        OffsetForLeaderEpochRequest
        OffsetForLeaderEpochResponse
        AddPartitionsToTxnRequest
        AddPartitionsToTxnResponse
        AddOffsetsToTxnRequest
        AddOffsetsToTxnResponse
        EndTxnRequest
        EndTxnResponse
        WriteTxnMarkersRequest
        WriteTxnMarkersResponse
        TxnOffsetCommitRequest
        TxnOffsetCommitResponse
        DescribeAclsRequest
        DescribeAclsResponse
        CreateAclsRequest
        CreateAclsResponse
        DeleteAclsRequest
        DeleteAclsResponse
        DescribeConfigsRequest
        DescribeConfigsResponse
        AlterConfigsRequest
        AlterConfigsResponse
        AlterReplicaLogDirsRequest
        AlterReplicaLogDirsResponse
        DescribeLogDirsRequest
        DescribeLogDirsResponse
        SaslAuthenticateRequest
        SaslAuthenticateResponse
        CreatePartitionsRequest
        CreatePartitionsResponse
        CreateDelegationTokenRequest
        CreateDelegationTokenResponse
        RenewDelegationTokenRequest
        RenewDelegationTokenResponse
        ExpireDelegationTokenRequest
        ExpireDelegationTokenResponse
        DeleteGroupsRequest
        DeleteGroupsResponse
        ElectLeadersRequest
        ElectLeadersResponse
        OffsetDeleteRequest
        OffsetDeleteResponse
        DescribeClientQuotasRequest
        DescribeClientQuotasResponse
        AlterClientQuotasRequest
        AlterClientQuotasResponse
        VoteRequest
        VoteResponse
        BeginQuorumEpochRequest
        BeginQuorumEpochResponse
        EndQuorumEpochRequest
        EndQuorumEpochResponse
        DescribeQuorumRequest
        DescribeQuorumResponse
        AlterPartitionRequest
        AlterPartitionResponse
        UpdateFeaturesRequest
        UpdateFeaturesResponse
        EnvelopeRequest
        EnvelopeResponse
        FetchSnapshotRequest
        FetchSnapshotResponse
        DescribeClusterRequest
        DescribeClusterResponse
        DescribeProducersRequest
        DescribeProducersResponse
        BrokerRegistrationRequest
        BrokerRegistrationResponse
        BrokerHeartbeatRequest
        BrokerHeartbeatResponse
        UnregisterBrokerRequest
        UnregisterBrokerResponse
        DescribeTransactionsRequest
        DescribeTransactionsResponse
        ListTransactionsRequest
        ListTransactionsResponse
        AllocateProducerIdsRequest
        AllocateProducerIdsResponse
        ConsumerGroupHeartbeatRequest
        ConsumerGroupHeartbeatResponse
        ConsumerGroupDescribeRequest
        ConsumerGroupDescribeResponse
        ControllerRegistrationRequest
        ControllerRegistrationResponse
        PushTelemetryRequest
        PushTelemetryResponse
        AssignReplicasToDirsRequest
        AssignReplicasToDirsResponse
        ListConfigResourcesRequest
        ListConfigResourcesResponse
        ShareGroupHeartbeatRequest
        ShareGroupHeartbeatResponse
        ShareGroupDescribeRequest
        ShareGroupDescribeResponse
        ShareFetchRequest
        ShareFetchResponse
        ShareAcknowledgeRequest
        ShareAcknowledgeResponse
        AddRaftVoterRequest
        AddRaftVoterResponse
        RemoveRaftVoterRequest
        RemoveRaftVoterResponse
        UpdateRaftVoterRequest
        UpdateRaftVoterResponse
        ReadShareGroupStateRequest
        ReadShareGroupStateResponse
        WriteShareGroupStateRequest
        WriteShareGroupStateResponse
        DeleteShareGroupStateRequest
        DeleteShareGroupStateResponse
    };
    let mut uncovered = Vec::new();
    for (name, versions) in for_each_api!(all_names) {
        let known = compared.iter().find(|(compared, ..)| *compared == name);
        let missing = versions - known.map_or(0, |(_, _, both)| *both);
        if missing > 0 {
            uncovered.push((name, missing));
        }
    }
    println!("versions that only Kafka's own bytes check: {uncovered:?}");
    let versions: usize = compared.iter().map(|(_, _, both)| both).sum();
    let missing: usize = uncovered.iter().map(|(_, missing)| missing).sum();
    assert_eq!((versions, missing), (543, 61), "versions compared, versions not covered");
}
