//! OffsetCommit, OffsetFetch and OffsetDelete: whose offsets are taken, kept, told and forgotten.

use super::super::serving::talk::code;
use super::member::{Era, Member};
use super::talk::{Groups, assignment, subscription};
use anyhow::Result;
use bytes::Bytes;
use protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::messages::{OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest};
use std::fmt::Write;

const VERSIONS: std::ops::RangeInclusive<i16> = 2..=10;
/// The first version that names topics by their ids.
pub const TOPIC_ID_VERSION: i16 = 10;
/// The first version that tells of instances.
const INSTANCE_VERSION: i16 = 7;
/// The newest version that a classic member commits in.
const CLASSIC_VERSION: i16 = 9;

/// `offset.metadata.max.bytes`.
const METADATA_SIZE_BYTES_MAX: usize = 4096;

/// A partition with offset, leader epoch and metadata.
type Offset<'a> = (i32, i64, i32, Option<&'a str>);
/// A topic and its partitions.
type Offsets<'a> = (&'a str, &'a [Offset<'a>]);

pub fn talk(groups: &mut Groups) -> Result<()> {
    groups.talk.create("kept", 3, &[])?;
    groups.talk.create("other", 1, &[])?;
    for version in VERSIONS {
        simple(groups, version)?;
        of_members(groups, version)?;
        super::fetches::tell(groups, version)?;
    }
    deleted(groups)
}

fn partition(
    &(partition_index, committed_offset, committed_leader_epoch, metadata): &Offset<'_>,
) -> OffsetCommitRequestPartition {
    OffsetCommitRequestPartition {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        committed_metadata: metadata.map(Into::into),
    }
}

fn request(
    groups: &Groups,
    version: i16,
    group: &str,
    offsets: &[Offsets<'_>],
) -> OffsetCommitRequest {
    let topic = |&(topic, partitions): &Offsets<'_>| OffsetCommitRequestTopic {
        name: match version >= TOPIC_ID_VERSION {
            true => "".into(),
            false => groups.talk.topic(topic).into(),
        },
        topic_id: match version >= TOPIC_ID_VERSION {
            true => groups.talk.id(topic),
            false => protocol::model::Uuid::ZERO,
        },
        partitions: partitions.iter().map(partition).collect(),
    };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: -1,
        topics: offsets.iter().map(topic).collect(),
        ..OffsetCommitRequest::default()
    }
}

fn say(groups: &mut Groups, version: i16, what: &str, request: &OffsetCommitRequest) -> Result<()> {
    let answer = groups.talk.connection.call(version, request)?;
    let said = committed(groups, &answer);
    groups.say(format_args!("commit v{version} {what}"), said);
    Ok(())
}

fn committed(groups: &Groups, answer: &OffsetCommitResponse) -> String {
    let mut said = Vec::new();
    for topic in &answer.topics {
        let name = match topic.name.is_empty() {
            true => groups.talk.topic_of(topic.topic_id).unwrap_or("unknown"),
            false => groups.talk.short(&topic.name),
        };
        for partition in &topic.partitions {
            said.push(format!(
                "{name}-{} {}",
                partition.partition_index,
                code(partition.error_code)
            ));
        }
    }
    if said.is_empty() { "nothing".to_owned() } else { said.join("; ") }
}

