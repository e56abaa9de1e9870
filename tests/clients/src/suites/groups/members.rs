//! What one member lives through: joins, syncs, beats, leaves, and is told what it does wrong.

use super::member::{Era, Member};
use super::talk::Groups;
use anyhow::Result;
use bytes::Bytes;

pub fn talk(groups: &mut Groups) -> Result<()> {
    for era in Era::all() {
        refused(groups, era)?;
        alone(groups, era)?;
        left(groups, era)?;
        full(groups, era)?;
    }
    Ok(())
}

/// What does not become a member.
fn refused(groups: &mut Groups, era: Era) -> Result<()> {
    let mut nobody = Member::new(groups, era, "nobody", &format!("refused-{}", era.0))?;
    nobody.try_join(groups, "joins with an id that nobody gave", |it| {
        it.member_id = "nobody".into();
    })?;
    nobody.try_join(groups, "joins no group", |it| it.group_id = "".into())?;
    nobody.try_join(groups, "joins with too short a session", |it| it.session_timeout_ms = 99)?;
    nobody.try_join(groups, "joins with too long a session", |it| {
        it.session_timeout_ms = 1_800_001;
    })?;
    nobody.try_join(groups, "joins with no protocols", |it| it.protocols.clear())?;
    nobody.try_join(groups, "joins with no type", |it| it.protocol_type = "".into())?;
    nobody.try_sync(groups, "syncs", |it| it.member_id = "nobody".into())?;
    nobody.try_sync(groups, "syncs in no group", |it| it.group_id = "".into())?;
    nobody.try_heartbeat(groups, "beats", |it| it.member_id = "nobody".into())?;
    nobody.try_heartbeat(groups, "beats without an id", |_| {})?;
    nobody.try_heartbeat(groups, "beats in no group", |it| it.group_id = "".into())?;
    nobody.leave_as(groups, "leaves", &[("nobody", None)])?;
    nobody.leave_as(groups, "leaves without an id", &[("", None)])?;
    nobody.group = String::new();
    nobody.leave_as(groups, "leaves no group", &[("nobody", None)])?;
    nobody.group = "commits".repeat(4_000);
    nobody.try_join(groups, "joins a group of a long name", |it| {
        it.member_id = "nobody".into();
    })
}

fn alone(groups: &mut Groups, era: Era) -> Result<()> {
    let group = format!("alone-{}", era.0);
    let mut anna = Member::new(groups, era, "anna", &group)?;
    anna.join(groups, "joins without an id")?;
    if anna.generation < 0 {
        // KIP-394: the id that was given is not a member's yet.
        anna.heartbeat(groups, "beats before it joins")?;
        anna.try_sync(groups, "syncs before it joins", |_| {})?;
        state(groups, &anna.group)?;
        anna.join(groups, "joins with the id it was given")?;
    }
    state(groups, &anna.group)?;
    anna.heartbeat(groups, "beats before it syncs")?;
    anna.join(groups, "joins again before it syncs")?;
    anna.try_sync(groups, "syncs an older generation", |it| it.generation_id -= 1)?;
    anna.try_sync(groups, "syncs a later generation", |it| it.generation_id += 1)?;
    anna.try_sync(groups, "syncs as nobody", |it| it.member_id = "nobody".into())?;
    anna.try_sync(groups, "syncs another type", |it| it.protocol_type = Some("other".into()))?;
    anna.try_sync(groups, "syncs another protocol", |it| it.protocol_name = Some("other".into()))?;
    let id = anna.id.clone();
    let part = Bytes::from_static(b"all of it");
    anna.sync(groups, "syncs", &[(&id, part), ("nobody", Bytes::from_static(b"nothing"))])?;
    state(groups, &anna.group)?;
    anna.sync(groups, "syncs again", &[(&id, Bytes::from_static(b"something else"))])?;
    anna.try_sync(groups, "syncs without a type", |it| it.protocol_type = None)?;
    anna.try_sync(groups, "syncs without a protocol", |it| it.protocol_name = None)?;
    anna.heartbeat(groups, "beats")?;
    anna.try_heartbeat(groups, "beats for an older generation", |it| it.generation_id -= 1)?;
    anna.try_heartbeat(groups, "beats for a later generation", |it| it.generation_id += 1)?;
    anna.try_heartbeat(groups, "beats as nobody", |it| it.member_id = "nobody".into())?;
    anna.try_heartbeat(groups, "beats in another group", |it| it.group_id = "gone".into())?;
    // A leader that joins has the group go round.
    anna.join(groups, "joins again")?;
    anna.sync(groups, "syncs with no assignment", &[])?;
    anna.try_join(groups, "joins with another type", |it| it.protocol_type = "other".into())?;
    anna.heartbeat(groups, "beats after that")?;
    anna.protocols =
        vec![("other", Bytes::from_static(b"")), ("plain", Bytes::from_static(b"more metadata"))];
    anna.join(groups, "joins with more protocols")?;
    anna.sync(groups, "syncs them", &[(&id, Bytes::from_static(b"part"))])?;
    anna.leave(groups, "leaves")?;
    anna.leave(groups, "leaves again")?;
    anna.heartbeat(groups, "beats after it left")?;
    anna.try_sync(groups, "syncs after it left", |_| {})?;
    anna.join(groups, "joins after it left")?;
    state(groups, &anna.group)?;
    // An empty group takes members of any type.
    let mut bert = Member::new(groups, era, "bert", &group)?;
    bert.protocol_type = "other";
    bert.settle(groups, Bytes::from_static(b"bert's"))?;
    state(groups, &bert.group)
}

