//! ListGroups, DescribeGroups and DeleteGroups.

use super::super::serving::talk::code;
use super::commits::commit;
use super::member::{Era, Member};
use super::talk::{Groups, assignment, subscription};
use anyhow::Result;
use bytes::Bytes;
use protocol::messages::describe_groups::DescribedGroup;
use protocol::messages::{DeleteGroupsRequest, DescribeGroupsRequest, ListGroupsRequest};

const DESCRIBE_VERSIONS: std::ops::RangeInclusive<i16> = 0..=6;
const LIST_VERSIONS: std::ops::RangeInclusive<i16> = 0..=5;
const DELETE_VERSIONS: std::ops::RangeInclusive<i16> = 0..=2;

/// The first versions that ask for states, for types, and for what the asker may do.
const STATES_VERSION: i16 = 4;
const TYPES_VERSION: i16 = 5;
const OPERATIONS_VERSION: i16 = 3;

/// What it may do is not told.
const NOT_TOLD: i32 = i32::MIN;

pub fn talk(groups: &mut Groups) -> Result<()> {
    groups.talk.create("used", 2, &[])?;
    let mut anna = Member::new(groups, Era(9), "anna", "stable")?;
    anna.protocol_type = "consumer";
    anna.protocols = vec![("range", subscription(&[&groups.talk.topic("used")])?)];
    anna.instance = Some("anna");
    anna.settle(groups, assignment(&groups.talk.topic("used"), &[0, 1])?)?;
    let mut bert = Member::new(groups, Era(9), "bert", "completing")?;
    bert.first_join(groups, "joins")?;
    let mut carl = Member::new(groups, Era(9), "carl", "preparing")?;
    carl.settle(groups, Bytes::from_static(b"carl's"))?;
    let mut dora = Member::new(groups, Era(9), "dora", "preparing")?;
    dora.begin_first_join()?;
    let preparing = carl.group.clone();
    groups.await_group(&preparing, "PreparingRebalance", 2)?;
    let offsets = groups.group("offsets");
    commit(groups, &offsets, &[("used", &[(0, 1, 0, None)])])?;
    let mut emil = Member::new(groups, Era(9), "emil", "emptied")?;
    emil.settle(groups, Bytes::from_static(b"emil's"))?;
    emil.leave(groups, "leaves")?;

    describe(groups)?;
    list(groups)?;
    delete(groups)?;

    carl.join(groups, "joins the round")?;
    dora.end_join(groups, "joins the round")?;
    for member in [&mut anna, &mut bert, &mut carl, &mut dora] {
        member.leave(groups, "leaves")?;
    }
    for version in DELETE_VERSIONS {
        let name = ["stable", "completing", "preparing"][usize::try_from(version)?];
        let group = groups.group(name);
        delete_as(groups, version, "what was left", &[&group])?;
    }
    list_as(groups, 5, &[], &[])
}

fn describe(groups: &mut Groups) -> Result<()> {
    let names = ["stable", "completing", "preparing", "offsets", "emptied", "never"];
    for version in DESCRIBE_VERSIONS {
        for name in names {
            let group = groups.group(name);
            describe_as(groups, version, &[&group], false)?;
        }
        describe_as(groups, version, &[""], false)?;
        describe_as(groups, version, &[], false)?;
        let (one, other) = (groups.group("emptied"), groups.group("never"));
        describe_as(groups, version, &[&one, &other, &one], false)?;
        if version >= OPERATIONS_VERSION {
            describe_as(groups, version, &[&one, &other], true)?;
        }
    }
    Ok(())
}

fn describe_as(
    groups: &mut Groups,
    version: i16,
    names: &[&str],
    include_authorized_operations: bool,
) -> Result<()> {
    let request = DescribeGroupsRequest {
        groups: names.iter().map(|name| (*name).into()).collect(),
        include_authorized_operations,
    };
    let answer = groups.talk.connection.call(version, &request)?;
    let mut said: Vec<String> = Vec::new();
    for group in &answer.groups {
        let name = groups.talk.short(&group.group_id).to_owned();
        said.push(format!("{name:?} {}", described(groups, group)));
    }
    // Those that are not to be asked for come first, or last.
    said.sort();
    let operations = if include_authorized_operations { " with operations" } else { "" };
    groups.say(format_args!("describe v{version}{operations}"), said.join(" | "));
    Ok(())
}

