//! Records, actions and responses as lines that a person reads.

use controller::metadata::{BatchContent, MetadataDelta, decode_batch};
use controller::raft::ControlRecord;
use controller::{Action, Response};
use protocol::error_code::ErrorCode;
use protocol::record_batch::RecordBatch;
use protocol::records::metadata::MetadataRecord;

pub fn action(action: &Action) -> String {
    match action {
        Action::PersistQuorumState { text } => format!("persist {text}"),
        Action::Append { base_offset, next_offset, batch } => {
            let batch = decode_batch(&RecordBatch::new(batch.clone()).unwrap()).unwrap();
            assert_eq!((batch.base_offset, batch.next_offset), (*base_offset, *next_offset));
            let mut text = format!(
                "append {base_offset}..{next_offset} in leader epoch {}",
                batch.leader_epoch.unwrap()
            );
            match batch.content {
                BatchContent::Control(records) => {
                    records.iter().for_each(|(_, record)| push(&mut text, &control(record)));
                }
                BatchContent::Metadata(records) => {
                    records.iter().for_each(|(_, record)| push(&mut text, &metadata(record)));
                }
            }
            text
        }
        Action::Publish { image, delta } => {
            format!("publish below {}{}", image.next_offset(), changes(delta))
        }
        Action::Respond { token, response: answer } => {
            format!("respond to {}{}", token.0, response(answer))
        }
    }
}

fn push(text: &mut String, line: &str) {
    text.push_str("\n  ");
    text.push_str(line);
}

fn control(record: &ControlRecord) -> String {
    match record {
        ControlRecord::LeaderChange(change) => format!("LeaderChange leader={}", change.leader_id),
        ControlRecord::KraftVersion(version) => format!("KRaftVersion {}", version.kraft_version),
        ControlRecord::KraftVoters(voters) => {
            let voters: Vec<_> = voters
                .voters
                .iter()
                .map(|voter| format!("{}@{}", voter.voter_id, voter.voter_directory_id))
                .collect();
            format!("KRaftVoters {}", voters.join(" "))
        }
        ControlRecord::SnapshotHeader(_) | ControlRecord::SnapshotFooter(_) => {
            unreachable!("a log holds no {record:?}")
        }
    }
}

/// The `Debug` text without the fields that say nothing.
fn metadata(record: &MetadataRecord) -> String {
    let text = format!("{record:?}");
    let (_, body) = text.split_once('(').unwrap();
    let body = body.strip_suffix(')').unwrap();
    let mut shown = body.to_owned();
    for nothing in [
        "None",
        "[]",
        "adding_replicas: []",
        "leader_recovery_state: 0",
        "leader_recovery_state: -1",
        "leader: -2",
        "fenced: 0",
        "in_controlled_shutdown: 0",
        "is_migrating_zk_broker: false",
        "zk_migration_ready: false",
    ] {
        shown = without(&shown, nothing);
    }
    if let Some(start) = shown.find("features: [")
        && let Some(end) = shown[start..].find(']')
    {
        shown.replace_range(start..=start + end, "features: ..");
    }
    shown.replace("Some(", "").replace("])", "]").replace("\")", "\"").replace("{ }", "{}")
}

fn without(text: &str, nothing: &str) -> String {
    let (open, close) = text.split_once('{').map_or((text, ""), |parts| parts);
    let fields: Vec<_> = split_fields(close.trim_end_matches('}'));
    let kept: Vec<_> = fields
        .into_iter()
        .filter(|field| {
            let value = field.split_once(": ").map_or(*field, |(_, value)| value);
            value.trim() != nothing && field.trim() != nothing
        })
        .map(str::trim)
        .collect();
    if close.is_empty() { open.to_owned() } else { format!("{open}{{ {} }}", kept.join(", ")) }
}

