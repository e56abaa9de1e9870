//! What is left of groups when their broker has stopped: on disk, and for those who come back.

use super::commits::commit;
use super::fetches;
use super::member::{Era, Member};
use super::members::state;
use super::talk::Groups;
use crate::dump_log::dump_compacted;
use crate::{Site, Tools, segments};
use anyhow::{Result, ensure};
use bytes::Bytes;

/// Who was a member when the broker stopped.
#[derive(Debug)]
pub struct Before {
    ids: Vec<String>,
    generation: i32,
}

const GROUP: &str = "runs";
const NAMES: [&str; 2] = ["anna", "bert"];

pub fn before(groups: &mut Groups) -> Result<Before> {
    groups.talk.create("kept", 3, &[])?;
    let mut anna = Member::new(groups, Era(9), NAMES[0], GROUP)?;
    anna.settle(groups, Bytes::from_static(b"all"))?;
    let group = anna.group.clone();
    let mut bert = Member::new(groups, Era(9), NAMES[1], GROUP)?;
    bert.instance = Some("bert");
    bert.begin_join()?;
    groups.await_group(&group, "PreparingRebalance", 2)?;
    anna.join(groups, "joins")?;
    bert.end_join(groups, "joins")?;
    let ids = vec![anna.id.clone(), bert.id.clone()];
    let parts =
        [(&*ids[0], Bytes::from_static(b"anna's")), (&ids[1], Bytes::from_static(b"bert's"))];
    anna.sync(groups, "syncs", &parts)?;
    bert.sync(groups, "syncs", &[])?;
    let offsets = groups.group("offsets");
    for offset in [5, 6, 7] {
        let kept = [(0, offset, 0, Some("metadata")), (2, offset + 10, 3, None)];
        commit(groups, &offsets, &[("kept", &kept)])?;
    }
    let mut carl = Member::new(groups, Era(9), "carl", "emptied")?;
    carl.settle(groups, Bytes::from_static(b"all"))?;
    carl.leave(groups, "leaves")?;
    let deleted = groups.group("deleted");
    commit(groups, &deleted, &[("kept", &[(0, 1, 0, None)])])?;
    super::administration::delete_one(groups, &deleted)?;
    Ok(Before { ids, generation: anna.generation })
}

pub fn after(groups: &mut Groups, before: &Before) -> Result<()> {
    let group = groups.group(GROUP);
    let mut members = Vec::new();
    // They are told of in no order: who they are is known before.
    before.ids.iter().for_each(|id| drop(groups.id(id)));
    for (name, id) in NAMES.into_iter().zip(&before.ids) {
        let mut member = Member::new(groups, Era(9), name, GROUP)?;
        member.id = id.clone();
        member.generation = before.generation;
        member.heartbeat(groups, "beats after the restart")?;
        members.push(member);
    }
    state(groups, &group)?;
    for member in &mut members {
        member.sync(groups, "syncs after the restart", &[])?;
    }
    let mut other = Member::new(groups, Era(9), "another", GROUP)?;
    other.instance = Some("bert");
    other.join(groups, "joins as an instance of before the restart")?;
    other.sync(groups, "syncs", &[])?;
    members[0].heartbeat(groups, "beats")?;
    for name in ["offsets", "emptied", "deleted"] {
        let group = groups.group(name);
        state(groups, &group)?;
        fetches::all(groups, &group)?;
    }
    let emptied = groups.group("emptied");
    let mut carl = Member::new(groups, Era(9), "carl", "emptied")?;
    carl.settle(groups, Bytes::from_static(b"all"))?;
    state(groups, &emptied)?;
    carl.leave(groups, "leaves")?;
    other.leave(groups, "leaves")?;
    members[0].leave(groups, "leaves")
}

/// Apache Kafka's own reader finds offsets, groups and what takes them away.
pub fn dump(tools: &Tools, site: &Site) -> Result<()> {
    let logs = segments::files(&site.data(), "__consumer_offsets", ".log")?;
    let text = dump_compacted(tools, &["--offsets-decoder"], &logs)?;
    for wanted in [
        "\"group\":\"group-restart-runs\"",
        "\"group\":\"group-restart-offsets\",\"topic\":\"group-restart-kept\",\"partition\":2",
        "\"offset\":17,\"leaderEpoch\":3,\"metadata\":\"\"",
        "\"protocolType\":\"worker\"",
        "payload: <DELETE>",
    ] {
        ensure!(text.contains(wanted), "no {wanted}");
    }
    Ok(())
}