pub fn described(groups: &mut Groups, group: &DescribedGroup) -> String {
    let mut members = Vec::new();
    for it in &group.members {
        let id = groups.id(&it.member_id);
        members.push(format!(
            "{id} {} {} {} '{}' '{}'",
            it.group_instance_id.as_deref().unwrap_or("-"),
            it.client_id,
            it.client_host,
            it.member_metadata.escape_ascii(),
            it.member_assignment.escape_ascii(),
        ));
    }
    // Apache Kafka keeps them in no order.
    members.sort();
    let operations = match group.authorized_operations {
        NOT_TOLD => String::new(),
        operations => format!(" may {operations:#x}"),
    };
    let message = if group.error_message.is_some() { " with a message" } else { "" };
    format!(
        "{}{message} {} {:?} {:?}{operations} [{}]",
        code(group.error_code),
        group.group_state,
        group.protocol_type,
        group.protocol_data,
        members.join(", ")
    )
}

fn list(groups: &mut Groups) -> Result<()> {
    for version in LIST_VERSIONS {
        list_as(groups, version, &[], &[])?;
        if version >= STATES_VERSION {
            for states in [
                &["Stable"][..],
                &["stable"],
                &["Empty", "PreparingRebalance"],
                &["CompletingRebalance", "Dead"],
                &["Assigning"],
                &["no such state"],
                &["no such state", "Stable"],
                &[""],
            ] {
                list_as(groups, version, states, &[])?;
            }
        }
        if version >= TYPES_VERSION {
            for types in [&["classic"][..], &["Classic"], &["consumer"], &["no such type"], &[""]] {
                list_as(groups, version, &[], types)?;
            }
            list_as(groups, version, &["Empty"], &["classic", "consumer"])?;
            list_as(groups, version, &["Empty"], &["consumer"])?;
        }
    }
    Ok(())
}

/// Of those of this conversation.
fn list_as(groups: &mut Groups, version: i16, states: &[&str], types: &[&str]) -> Result<()> {
    let request = ListGroupsRequest {
        states_filter: states.iter().map(|it| (*it).into()).collect(),
        types_filter: types.iter().map(|it| (*it).into()).collect(),
    };
    let answer = groups.talk.connection.call(version, &request)?;
    let own = groups.group("");
    let mut listed: Vec<String> = answer
        .groups
        .iter()
        .filter_map(|it| {
            let name = it.group_id.strip_prefix(&own)?;
            let (state, kind) = (it.group_state.as_str(), it.group_type.as_str());
            Some(format!("{name} {:?} {state:?} {kind:?}", it.protocol_type))
        })
        .collect();
    listed.sort();
    let asked = format!("list v{version} {states:?} {types:?}");
    groups.say(asked, format_args!("{}; {}", code(answer.error_code), listed.join("; ")));
    Ok(())
}

fn delete(groups: &mut Groups) -> Result<()> {
    for version in DELETE_VERSIONS {
        for name in ["stable", "completing", "preparing", "never"] {
            let group = groups.group(name);
            delete_as(groups, version, "one", &[&group])?;
        }
        delete_as(groups, version, "without a name", &[""])?;
        delete_as(groups, version, "none", &[])?;
        let group = groups.group(&format!("made-{version}"));
        commit(groups, &group, &[("used", &[(0, 1, 0, None)])])?;
        let other = groups.group("stable");
        delete_as(groups, version, "several", &[&group, &other, &group])?;
        super::fetches::all(groups, &group)?;
        super::members::state(groups, &group)?;
    }
    Ok(())
}

pub fn delete_one(groups: &mut Groups, group: &str) -> Result<()> {
    delete_as(groups, 2, "one", &[group])
}

fn delete_as(groups: &mut Groups, version: i16, what: &str, names: &[&str]) -> Result<()> {
    let groups_names = names.iter().map(|name| (*name).into()).collect();
    let request = DeleteGroupsRequest { groups_names };
    let answer = groups.talk.connection.call(version, &request)?;
    let result = |it: &protocol::messages::delete_groups::DeletableGroupResult| {
        format!("{:?} {}", groups.talk.short(&it.group_id), code(it.error_code))
    };
    let mut said: Vec<String> = answer.results.iter().map(result).collect();
    said.sort();
    groups.say(format_args!("delete v{version} {what}"), said.join("; "));
    Ok(())
}
