//! What nobody needs any more: offsets past their time, and groups that have neither members nor offsets.

use super::commits::{self, commit};
use super::fetches;
use super::member::{Era, Member};
use super::members::state;
use super::talk::Groups;
use anyhow::Result;
use bytes::Bytes;

/// Versions of OffsetCommit that say for how long an offset is kept.
const RETENTION_VERSIONS: std::ops::RangeInclusive<i16> = 2..=4;

pub fn talk(groups: &mut Groups) -> Result<()> {
    groups.talk.create("kept", 2, &[])?;
    for version in RETENTION_VERSIONS {
        let group = groups.group(&format!("for-a-time-{version}"));
        commit(groups, &group, &[("kept", &[(0, 1, 0, None)])])?;
        commits::commit_for(groups, version, &group, ("kept", 1, 2), 1)?;
        groups.await_one_offset(&group)?;
        fetches::all(groups, &group)?;
        commits::commit_for(groups, version, &group, ("kept", 1, 3), 1_000_000)?;
    }
    // Of a group that runs nothing is forgotten.
    let mut anna = Member::new(groups, Era(9), "anna", "runs")?;
    let group = anna.group.clone();
    commit(groups, &group, &[("kept", &[(0, 1, 0, None)])])?;
    anna.settle(groups, Bytes::from_static(b"all"))?;
    let mut bert = Member::new(groups, Era(9), "bert", "emptied")?;
    let emptied = bert.group.clone();
    bert.settle(groups, Bytes::from_static(b"all"))?;
    bert.leave(groups, "leaves")?;
    groups.await_group(&emptied, "Dead", 0)?;
    state(groups, &emptied)?;
    for version in RETENTION_VERSIONS {
        let group = groups.group(&format!("for-a-time-{version}"));
        fetches::all(groups, &group)?;
    }
    state(groups, &group)?;
    fetches::all(groups, &group)?;
    // A topic that is deleted takes its offsets with it, and the group that had no others.
    let offsets = groups.group("of-a-topic");
    groups.talk.create("goes", 1, &[])?;
    commit(groups, &offsets, &[("goes", &[(0, 1, 0, None)])])?;
    super::super::serving::traps::delete(&mut groups.talk, "goes")?;
    groups.await_group(&offsets, "Dead", 0)?;
    fetches::all(groups, &offsets)?;
    anna.leave(groups, "leaves")
}
