//! The one list of what this broker speaks. Routing and the ApiVersions answer both read it, so they
//! cannot disagree.

use std::future::Future;
use std::ops::RangeInclusive;
use std::pin::Pin;

use protocol::api::ApiKey;
use protocol::messages::{
    AlterClientQuotasRequest, AlterConfigsRequest, AlterPartitionReassignmentsRequest,
    ApiVersionsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeClientQuotasRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeQuorumRequest, DescribeTopicPartitionsRequest,
    DescribeUserScramCredentialsRequest, ElectLeadersRequest, FetchRequest, FindCoordinatorRequest,
    HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest,
    LeaveGroupRequest, ListConfigResourcesRequest, ListGroupsRequest, ListOffsetsRequest,
    ListPartitionReassignmentsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest,
    UnregisterBrokerRequest, UpdateFeaturesRequest,
};
use protocol::wire::{Decoder, Message};

use super::request::{Answer, Refusal, RequestContext, RequestHead};
use super::{
    alter_client_quotas, alter_configs, alter_partition_reassignments, api_versions,
    create_partitions, create_topics, delete_groups, delete_records, delete_topics,
    describe_client_quotas, describe_cluster, describe_configs, describe_groups, describe_log_dirs,
    describe_producers, describe_quorum, describe_topic_partitions,
    describe_user_scram_credentials, elect_leaders, fetch, find_coordinator, heartbeat,
    incremental_alter_configs, init_producer_id, join_group, leave_group, list_config_resources,
    list_groups, list_offsets, list_partition_reassignments, metadata, offset_commit,
    offset_delete, offset_fetch, offset_for_leader_epoch, produce, sync_group, unregister_broker,
    update_features,
};

type Served = Pin<Box<dyn Future<Output = Result<Answer, Refusal>>>>;

/// One API.
pub struct Handler {
    pub api_key: ApiKey,
    /// The versions that are served.
    pub versions: RangeInclusive<i16>,
    /// The lowest version that ApiVersions tells of.
    pub advertised_min: i16,
    pub serve: fn(RequestContext, RequestHead, Decoder) -> Served,
}

/// The APIs that are served, in the order of their keys.
pub fn served_apis() -> impl Iterator<Item = ApiKey> {
    HANDLERS.iter().map(|handler| handler.api_key)
}

/// The handler of `api_key`, if it is served.
pub fn find(api_key: ApiKey) -> Option<&'static Handler> {
    HANDLERS.iter().find(|handler| handler.api_key == api_key)
}

fn decode<M: Message>(head: &RequestHead, mut body: Decoder) -> Result<M, Refusal> {
    M::decode(&mut body, head.version).map_err(|source| Refusal::Body {
        api_key: head.api_key,
        version: head.version,
        source,
    })
}

/// A handler whose answer is whole when it returns: the next request is read after it.
macro_rules! answers {
    ($api:ident, $module:ident, $request:ty) => {
        Handler {
            api_key: ApiKey::$api,
            versions: $module::VERSIONS,
            advertised_min: *$module::VERSIONS.start(),
            serve: |context, head, body| {
                Box::pin(async move {
                    let request: $request = decode(&head, body)?;
                    let response = $module::serve(&context, &head, request).await?;
                    head.respond(&response).map(Answer::ready)
                })
            },
        }
    };
}

/// A handler that returns once the request stands in its owners' queues: the next one overlaps.
macro_rules! overlaps {
    ($api:ident, $module:ident, $request:ty, $advertised_min:expr) => {
        Handler {
            api_key: ApiKey::$api,
            versions: $module::VERSIONS,
            advertised_min: $advertised_min,
            serve: |context, head, body| {
                Box::pin(async move {
                    let request: $request = decode(&head, body)?;
                    $module::serve(context, head, request).await
                })
            },
        }
    };
}

