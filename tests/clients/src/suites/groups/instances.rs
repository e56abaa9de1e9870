//! Static members (KIP-345): known by their instance, whoever comes as it.

use super::member::{Era, Member};
use super::members::state;
use super::talk::Groups;
use anyhow::Result;
use bytes::Bytes;

pub fn talk(groups: &mut Groups) -> Result<()> {
    for era in Era::all().filter(|era| era.has_instances()) {
        replaced(groups, era)?;
        waiting(groups, era)?;
        gone(groups, era)?;
    }
    Ok(())
}

fn part(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn instance(groups: &Groups, era: Era, name: &'static str, group: &str) -> Result<Member> {
    let mut member = Member::new(groups, era, name, group)?;
    member.instance = Some("one");
    Ok(member)
}

/// Who comes as an instance takes its place, and whoever had it is fenced.
fn replaced(groups: &mut Groups, era: Era) -> Result<()> {
    let name = format!("replaced-{}", era.0);
    let mut before = instance(groups, era, "before", &name)?;
    before.settle(groups, part("the part"))?;
    let group = before.group.clone();
    state(groups, &group)?;
    before.try_join(groups, "joins as an instance that is not there", |it| {
        it.group_instance_id = Some("two".into());
    })?;
    before.try_join(groups, "joins without its instance", |it| it.group_instance_id = None)?;
    before.try_heartbeat(groups, "beats as an instance that is not there", |it| {
        it.group_instance_id = Some("two".into());
    })?;
    let mut after = instance(groups, era, "after", &name)?;
    after.join(groups, "joins as the same instance")?;
    after.sync(groups, "syncs", &[])?;
    state(groups, &group)?;
    before.heartbeat(groups, "beats when it was replaced")?;
    before.try_sync(groups, "syncs when it was replaced", |_| {})?;
    before.join(groups, "joins when it was replaced")?;
    before.try_heartbeat(groups, "beats without its instance", |it| it.group_instance_id = None)?;
    super::commits::commit_as(groups, &before, "commits when it was replaced")?;
    super::commits::commit_as(groups, &after, "commits")?;
    let id = before.id.clone();
    before.leave_as(groups, "leaves when it was replaced", &[(&id, Some("one"))])?;
    after.heartbeat(groups, "beats")?;
    // With other metadata the group goes round.
    let mut changed = instance(groups, era, "changed", &name)?;
    changed.protocols = vec![("plain", part("other metadata"))];
    changed.join(groups, "joins as the same instance with other metadata")?;
    let id = changed.id.clone();
    changed.sync(groups, "syncs", &[(&id, part("the part"))])?;
    after.heartbeat(groups, "beats when it was replaced")?;
    // Nobody needs to know the id of an instance to have it leave.
    let members = [("", Some("one")), ("", Some("two")), ("", Some("one"))];
    changed.leave_as(groups, "leaves by its instance", &members)?;
    state(groups, &group)
}

/// Who comes as an instance that waits to join has it wait no more.
fn waiting(groups: &mut Groups, era: Era) -> Result<()> {
    let name = format!("waiting-{}", era.0);
    let mut anna = Member::new(groups, era, "anna", &name)?;
    anna.settle(groups, part("all"))?;
    let group = anna.group.clone();
    let mut before = instance(groups, era, "before", &name)?;
    before.begin_join()?;
    groups.await_group(&group, "PreparingRebalance", 2)?;
    let mut after = instance(groups, era, "after", &name)?;
    after.begin_join()?;
    before.end_join(groups, "waits to join when it is replaced")?;
    anna.join(groups, "joins the round")?;
    after.end_join(groups, "joins the round")?;
    let (a, b) = (anna.id.clone(), after.id.clone());
    // The same while it waits for the leader's parts.
    after.begin_sync(&[])?;
    groups.let_it_wait();
    let mut last = instance(groups, era, "last", &name)?;
    last.begin_join()?;
    after.end_sync(groups, "waits to sync when it is replaced")?;
    anna.join(groups, "joins the next round")?;
    last.end_join(groups, "joins the next round")?;
    let c = last.id.clone();
    let parts =
        [(a.as_str(), part("anna's")), (&b, part("nobody's")), (&c, part("the instance's"))];
    anna.sync(groups, "syncs", &parts)?;
    last.sync(groups, "syncs", &[])?;
    state(groups, &group)?;
    last.leave(groups, "leaves")?;
    anna.leave(groups, "leaves")
}

/// A leader that comes back keeps the lead, and need not assign again from JoinGroup 9 on (KIP-814).
fn gone(groups: &mut Groups, era: Era) -> Result<()> {
    let name = format!("gone-{}", era.0);
    let mut leader = instance(groups, era, "leader", &name)?;
    leader.settle(groups, part("all"))?;
    let group = leader.group.clone();
    let mut follower = Member::new(groups, era, "follower", &name)?;
    follower.instance = Some("two");
    follower.begin_join()?;
    groups.await_group(&group, "PreparingRebalance", 2)?;
    leader.join(groups, "joins the round")?;
    follower.end_join(groups, "joins the round")?;
    let (a, b) = (leader.id.clone(), follower.id.clone());
    leader.sync(groups, "syncs", &[(&a, part("leader's")), (&b, part("follower's"))])?;
    follower.sync(groups, "syncs", &[])?;
    let mut back = instance(groups, era, "leader that comes back", &name)?;
    back.join(groups, "joins")?;
    back.sync(groups, "syncs", &[])?;
    follower.heartbeat(groups, "beats and hears of nothing")?;
    let mut back = Member::new(groups, era, "follower that comes back", &name)?;
    back.instance = Some("two");
    back.join(groups, "joins")?;
    back.sync(groups, "syncs", &[])?;
    state(groups, &group)?;
    back.leave_as(groups, "lets both leave", &[("", Some("one")), ("", Some("two"))])?;
    state(groups, &group)
}