/// Those who leave: by themselves, several at once, and those who are not heard of.
fn left(groups: &mut Groups, era: Era) -> Result<()> {
    let mut anna = Member::new(groups, era, "anna", &format!("left-{}", era.0))?;
    anna.settle(groups, Bytes::from_static(b"part"))?;
    let id = anna.id.clone();
    anna.leave_as(groups, "leaves among others", &[(&id, None), ("nobody", None), (&id, None)])?;
    groups.await_group(&anna.group, "Empty", 0)?;
    // Nobody hears of it for its session's time.
    let mut bert = Member::new(groups, era, "bert", &format!("left-{}", era.0))?;
    bert.session_timeout_ms = 200;
    bert.settle(groups, Bytes::from_static(b"part"))?;
    groups.await_group(&bert.group, "Empty", 0)?;
    bert.heartbeat(groups, "beats after its session")?;
    // A leader that does not sync within the time for a round.
    let mut carl = Member::new(groups, era, "carl", &format!("left-{}", era.0))?;
    carl.rebalance_timeout_ms = 300;
    carl.session_timeout_ms = if era.0 == 0 { 300 } else { carl.session_timeout_ms };
    carl.first_join(groups, "joins and never syncs")?;
    groups.await_group(&carl.group, "Empty", 0)?;
    carl.heartbeat(groups, "beats after the round")
}

/// `group.max.size` is 4.
fn full(groups: &mut Groups, era: Era) -> Result<()> {
    let group = format!("full-{}", era.0);
    let mut members = Vec::new();
    for name in ["first", "second", "third", "fourth"] {
        let mut member = Member::new(groups, era, name, &group)?;
        member.begin_first_join()?;
        // Those before have joined, and join the next round.
        members.push(member);
        let whole = members[0].group.clone();
        let (last, before) = members.split_last_mut().expect("one was pushed");
        if before.is_empty() {
            last.end_join(groups, "joins")?;
        } else {
            groups.await_group(&whole, "PreparingRebalance", before.len() + 1)?;
            for member in before {
                member.begin_join()?;
            }
            for member in &mut members {
                member.end_join(groups, "joins the round")?;
            }
        }
    }
    let mut fifth = Member::new(groups, era, "fifth", &group)?;
    fifth.try_join(groups, "joins", |_| {})?;
    for member in &mut members {
        member.leave(groups, "leaves")?;
    }
    fifth.first_join(groups, "joins what is empty")?;
    fifth.leave(groups, "leaves")
}

/// Writes down what is told of a group.
pub fn state(groups: &mut Groups, group: &str) -> Result<()> {
    let described = groups.described(group)?;
    let said = super::administration::described(groups, &described);
    let short = groups.talk.short(group).to_owned();
    groups.say(format_args!("{short} is"), said);
    Ok(())
}
