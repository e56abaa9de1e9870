//! OffsetFetch: what was committed, in every version that asks for it.

use super::super::serving::talk::code;
use super::commits::TOPIC_ID_VERSION;
use super::talk::Groups;
use anyhow::Result;
use protocol::messages::OffsetFetchRequest;
use protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
};
use protocol::model::Uuid;

const VERSIONS: std::ops::RangeInclusive<i16> = 1..=10;
/// The first version that asks for all topics, and that says what is wrong with the group.
const ALL_VERSION: i16 = 2;
/// The first version that asks for offsets which no open transaction may change.
const STABLE_VERSION: i16 = 7;
/// The first version that asks for several groups.
const GROUPS_VERSION: i16 = 8;
/// The first version that says who asks.
const MEMBER_VERSION: i16 = 9;

const MEMBER_LIMIT: usize = 40;

/// Topics and partitions; `None` for all that the group has.
type Asked<'a> = Option<&'a [(&'a str, &'a [i32])]>;

/// What was committed in version `committed` of OffsetCommit.
pub fn tell(groups: &mut Groups, committed: i16) -> Result<()> {
    let simple = groups.group(&format!("simple-{committed}"));
    for version in VERSIONS {
        let asked: &[(&str, &[i32])] = &[("kept", &[0, 1, 2, 3]), ("other", &[0])];
        say(groups, version, &format!("what v{committed} committed"), &simple, Some(asked))?;
    }
    if committed != TOPIC_ID_VERSION {
        return Ok(());
    }
    for version in VERSIONS {
        let gone: &[(&str, &[i32])] = &[("gone", &[0]), ("kept", &[-1, 0])];
        let members = groups.group(&format!("members-{committed}"));
        for (what, group, asked) in [
            ("a topic that is not there", simple.as_str(), Some(gone)),
            ("no partition", &simple, Some(&[("kept", &[][..])][..])),
            ("no topic", &simple, Some(&[])),
            ("a group that is not there", "never", Some(&[("kept", &[0][..])][..])),
            ("no group", "", Some(&[("kept", &[0][..])][..])),
            ("a group with members", &members, Some(&[("kept", &[0, 1][..])][..])),
        ] {
            say(groups, version, what, group, asked)?;
        }
        if version >= ALL_VERSION {
            say(groups, version, "all topics", &simple, None)?;
            say(groups, version, "all topics of no group", "", None)?;
            say(groups, version, "all topics of a group that is not there", "never", None)?;
        }
        if version >= GROUPS_VERSION {
            several(groups, version, &[&simple, "never", &members, ""])?;
        }
        if version >= MEMBER_VERSION {
            for (what, member_id, member_epoch) in
                [("as a member", "nobody", 3), ("as a member without an epoch", "nobody", -1)]
            {
                let mut group = one(groups, version, &simple, None);
                group.member_id = Some(member_id.into());
                group.member_epoch = member_epoch;
                ask(groups, version, what, vec![group])?;
            }
        }
    }
    Ok(())
}

/// All that `group` has.
pub fn all(groups: &mut Groups, group: &str) -> Result<()> {
    say(groups, MEMBER_VERSION, "all topics", group, None)
}

fn one(groups: &Groups, version: i16, group: &str, asked: Asked<'_>) -> OffsetFetchRequestGroup {
    let topic = |&(topic, partitions): &(&str, &[i32])| OffsetFetchRequestTopics {
        name: match version >= TOPIC_ID_VERSION {
            true => "".into(),
            false => groups.talk.topic(topic).into(),
        },
        topic_id: match version >= TOPIC_ID_VERSION {
            true => groups.talk.id(topic),
            false => Uuid::ZERO,
        },
        partition_indexes: partitions.to_vec(),
    };
    OffsetFetchRequestGroup {
        group_id: group.into(),
        topics: asked.map(|topics| topics.iter().map(topic).collect()),
        ..OffsetFetchRequestGroup::default()
    }
}