/// Sorted by key.
pub static HANDLERS: &[Handler] = &[
    // librdkafka before 2.11.1 looks for version 0 to decide whether it may compress (KAFKA-18659).
    overlaps!(Produce, produce, ProduceRequest, 0),
    overlaps!(Fetch, fetch, FetchRequest, *fetch::VERSIONS.start()),
    answers!(ListOffsets, list_offsets, ListOffsetsRequest),
    answers!(Metadata, metadata, MetadataRequest),
    answers!(OffsetCommit, offset_commit, OffsetCommitRequest),
    answers!(OffsetFetch, offset_fetch, OffsetFetchRequest),
    answers!(FindCoordinator, find_coordinator, FindCoordinatorRequest),
    answers!(JoinGroup, join_group, JoinGroupRequest),
    answers!(Heartbeat, heartbeat, HeartbeatRequest),
    answers!(LeaveGroup, leave_group, LeaveGroupRequest),
    answers!(SyncGroup, sync_group, SyncGroupRequest),
    answers!(DescribeGroups, describe_groups, DescribeGroupsRequest),
    answers!(ListGroups, list_groups, ListGroupsRequest),
    answers!(ApiVersions, api_versions, ApiVersionsRequest),
    answers!(CreateTopics, create_topics, CreateTopicsRequest),
    answers!(DeleteTopics, delete_topics, DeleteTopicsRequest),
    answers!(DeleteRecords, delete_records, DeleteRecordsRequest),
    answers!(InitProducerId, init_producer_id, InitProducerIdRequest),
    answers!(OffsetForLeaderEpoch, offset_for_leader_epoch, OffsetForLeaderEpochRequest),
    answers!(DescribeConfigs, describe_configs, DescribeConfigsRequest),
    answers!(AlterConfigs, alter_configs, AlterConfigsRequest),
    answers!(DescribeLogDirs, describe_log_dirs, DescribeLogDirsRequest),
    answers!(CreatePartitions, create_partitions, CreatePartitionsRequest),
    answers!(DeleteGroups, delete_groups, DeleteGroupsRequest),
    answers!(ElectLeaders, elect_leaders, ElectLeadersRequest),
    answers!(IncrementalAlterConfigs, incremental_alter_configs, IncrementalAlterConfigsRequest),
    answers!(
        AlterPartitionReassignments,
        alter_partition_reassignments,
        AlterPartitionReassignmentsRequest
    ),
    answers!(
        ListPartitionReassignments,
        list_partition_reassignments,
        ListPartitionReassignmentsRequest
    ),
    answers!(OffsetDelete, offset_delete, OffsetDeleteRequest),
    answers!(DescribeClientQuotas, describe_client_quotas, DescribeClientQuotasRequest),
    answers!(AlterClientQuotas, alter_client_quotas, AlterClientQuotasRequest),
    answers!(
        DescribeUserScramCredentials,
        describe_user_scram_credentials,
        DescribeUserScramCredentialsRequest
    ),
    answers!(DescribeQuorum, describe_quorum, DescribeQuorumRequest),
    answers!(UpdateFeatures, update_features, UpdateFeaturesRequest),
    answers!(DescribeCluster, describe_cluster, DescribeClusterRequest),
    answers!(DescribeProducers, describe_producers, DescribeProducersRequest),
    answers!(UnregisterBroker, unregister_broker, UnregisterBrokerRequest),
    answers!(ListConfigResources, list_config_resources, ListConfigResourcesRequest),
    answers!(DescribeTopicPartitions, describe_topic_partitions, DescribeTopicPartitionsRequest),
];

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::*;

    #[test]
    fn handlers_are_sorted_and_speak_only_what_the_schemas_have() {
        for pair in HANDLERS.windows(2) {
            assert!(pair[0].api_key < pair[1].api_key, "{:?}", pair[1].api_key);
        }
        for Handler { api_key, versions, .. } in HANDLERS {
            let known = api_key.versions().expect("an API that Kafka still has");
            assert!(
                known.contains(versions.start()) && known.contains(versions.end()),
                "{api_key:?} {versions:?}"
            );
        }
    }

    /// `docs/kafka-apis.md`, as the table has it.
    #[expect(clippy::disallowed_methods, reason = "a test reads the expectations")]
    fn page() -> String {
        let mut page = String::from(
            "# Kafka APIs\n\nWhat this broker speaks, generated from its table of handlers: \
             `UPDATE_EXPECT=1 cargo test -p broker`.\nAn API that is not here is not advertised; a \
             request for it closes the connection, as in Apache Kafka.\n\n\
             | key | API | versions | Apache Kafka 4.3 |\n|---|---|---|---|\n",
        );
        for Handler { api_key, versions, .. } in HANDLERS {
            let known = api_key.versions().expect("an API that Kafka still has");
            page.push_str(&format!(
                "| {} | {} | {}-{} | {}-{} |\n",
                i16::from(*api_key),
                api_key.name(),
                versions.start(),
                versions.end(),
                known.start(),
                known.end(),
            ));
        }
        page.push_str("\n## Behaviour\n\n");
        let mut all = 0;
        let mut rows = String::from("| expected answers | lines |\n|---|---|\n");
        for path in expectations() {
            let lines = std::fs::read_to_string(repository().join(&path))
                .unwrap_or_default()
                .lines()
                .count();
            rows.push_str(&format!("| `{path}` | {lines} |\n"));
            all += lines;
        }
        page.push_str(&format!(
            "{all} lines of answers, errors among them, were taken from Apache Kafka 4.3.1 by the tests that \
             hold millrace\nto them, on 1, 2 and 4 cores (`scripts/test clients`):\n\n{rows}"
        ));
        page.push_str(DIFFERENCES);
        page
    }

    fn repository() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// The files of expected answers, below the repository.
    #[expect(clippy::disallowed_methods, reason = "a test lists the expectations")]
    fn expectations() -> Vec<String> {
        let mut paths = Vec::new();
        for folder in ["tests/clients/expect", "tests/clients/kafka"] {
            let entries =
                std::fs::read_dir(repository().join(folder)).expect("the folder is there");
            let names = entries.map(|entry| entry.expect("read").file_name());
            let texts = names.filter(|name| name.to_string_lossy().ends_with(".txt"));
            paths.extend(texts.map(|name| format!("{folder}/{}", name.display())));
        }
        paths.sort();
        paths
    }

    /// Where an answer is another one than Apache Kafka's, and why.
    const DIFFERENCES: &str = "\n## Differences\n\n\
         On purpose another answer have:\n\n\
         | API | asked for | Apache Kafka | millrace | why |\n|---|---|---|---|---|\n\
         | Metadata | a topic that is made by asking | UNKNOWN_TOPIC_OR_PARTITION, and the client asks \
         again | the topic, once every core serves it | one round trip less, and no window in which it is \
         there for one connection alone |\n\
         | UnregisterBroker | the node that runs | forgets it: no broker is left until a restart | \
         INVALID_REQUEST | a node with both roles would be without its broker |\n\
         | AlterPartitionReassignments | a replica that would be new | begins to move it | \
         INVALID_REPLICA_ASSIGNMENT | there is no replication yet |\n\
         | AlterReplicaLogDirs | to move a replica from one of `log.dirs` to another | copies it, and goes \
         over to the copy | not served | there is one directory for a log yet, from its creation on |\n\
         | AlterUserScramCredentials | a user's SCRAM credential | keeps it | not served | without SASL \
         nobody could use it |\n\
         | AlterClientQuotas | a host's name as `ip` | looks it up | INVALID_REQUEST | each broker would look \
         it up again; an address is the same everywhere |\n\
         | AlterClientQuotas | a value that is no number | takes it, and limits to nothing | \
         INVALID_REQUEST | nobody means it |\n\
         | UpdateFeatures | `kraft.version` 1 in a static quorum | makes it a dynamic one | \
         INVALID_UPDATE_VERSION | only a new quorum can be dynamic yet |\n\
         | Produce | a codec that nobody knows | UNKNOWN_SERVER_ERROR | UNSUPPORTED_COMPRESSION_TYPE | it \
         is the client's mistake, and it need not try again |\n\
         | Produce | a batch that no client makes (ADR 0021) | takes it | INVALID_RECORD | nobody could \
         read it |\n\
         | Produce | a batch with an error | the log start with some errors | -1 | the log's core is not \
         asked |\n\
         | Fetch | to go on with a session of another connection | goes on | goes on, or \
         FETCH_SESSION_ID_NOT_FOUND where another core has it | cores share nothing (ADR 0153) |\n\
         | Fetch | the aborted transactions of a partition with an error | none or an empty list, by the error | \
         none or an empty list, by the isolation level | no client reads it |\n\
         | ListOffsets | the largest time (-3), of a record that DeleteRecords has cut off within its segment \
         | that record's offset, below the log start | the largest of the records that are left | a \
         consumer that seeks there gets OFFSET_OUT_OF_RANGE |\n\
         | all but Produce, Fetch and those that make or delete topics | more than `request_percentage` \
         allows | how long to wait | 0, and the connection is not read for as long | ADR 0161 |\n\
         | FindCoordinator | a group, where `__consumer_offsets` is made by asking | \
         COORDINATOR_NOT_AVAILABLE, and the client asks again | the coordinator | as with Metadata |\n\
         | FindCoordinator | a transaction or a share group | its coordinator | COORDINATOR_NOT_AVAILABLE | \
         there are no such coordinators yet |\n\
         | JoinGroup, SyncGroup | again, while the member's last one is parked | the last one is never \
         answered | REBALANCE_IN_PROGRESS for the last one | nobody waits for ever |\n\
         | JoinGroup | without a protocol, of a group that is not there | INCONSISTENT_GROUP_PROTOCOL, and \
         the group is there from then on | INCONSISTENT_GROUP_PROTOCOL | a refused request changes nothing |\n";

    #[test]
    fn the_page_of_apis_is_as_the_table() {
        crate::tests::assert_page("kafka-apis.md", &page());
    }
}