/// Splits at the commas of the outermost level.
fn split_fields(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut fields) = (0, 0, Vec::new());
    for (index, character) in text.char_indices() {
        match character {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            ',' if depth == 0 => {
                fields.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    fields.push(&text[start..]);
    fields.retain(|field| !field.trim().is_empty());
    fields
}

fn changes(delta: &MetadataDelta) -> String {
    let mut text = String::new();
    for (topic_id, partitions) in &delta.partitions {
        let partitions: Vec<_> = partitions.iter().map(ToString::to_string).collect();
        push(&mut text, &format!("changed {topic_id}: {}", partitions.join(",")));
    }
    for removed in delta.topics_removed.values() {
        push(&mut text, &format!("removed {} ({})", removed.name, removed.partitions.len()));
    }
    for broker in &delta.brokers {
        push(&mut text, &format!("changed broker {broker}"));
    }
    for resource in &delta.configs {
        push(&mut text, &format!("changed configs of {:?} {:?}", resource.kind, resource.name));
    }
    if delta.client_quotas_changed {
        push(&mut text, "changed client quotas");
    }
    if delta.features_changed {
        push(&mut text, "changed features");
    }
    text
}

fn code(code: i16, message: Option<&str>) -> String {
    let name = ErrorCode::try_from(code).unwrap().name();
    message.map_or(name.to_owned(), |message| format!("{name}: {message}"))
}

fn wait(text: &mut String, throttle_time_ms: i32) {
    if throttle_time_ms > 0 {
        text.push_str(&format!(" wait {throttle_time_ms} ms"));
    }
}

fn response(response: &Response) -> String {
    let mut text = String::new();
    match response {
        Response::CreateTopics(response) => {
            wait(&mut text, response.throttle_time_ms);
            for topic in &response.topics {
                let mut line = format!(
                    "create {}: {}",
                    topic.name,
                    code(topic.error_code, topic.error_message.as_deref())
                );
                if topic.error_code == 0 {
                    let overrides = topic.configs.iter().flatten().filter(|c| c.config_source != 5);
                    let overrides: Vec<_> = overrides
                        .map(|c| format!(" {}={:?}", c.name, c.value.as_deref().unwrap()))
                        .collect();
                    line.push_str(&format!(
                        ", id {}, {} partitions, replication factor {}{}",
                        topic.topic_id,
                        topic.num_partitions,
                        topic.replication_factor,
                        overrides.concat()
                    ));
                }
                push(&mut text, &line);
            }
        }
        Response::DeleteTopics(response) => {
            wait(&mut text, response.throttle_time_ms);
            for topic in &response.responses {
                let code = code(topic.error_code, topic.error_message.as_deref());
                let name = topic.name.as_deref().unwrap_or("-");
                push(&mut text, &format!("delete {name} {}: {code}", topic.topic_id));
            }
        }
        Response::CreatePartitions(response) => {
            wait(&mut text, response.throttle_time_ms);
            for topic in &response.results {
                let code = code(topic.error_code, topic.error_message.as_deref());
                push(&mut text, &format!("grow {}: {code}", topic.name));
            }
        }
        Response::AlterConfigs(response) => {
            for resource in &response.responses {
                let code = code(resource.error_code, resource.error_message.as_deref());
                let (kind, name) = (resource.resource_type, &resource.resource_name);
                push(&mut text, &format!("replace {kind} {name}: {code}"));
            }
        }
        Response::IncrementalAlterConfigs(response) => {
            for resource in &response.responses {
                let code = code(resource.error_code, resource.error_message.as_deref());
                let (kind, name) = (resource.resource_type, &resource.resource_name);
                push(&mut text, &format!("alter {kind} {name}: {code}"));
            }
        }
        Response::AlterClientQuotas(response) => {
            for entry in &response.entries {
                let code = code(entry.error_code, entry.error_message.as_deref());
                let parts = entry.entity.iter().map(|part| {
                    let name = part.entity_name.as_deref().unwrap_or("-");
                    format!("{}:{name}", part.entity_type)
                });
                let parts: Vec<_> = parts.collect();
                push(&mut text, &format!("limit {}: {code}", parts.join("+")));
            }
        }
        Response::ElectLeaders(response) => {
            text = format!(" election: {}", code(response.error_code, None));
            for topic in &response.replica_election_results {
                for it in &topic.partition_result {
                    let error = code(it.error_code, it.error_message.as_deref());
                    push(&mut text, &format!("elect {} {}: {error}", topic.topic, it.partition_id));
                }
            }
        }
        Response::AlterPartitionReassignments(response) => {
            text = format!(" reassignment: {}", code(response.error_code, None));
            for topic in &response.responses {
                for it in &topic.partitions {
                    let error = code(it.error_code, it.error_message.as_deref());
                    let (topic, index) = (&topic.name, it.partition_index);
                    push(&mut text, &format!("reassign {topic} {index}: {error}"));
                }
            }
        }
        Response::UpdateFeatures(response) => {
            let message = response.error_message.as_deref();
            text = format!(" features: {}", code(response.error_code, message));
            for result in &response.results {
                let error = code(result.error_code, None);
                push(&mut text, &format!("feature {}: {error}", result.feature));
            }
        }
        Response::UnregisterBroker(response) => {
            let code = code(response.error_code, response.error_message.as_deref());
            text = format!(" unregistered: {code}");
        }
        Response::DescribeQuorum(response) => {
            text = format!(" quorum: {}", code(response.error_code, None));
            for topic in &response.topics {
                for it in &topic.partitions {
                    let error = code(it.error_code, None);
                    push(&mut text, &format!("partition {}: {error}", topic.topic_name));
                    if it.error_code != 0 {
                        continue;
                    }
                    let (leader, epoch) = (it.leader_id, it.leader_epoch);
                    let high_watermark = it.high_watermark;
                    push(
                        &mut text,
                        &format!("leader {leader} in {epoch}, high watermark {high_watermark}"),
                    );
                    for voter in &it.current_voters {
                        let (id, directory) = (voter.replica_id, voter.replica_directory_id);
                        let end = voter.log_end_offset;
                        push(&mut text, &format!("voter {id} {directory} log end {end}"));
                    }
                }
            }
            push(&mut text, &format!("{} nodes", response.nodes.len()));
        }
        Response::BrokerRegistration(response) => {
            let code = code(response.error_code, None);
            text = format!(" registration: {code}, broker epoch {}", response.broker_epoch);
        }
        Response::BrokerHeartbeat(response) => {
            text = format!(
                " heartbeat: {}, caught up {}, fenced {}, shut down {}",
                code(response.error_code, None),
                response.is_caught_up,
                response.is_fenced,
                response.should_shut_down
            );
        }
        Response::AssignReplicasToDirs(response) => {
            text = format!(" assignment: {}", code(response.error_code, None));
            for topic in response.directories.iter().flat_map(|directory| &directory.topics) {
                for partition in &topic.partitions {
                    let code = code(partition.error_code, None);
                    let index = partition.partition_index;
                    push(&mut text, &format!("assign {} {index}: {code}", topic.topic_id));
                }
            }
        }
        Response::AllocateProducerIds(response) => {
            text = format!(
                " producer ids: {}, {} from {}",
                code(response.error_code, None),
                response.producer_id_len,
                response.producer_id_start
            );
        }
    }
    text
}