/// A group without members: whoever knows its name commits.
fn simple(groups: &mut Groups, version: i16) -> Result<()> {
    let group = groups.group(&format!("simple-{version}"));
    let long = "m".repeat(METADATA_SIZE_BYTES_MAX);
    let longer = "m".repeat(METADATA_SIZE_BYTES_MAX + 1);
    for (what, offsets) in [
        ("an offset", &[("kept", &[(0, 7, 0, Some("seven"))][..])][..]),
        ("without metadata", &[("kept", &[(1, 8, -1, None)])]),
        ("a later leader's", &[("kept", &[(1, 9, 5, Some(""))])]),
        ("an older leader's after that", &[("kept", &[(1, 9, 4, Some(""))])]),
        ("an earlier offset", &[("kept", &[(0, 3, 0, Some("three"))])]),
        ("as much metadata as may be", &[("kept", &[(2, 1, 0, Some(&long))])]),
        ("more than that", &[("kept", &[(2, 2, 0, Some(&longer)), (1, 10, 0, Some("ten"))])]),
        ("an offset below 0", &[("kept", &[(2, -1, -1, None)])]),
        ("an offset further below", &[("other", &[(0, -5, -1, None)])]),
        ("the largest offset", &[("other", &[(0, i64::MAX, i32::MAX, None)])]),
        ("a partition that is not there", &[("kept", &[(3, 1, 0, None)])]),
        ("a partition below 0", &[("kept", &[(-1, 1, 0, None)])]),
        (
            "a topic that is not there, and one that is",
            &[("gone", &[(0, 1, 0, None)]), ("kept", &[(0, 4, 0, Some("four"))])],
        ),
        ("a partition twice", &[("kept", &[(0, 5, 0, None), (0, 6, 0, Some("six"))])]),
        ("a topic twice", &[("kept", &[(0, 5, 0, None)]), ("kept", &[(1, 6, 0, None)])]),
        ("no partition", &[("kept", &[])]),
        ("no topic", &[]),
    ] {
        let request = request(groups, version, &group, offsets);
        say(groups, version, what, &request)?;
    }
    let one: &[Offsets<'_>] = &[("kept", &[(0, 11, 0, Some("eleven"))])];
    let good = request(groups, version, &group, one);
    for (what, generation, member) in [
        ("of a generation", 0, ""),
        ("of a member", -1, "nobody"),
        ("of both", 5, "nobody"),
        ("of a generation below", -2, ""),
    ] {
        let request = OffsetCommitRequest {
            generation_id_or_member_epoch: generation,
            member_id: member.into(),
            ..good.clone()
        };
        say(groups, version, what, &request)?;
        let group_id = groups.group("never").as_str().into();
        let request = OffsetCommitRequest { group_id, ..request };
        say(groups, version, &format!("{what} in a group that is not there"), &request)?;
    }
    say(
        groups,
        version,
        "in no group",
        &OffsetCommitRequest { group_id: "".into(), ..good.clone() },
    )?;
    if version >= INSTANCE_VERSION {
        let group_instance_id = Some("one".into());
        let request = OffsetCommitRequest { group_instance_id, ..good.clone() };
        say(groups, version, "of an instance", &request)?;
    }
    super::members::state(groups, &group)
}

/// A group with members takes offsets of its members alone, and of their generation.
fn of_members(groups: &mut Groups, version: i16) -> Result<()> {
    let mut anna = Member::new(groups, Era(9), "anna", &format!("members-{version}"))?;
    anna.protocol_type = "consumer";
    anna.protocols = vec![("range", subscription(&[&groups.talk.topic("kept")])?)];
    anna.first_join(groups, "joins")?;
    let group = anna.group.clone();
    let one: &[Offsets<'_>] = &[("kept", &[(0, 21, 0, Some("anna"))])];
    let good = request(groups, version, &group, one);
    let of = |generation: i32, member: &str| OffsetCommitRequest {
        generation_id_or_member_epoch: generation,
        member_id: member.into(),
        ..good.clone()
    };
    let (id, generation) = (anna.id.clone(), anna.generation);
    say(groups, version, "of a member that has not synced", &of(generation, &id))?;
    let part = assignment(&groups.talk.topic("kept"), &[0, 1, 2])?;
    anna.sync(groups, "syncs", &[(&id, part)])?;
    for (what, request) in [
        ("of a member", of(generation, &id)),
        ("of an older generation", of(generation - 1, &id)),
        ("of a later generation", of(generation + 1, &id)),
        ("of nobody", of(generation, "nobody")),
        ("without an id", of(generation, "")),
        ("without a generation", of(-1, &id)),
        ("of whoever knows the group", of(-1, "")),
    ] {
        say(groups, version, what, &request)?;
    }
    let mut bert = Member::new(groups, Era(9), "bert", &format!("members-{version}"))?;
    bert.protocol_type = "consumer";
    bert.protocols = anna.protocols.clone();
    bert.begin_first_join()?;
    groups.await_group(&group, "PreparingRebalance", 2)?;
    say(groups, version, "of a member while another joins", &of(generation, &id))?;
    anna.join(groups, "joins the round")?;
    bert.end_join(groups, "joins the round")?;
    say(groups, version, "of a member that was in the round before", &of(generation, &id))?;
    say(groups, version, "of a member before it syncs", &of(generation + 1, &id))?;
    anna.sync(groups, "syncs", &[])?;
    say(groups, version, "of a member that has nothing", &of(generation + 1, &id))?;
    bert.leave(groups, "leaves")?;
    anna.leave(groups, "leaves")?;
    say(groups, version, "of a member that left", &of(generation + 1, &id))?;
    say(groups, version, "of whoever knows the group, when it is empty", &of(-1, ""))
}

/// Commits one offset as `member` does, in the newest version that classic members commit in.
pub fn commit_as(groups: &mut Groups, member: &Member, what: &str) -> Result<()> {
    if groups.talk.topic_of(groups.talk.id("kept")).is_none() {
        groups.talk.create("kept", 3, &[])?;
    }
    let one: &[Offsets<'_>] = &[("kept", &[(0, 1, 0, None)])];
    let request = OffsetCommitRequest {
        generation_id_or_member_epoch: member.generation,
        member_id: member.id.as_str().into(),
        group_instance_id: member.instance.map(Into::into),
        ..request(groups, CLASSIC_VERSION, &member.group, one)
    };
    let answer = groups.talk.connection.call(CLASSIC_VERSION, &request)?;
    let said = committed(groups, &answer);
    member.say(groups, what, said);
    Ok(())
}

/// Commits what other subjects need, in silence.
pub fn commit(groups: &mut Groups, group: &str, offsets: &[Offsets<'_>]) -> Result<()> {
    let request = request(groups, CLASSIC_VERSION, group, offsets);
    let answer = groups.talk.connection.call(CLASSIC_VERSION, &request)?;
    let mut partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    anyhow::ensure!(partitions.all(|it| it.error_code == 0), "{answer:?}");
    Ok(())
}

/// Commits one offset, `(topic, partition, offset)`, that is to be kept for as long.
pub fn commit_for(
    groups: &mut Groups,
    version: i16,
    group: &str,
    (topic, partition, offset): (&str, i32, i64),
    retention_time_ms: i64,
) -> Result<()> {
    let one = [(partition, offset, -1, None)];
    let request = request(groups, version, group, &[(topic, &one)]);
    let request = OffsetCommitRequest { retention_time_ms, ..request };
    say(groups, version, &format!("for {retention_time_ms} ms"), &request)
}

fn deleted(groups: &mut Groups) -> Result<()> {
    let group = groups.group("deleted");
    commit(
        groups,
        &group,
        &[("kept", &[(0, 1, 0, None), (1, 2, 0, None)]), ("other", &[(0, 3, 0, None)])],
    )?;
    delete(groups, "of no group", "", &[("kept", &[0])])?;
    delete(groups, "of a group that is not there", "never", &[("kept", &[0])])?;
    delete(groups, "of one partition", &group, &[("kept", &[0])])?;
    delete(groups, "once more", &group, &[("kept", &[0, 1])])?;
    delete(groups, "what is not there", &group, &[("kept", &[0, 9]), ("gone", &[0])])?;
    delete(groups, "nothing", &group, &[])?;
    super::fetches::all(groups, &group)?;
    delete(groups, "the last", &group, &[("other", &[0])])?;
    super::members::state(groups, &group)?;

    // Of a group that runs those alone to which it is not subscribed.
    let mut anna = Member::new(groups, Era(9), "anna", "subscribed")?;
    let group = anna.group.clone();
    commit(groups, &group, &[("kept", &[(0, 1, 0, None)]), ("other", &[(0, 3, 0, None)])])?;
    anna.protocol_type = "consumer";
    anna.protocols = vec![("range", subscription(&[&groups.talk.topic("kept")])?)];
    anna.settle(groups, assignment(&groups.talk.topic("kept"), &[0, 1, 2])?)?;
    delete(groups, "of a group that runs", &group, &[("kept", &[0]), ("other", &[0])])?;
    super::fetches::all(groups, &group)?;
    anna.leave(groups, "leaves")?;
    delete(groups, "of a group that is empty", &group, &[("kept", &[0])])?;

    let mut bert = Member::new(groups, Era(9), "bert", "of-another-type")?;
    let group = bert.group.clone();
    commit(groups, &group, &[("kept", &[(0, 1, 0, None)])])?;
    bert.settle(groups, Bytes::from_static(b"work"))?;
    delete(groups, "of a group of another type", &group, &[("kept", &[0])])?;
    bert.leave(groups, "leaves")
}

fn delete(
    groups: &mut Groups,
    what: &str,
    group: &str,
    partitions: &[(&str, &[i32])],
) -> Result<()> {
    let partition = |&partition_index: &i32| OffsetDeleteRequestPartition { partition_index };
    let topic = |&(topic, partitions): &(&str, &[i32])| OffsetDeleteRequestTopic {
        name: groups.talk.topic(topic).into(),
        partitions: partitions.iter().map(partition).collect(),
    };
    let topics = partitions.iter().map(topic).collect();
    let request = OffsetDeleteRequest { group_id: group.into(), topics };
    let answer = groups.talk.connection.call(0, &request)?;
    let mut lines = Vec::new();
    for topic in &answer.topics {
        let name = groups.talk.short(&topic.name);
        for partition in &topic.partitions {
            lines.push(format!(
                "; {name}-{} {}",
                partition.partition_index,
                code(partition.error_code)
            ));
        }
    }
    lines.sort();
    let mut said = code(answer.error_code);
    write!(said, "{}", lines.concat())?;
    groups.say(format_args!("delete offsets {what}"), said);
    Ok(())
}
