//! Rounds of several members: who leads, which protocol, and who is told to join again.

use super::member::{Era, Member};
use super::members::state;
use super::talk::Groups;
use anyhow::Result;
use bytes::Bytes;

pub fn talk(groups: &mut Groups) -> Result<()> {
    for era in Era::all() {
        rounds(groups, era)?;
        votes(groups, era)?;
        late(groups, era)?;
    }
    Ok(())
}

fn part(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

/// Two members; the second comes, follows, changes its mind, goes.
fn rounds(groups: &mut Groups, era: Era) -> Result<()> {
    let name = format!("rounds-{}", era.0);
    let mut anna = Member::new(groups, era, "anna", &name)?;
    let mut bert = Member::new(groups, era, "bert", &name)?;
    let group = anna.group.clone();
    anna.settle(groups, part("all"))?;
    bert.begin_first_join()?;
    groups.await_group(&group, "PreparingRebalance", 2)?;
    anna.heartbeat(groups, "beats while another joins")?;
    anna.try_sync(groups, "syncs while another joins", |_| {})?;
    anna.begin_join()?;
    anna.end_join(groups, "joins the round")?;
    bert.end_join(groups, "joins the round")?;
    state(groups, &group)?;
    bert.heartbeat(groups, "beats before the leader syncs")?;
    bert.begin_sync(&[])?;
    let (a, b) = (anna.id.clone(), bert.id.clone());
    anna.sync(groups, "syncs", &[(&a, part("anna's")), (&b, part("bert's"))])?;
    bert.end_sync(groups, "syncs")?;
    state(groups, &group)?;

    // A follower that joins as it was is told of the generation that there is.
    bert.join(groups, "joins as it was")?;
    bert.sync(groups, "syncs again", &[])?;
    bert.try_sync(groups, "gives parts that are not its to give", |it| {
        it.assignments = vec![protocol::messages::sync_group::SyncGroupRequestAssignment {
            member_id: it.member_id.clone(),
            assignment: part("more"),
        }];
    })?;
    anna.heartbeat(groups, "beats after that")?;
    // One that has other metadata has the group go round.
    bert.protocols = vec![("plain", part("other metadata"))];
    bert.begin_join()?;
    groups.await_group(&group, "PreparingRebalance", 2)?;
    anna.heartbeat(groups, "beats while the follower joins again")?;
    anna.join(groups, "joins the second round")?;
    bert.end_join(groups, "joins the second round")?;
    // The leader's parts may leave one out.
    anna.sync(groups, "syncs for itself alone", &[(&a, part("everything"))])?;
    bert.sync(groups, "syncs and has nothing", &[])?;
    bert.leave(groups, "leaves")?;
    anna.heartbeat(groups, "beats after the follower left")?;
    state(groups, &group)?;
    anna.join(groups, "joins the third round")?;
    anna.sync(groups, "syncs", &[(&a, part("all again"))])?;
    anna.leave(groups, "leaves")
}

/// Each has a vote for the best that all have; what they do not share is refused.
fn votes(groups: &mut Groups, era: Era) -> Result<()> {
    let group_name = format!("votes-{}", era.0);
    let mut anna = Member::new(groups, era, "anna", &group_name)?;
    anna.protocols = vec![("x", part("ax")), ("y", part("ay")), ("z", part("az"))];
    let group = anna.group.clone();
    anna.settle(groups, part("all"))?;
    let mut others = Vec::new();
    for (index, name) in ["bert", "carl"].into_iter().enumerate() {
        let mut other = Member::new(groups, era, name, &group_name)?;
        other.protocols = vec![("w", part("w")), ("y", part("y")), ("x", part("x"))];
        other.begin_first_join()?;
        groups.await_group(&group, "PreparingRebalance", 2 + index)?;
        others.push(other);
    }
    anna.begin_join()?;
    // The leader is told of them in no order: who they are has to be known by then.
    for other in &mut others {
        other.end_join(groups, "joins the round")?;
    }
    anna.end_join(groups, "joins the round")?;
    for other in &mut others {
        other.begin_sync(&[])?;
    }
    anna.protocols.swap(0, 1);
    anna.sync(groups, "syncs what was voted for", &[])?;
    for other in &mut others {
        other.protocols.swap(0, 1);
        other.end_sync(groups, "syncs")?;
    }
    state(groups, &group)?;
    let mut dora = Member::new(groups, era, "dora", &group_name)?;
    dora.protocols = vec![("w", part("w")), ("v", part("v"))];
    dora.try_join(groups, "joins with what one does not have", |_| {})?;
    dora.protocols = vec![("y", part("y"))];
    dora.protocol_type = "other";
    dora.try_join(groups, "joins with another type", |_| {})?;
    for other in &mut others {
        other.leave(groups, "leaves")?;
    }
    anna.leave(groups, "leaves")
}

/// One that does not join the round in time is left behind.
fn late(groups: &mut Groups, era: Era) -> Result<()> {
    let name = format!("late-{}", era.0);
    let mut anna = Member::new(groups, era, "anna", &name)?;
    let mut bert = Member::new(groups, era, "bert", &name)?;
    for member in [&mut anna, &mut bert] {
        // A round takes as long as the slowest member may.
        member.rebalance_timeout_ms = 300;
        // Before KIP-62 there is one time for both.
        member.session_timeout_ms = if era.0 == 0 { 300 } else { member.session_timeout_ms };
    }
    anna.settle(groups, part("all"))?;
    bert.begin_first_join()?;
    bert.end_join(groups, "joins without the one that is late")?;
    anna.heartbeat(groups, "beats too late")?;
    anna.join(groups, "joins too late")?;
    let b = bert.id.clone();
    bert.sync(groups, "syncs", &[(&b, part("all"))])?;
    state(groups, &bert.group)?;
    bert.leave(groups, "leaves")
}