fn say(groups: &mut Groups, version: i16, what: &str, group: &str, asked: Asked<'_>) -> Result<()> {
    for require_stable in if version >= STABLE_VERSION { 0..2 } else { 0..1 } {
        let require_stable = require_stable == 1;
        let stable = if require_stable { " stable" } else { "" };
        if version >= GROUPS_VERSION {
            let groups_asked = vec![one(groups, version, group, asked)];
            let request = of_groups(groups_asked, require_stable);
            tell_groups(groups, version, &format!("{what}{stable}"), &request)?;
            continue;
        }
        let topic = |&(topic, partitions): &(&str, &[i32])| OffsetFetchRequestTopic {
            name: groups.talk.topic(topic).into(),
            partition_indexes: partitions.to_vec(),
        };
        let request = OffsetFetchRequest {
            group_id: group.into(),
            topics: asked.map(|topics| topics.iter().map(topic).collect()),
            require_stable,
            ..OffsetFetchRequest::default()
        };
        let answer = groups.talk.connection.call(version, &request)?;
        let topics = answer.topics.iter().map(|topic| OffsetFetchResponseTopics {
            name: topic.name.clone(),
            topic_id: Uuid::ZERO,
            partitions: topic
                .partitions
                .iter()
                .map(|it| OffsetFetchResponsePartitions {
                    partition_index: it.partition_index,
                    committed_offset: it.committed_offset,
                    committed_leader_epoch: it.committed_leader_epoch,
                    metadata: it.metadata.clone(),
                    error_code: it.error_code,
                })
                .collect(),
        });
        let (topics, error_code) = (topics.collect(), answer.error_code);
        let answered = OffsetFetchResponseGroup { group_id: "".into(), topics, error_code };
        let said = fetched(groups, &answered);
        groups.say(format_args!("fetch v{version} {what}{stable}"), said);
    }
    Ok(())
}

fn of_groups(asked: Vec<OffsetFetchRequestGroup>, require_stable: bool) -> OffsetFetchRequest {
    OffsetFetchRequest {
        groups: asked,
        require_stable,
        topics: Some(Vec::new()),
        ..OffsetFetchRequest::default()
    }
}

fn several(groups: &mut Groups, version: i16, names: &[&str]) -> Result<()> {
    let asked: Asked<'_> = Some(&[("kept", &[0])]);
    let asked = names.iter().map(|name| one(groups, version, name, asked)).collect();
    ask(groups, version, "several groups", asked)
}

fn ask(
    groups: &mut Groups,
    version: i16,
    what: &str,
    asked: Vec<OffsetFetchRequestGroup>,
) -> Result<()> {
    tell_groups(groups, version, what, &of_groups(asked, false))
}

fn tell_groups(
    groups: &mut Groups,
    version: i16,
    what: &str,
    request: &OffsetFetchRequest,
) -> Result<()> {
    let answer = groups.talk.connection.call(version, request)?;
    let said: Vec<String> = answer.groups.iter().map(|group| fetched(groups, group)).collect();
    groups.say(format_args!("fetch v{version} {what}"), said.join(" | "));
    Ok(())
}

fn fetched(groups: &Groups, group: &OffsetFetchResponseGroup) -> String {
    let mut lines = Vec::new();
    for topic in &group.topics {
        let name = match topic.name.is_empty() {
            true => groups.talk.topic_of(topic.topic_id).unwrap_or("unknown"),
            false => groups.talk.short(&topic.name),
        };
        for it in &topic.partitions {
            let metadata = match it.metadata.as_deref() {
                Some(long) if long.len() > MEMBER_LIMIT => format!("{} bytes", long.len()),
                metadata => format!("{metadata:?}"),
            };
            lines.push(format!(
                "; {name}-{} {} offset {} epoch {} {metadata}",
                it.partition_index,
                code(it.error_code),
                it.committed_offset,
                it.committed_leader_epoch
            ));
        }
    }
    // Of all topics Apache Kafka tells in no order.
    lines.sort();
    let name = groups.talk.short(&group.group_id);
    format!("{name:?} {}{}", code(group.error_code), lines.concat())
}
