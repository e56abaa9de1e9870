//! Members that come, stay and go: what Kafka's own tests hold of `GroupMetadataManager`.

use std::collections::BTreeSet;

use bytes::Bytes;
use protocol::error_code::ErrorCode;
use protocol::messages::list_groups::ListGroupsRequest;
use protocol::messages::{JoinGroupRequest, SyncGroupRequest};

use super::super::classic::Phase;
use super::super::request::{GroupAnswer, GroupRequest};
use super::super::shard::Outcome;

use super::world::*;

#[test]
fn a_group_comes_to_its_first_generation_after_the_delay() {
    let mut world = World::new();
    let (first, first_join) = world.join_new();
    world.pass(DELAY_MS as u64 - 1);
    let (second, second_join) = world.join_new();
    world.pass(1);
    assert_eq!(world.join_answer(first_join), None, "the second one has made the delay longer");
    world.pass(DELAY_MS as u64);
    let led = world.join_answer(first_join).expect("joined");
    let follower = world.join_answer(second_join).expect("joined");
    assert_eq!((led.generation_id, &led.leader), (1, &first));
    assert_eq!((follower.generation_id, &follower.leader), (1, &first));
    let names: Vec<_> = led.members.iter().map(|member| member.member_id.clone()).collect();
    assert_eq!(names, [first.clone(), second.clone()]);
    assert!(follower.members.is_empty(), "only the leader assigns");
    let waiting = world.ask(sync(&second, 1, &[]));
    assert_eq!(world.sync_answer(waiting), None, "the leader has not assigned");
    let leading = world.ask(sync(&first, 1, &[first.clone(), second.clone()]));
    for (id, waiter) in [(&first, leading), (&second, waiting)] {
        let answer = world.sync_answer(waiter).expect("assigned");
        assert_eq!((answer.error_code, answer.assignment), (0, token(id, 1)));
    }
}

#[test]
fn refused_joins_say_why_and_change_nothing() {
    let mut world = World::new();
    let ids = world.stable(2);
    let request = |id: &str| join_request(id, None, &["range"]);
    for (name, request, want) in [
        (
            "no group",
            JoinGroupRequest { group_id: text(""), ..request("") },
            ErrorCode::InvalidGroupId,
        ),
        (
            "short session",
            JoinGroupRequest { session_timeout_ms: 5_999, ..request("") },
            ErrorCode::InvalidSessionTimeout,
        ),
        (
            "long session",
            JoinGroupRequest { session_timeout_ms: 1_800_001, ..request("") },
            ErrorCode::InvalidSessionTimeout,
        ),
        ("unknown member", request("nobody"), ErrorCode::UnknownMemberId),
        (
            "unknown member of no group",
            JoinGroupRequest { group_id: text("other"), ..request("nobody") },
            ErrorCode::UnknownMemberId,
        ),
        (
            "another type",
            JoinGroupRequest { protocol_type: text("connect"), ..request("") },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            "another protocol",
            join_request("", None, &["sticky"]),
            ErrorCode::InconsistentGroupProtocol,
        ),
        ("no protocol", join_request(&ids[0], None, &[]), ErrorCode::InconsistentGroupProtocol),
        (
            "no protocol of no group",
            JoinGroupRequest { group_id: text("other"), ..join_request("", None, &[]) },
            ErrorCode::InconsistentGroupProtocol,
        ),
        (
            "unknown instance",
            join_request(&ids[0], Some("i"), &["range"]),
            ErrorCode::UnknownMemberId,
        ),
    ] {
        let before = world.shard.clone();
        let waiter = world.ask(GroupRequest::Join(asker("x", 9), request));
        let answer = world.join_answer(waiter).unwrap_or_else(|| panic!("{name} is parked"));
        assert_eq!(ErrorCode::try_from(answer.error_code), Ok(want), "{name}");
        assert_eq!(answer.generation_id, -1, "{name}");
        assert!(world.shard == before, "{name} has changed something");
    }
}

#[test]
fn what_members_send_is_checked_and_refused_without_effect() {
    let mut world = World::new();
    let static_join = world.ask(join("", Some("i")));
    world.pass(DELAY_MS as u64);
    let fenced = world.join_answer(static_join).expect("joined").member_id;
    world.sync_all(std::slice::from_ref(&fenced));
    // The instance comes back: its first id is fenced.
    let again = world.ask(join("", Some("i")));
    let id = world.join_answer(again).expect("a static member waits for nobody").member_id;
    assert_ne!(id, fenced);
    let generation = world.group().generation;
    for (id, instance_id, generation, want) in [
        ("nobody", None, generation, ErrorCode::UnknownMemberId),
        (&*fenced, None, generation, ErrorCode::UnknownMemberId),
        (&*fenced, Some("i"), generation, ErrorCode::FencedInstanceId),
        (&*id, Some("other"), generation, ErrorCode::UnknownMemberId),
        (&*id, Some("i"), generation + 1, ErrorCode::IllegalGeneration),
        (&*id, None, generation - 1, ErrorCode::IllegalGeneration),
    ] {
        let row = format!("{id} {instance_id:?} {generation}");
        let before = world.shard.clone();
        assert_eq!(world.call(heartbeat(id, generation, instance_id)), Err(want), "{row}");
        let committing = Committing { id, instance_id, generation, ..SIMPLE };
        let refused = world.call(commit(&committing, "t", &[(0, 5)]));
        assert_eq!(commit_errors(refused), Err(want), "{row}");
        let GroupRequest::Sync(request) = sync(id, generation, &[]) else { unreachable!() };
        let request = SyncGroupRequest { group_instance_id: instance_id.map(text), ..request };
        let waiter = world.ask(GroupRequest::Sync(request));
        let answer = world.sync_answer(waiter).expect("refused at once");
        assert_eq!(ErrorCode::try_from(answer.error_code), Ok(want), "{row}");
        assert!(world.shard == before, "{row} has changed something");
    }
    for (protocol_type, protocol_name) in [("connect", "range"), ("consumer", "sticky")] {
        let GroupRequest::Sync(request) = sync(&id, generation, &[]) else { unreachable!() };
        let waiter = world.ask(GroupRequest::Sync(SyncGroupRequest {
            protocol_type: Some(text(protocol_type)),
            protocol_name: Some(text(protocol_name)),
            ..request
        }));
        let answer = world.sync_answer(waiter).expect("refused at once");
        assert_eq!(answer.error_code, ErrorCode::InconsistentGroupProtocol.code());
    }
}

#[test]
fn a_member_that_is_silent_goes_and_the_others_rebalance() {
    let mut world = World::new();
    let ids = world.stable(2);
    for _ in 0..3 {
        world.pass(SESSION_MS as u64 / 2);
        assert!(world.call(heartbeat(&ids[0], 1, None)).is_ok());
    }
    let told = world.call(heartbeat(&ids[0], 1, None));
    let Ok(GroupAnswer::Heartbeat(told)) = told else { panic!("{told:?}") };
    assert_eq!(told.error_code, ErrorCode::RebalanceInProgress.code());
    let rejoining = world.ask(join(&ids[0], None));
    let answer = world.join_answer(rejoining).expect("nobody else is left");
    assert_eq!((answer.generation_id, answer.members.len()), (2, 1));
    assert_eq!(world.call(heartbeat(&ids[1], 2, None)), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn members_that_do_not_join_or_sync_in_time_go() {
    let mut world = World::new();
    let ids = world.stable(2);
    // The leader joins again: a rebalance. The other one sends heartbeats and does not join.
    let rejoining = world.ask(join(&ids[0], None));
    for _ in 0..(REBALANCE_MS / 5_000) {
        assert_eq!(world.join_answer(rejoining), None);
        assert!(world.call(heartbeat(&ids[1], 1, None)).is_ok());
        world.pass(5_000);
    }
    assert_eq!(world.join_answer(rejoining).expect("time is over").members.len(), 1);
    // It never asks for its assignment, but sends heartbeats.
    for _ in 0..(REBALANCE_MS / 5_000) {
        assert!(world.call(heartbeat(&ids[0], 2, None)).is_ok());
        world.pass(5_000);
    }
    assert!(world.group().members.is_empty());
    assert_eq!(world.group().phase, Phase::Empty);
}

#[test]
fn leaving_is_answered_for_each_member() {
    let mut world = World::new();
    let ids = world.stable(2);
    let refused = world.ask(join("", None));
    let pending = world.join_answer(refused).expect("refused at once").member_id;
    let leaving = leave(&[
        ("nobody", None),
        (&ids[1], Some("i")),
        (&pending, None),
        ("", Some("i")),
        (&ids[0], None),
    ]);
    let Ok(GroupAnswer::Leave(answer)) = world.call(leaving) else { panic!("refused") };
    let unknown = ErrorCode::UnknownMemberId.code();
    let codes: Vec<_> = answer.members.iter().map(|member| member.error_code).collect();
    assert_eq!(codes, [unknown, unknown, 0, unknown, 0]);
    assert!(world.group().is_preparing(), "the other one is to join again");
    assert!(world.call(leave(&[(&ids[1], None)])).is_ok());
    assert_eq!((world.group().phase, world.group().generation), (Phase::Empty, 2));
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    for (version, wants_skip) in [(8, false), (9, true)] {
        let mut world = World::new();
        let first = world.ask(join("", Some("i")));
        world.pass(DELAY_MS as u64);
        let old_id = world.join_answer(first).expect("joined").member_id;
        world.sync_all(std::slice::from_ref(&old_id));
        let request = join_request("", Some("i"), &["range"]);
        let again = world.ask(GroupRequest::Join(asker("again", version), request));
        let answer = world.join_answer(again).expect("at once");
        assert_eq!((answer.error_code, answer.generation_id), (0, 1));
        assert_eq!(answer.skip_assignment, wants_skip, "version {version}");
        assert_eq!(answer.members.len(), usize::from(wants_skip), "version {version}");
        let leader = if wants_skip { &answer.member_id } else { &old_id };
        assert_eq!(&answer.leader, leader, "version {version}");
        let syncing = world.ask(sync(&answer.member_id, 1, &[]));
        let assigned = world.sync_answer(syncing).expect("it has its assignment");
        assert_eq!(assigned.assignment, token(&old_id, 1));
        // Silent for its session, an instance goes too.
        world.pass(SESSION_MS as u64);
        assert_eq!(world.group().phase, Phase::Empty);
    }
}

#[test]
fn a_static_member_that_is_replaced_while_it_waits_is_told() {
    let mut world = World::new();
    let first = world.ask(join("", Some("i")));
    let second = world.ask(join("", Some("i")));
    let fenced = world.join_answer(first).expect("replaced");
    assert_eq!(fenced.error_code, ErrorCode::FencedInstanceId.code());
    world.pass(DELAY_MS as u64);
    let joined = world.join_answer(second).expect("joined");
    let waiting = world.ask(sync(&joined.member_id, 0, &[]));
    assert_eq!(
        world.sync_answer(waiting).expect("refused").error_code,
        ErrorCode::IllegalGeneration.code()
    );
    let third = world.ask(join("", Some("i")));
    assert_eq!(world.group().generation, 2, "nobody may assign to the old id");
    assert_eq!(world.join_answer(third).expect("joined").generation_id, 2);
}

#[test]
fn a_group_is_no_larger_than_it_may_be() {
    let mut world = World::new();
    let ids = world.stable(4);
    let refused = world.ask(join("", None));
    let refused = world.join_answer(refused).expect("refused at once");
    assert_eq!(refused.error_code, ErrorCode::GroupMaxSizeReached.code());
    let again = world.ask(join(&ids[0], None));
    assert_eq!(world.join_answer(again), None, "members may join again");
}

#[test]
fn the_protocol_that_most_want_is_taken() {
    for (first, second, third, want) in [
        (&["a", "b"][..], &["b", "a"][..], &["b", "a"][..], "b"),
        (&["a", "b"], &["a", "b"], &["b", "a"], "a"),
        (&["c", "b"], &["b", "a"], &["a", "b"], "b"),
        (&["a", "a", "b"], &["b", "a"], &["a"], "a"),
    ] {
        let mut world = World::new();
        let waiters: Vec<_> = [first, second, third]
            .into_iter()
            .enumerate()
            .map(|(number, protocols)| {
                let request = join_request("", None, protocols);
                world.ask(GroupRequest::Join(asker(&number.to_string(), 3), request))
            })
            .collect();
        world.pass(2 * DELAY_MS as u64);
        for waiter in waiters {
            let answer = world.join_answer(waiter).expect("joined");
            assert_eq!(
                answer.protocol_name.as_deref(),
                Some(want),
                "{first:?} {second:?} {third:?}"
            );
        }
    }
}

#[test]
fn an_assignment_that_fits_into_no_record_is_refused() {
    let mut world = World::new();
    let (id, joining) = world.join_new();
    world.pass(DELAY_MS as u64);
    assert!(world.join_answer(joining).is_some());
    let GroupRequest::Sync(mut request) = sync(&id, 1, std::slice::from_ref(&id)) else {
        unreachable!()
    };
    request.assignments[0].assignment = Bytes::from(vec![0; 10_000]);
    let records = world.log.len();
    let waiter = world.ask(GroupRequest::Sync(request));
    let answer = world.sync_answer(waiter).expect("refused");
    assert_eq!(answer.error_code, ErrorCode::UnknownServerError.code());
    assert_eq!(world.log.len(), records);
    assert!(world.group().is_preparing(), "it may try again");
}

#[test]
fn groups_are_listed_and_described() {
    let mut world = World::new();
    let ids = world.stable(2);
    assert!(world.call(commit(&Committing { group: "simple", ..SIMPLE }, "t", &[(0, 1)])).is_ok());
    for (states, types, want) in [
        (&[][..], &[][..], &["g", "simple"][..]),
        (&["stable"], &[], &["g"]),
        (&["EMPTY", "Dead"], &["classic"], &["simple"]),
        (&[], &["consumer"], &[]),
        (&["nonsense"], &[], &[]),
    ] {
        let request = ListGroupsRequest {
            states_filter: states.iter().map(|it| text(it)).collect(),
            types_filter: types.iter().map(|it| text(it)).collect(),
        };
        let Ok(GroupAnswer::List(groups)) = world.call(GroupRequest::List(request)) else {
            panic!("refused")
        };
        let names: Vec<_> = groups.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(names, want, "{states:?} {types:?}");
    }
    let not_found = ErrorCode::GroupIdNotFound.code();
    for (version, missing) in [(5, 0), (6, not_found)] {
        let names = vec![text(GROUP), text("other"), text("simple")];
        let Ok(GroupAnswer::Describe(groups)) = world.call(GroupRequest::Describe(version, names))
        else {
            panic!("refused")
        };
        let states: Vec<_> = groups.iter().map(|it| (&*it.group_state, it.error_code)).collect();
        assert_eq!(states, [("Stable", 0), ("Dead", missing), ("Empty", 0)]);
        let members: Vec<_> = groups[0].members.iter().map(|it| it.member_id.clone()).collect();
        assert_eq!(members.iter().collect::<BTreeSet<_>>(), ids.iter().collect());
        assert_eq!(&*groups[0].protocol_data, "range");
        assert_eq!(&*groups[0].members[0].client_host, "/10.0.0.1");
    }
}

#[test]
fn a_loaded_group_goes_on_where_it_was() {
    let mut world = World::new();
    let ids = world.stable(2);
    let member = Committing { id: &ids[0], generation: 1, ..SIMPLE };
    assert!(world.call(commit(&member, "t", &[(0, 1)])).is_ok());
    let mut shard = world.restarted();
    let mut outcome = Outcome::default();
    shard.loaded(world.now(), &mut outcome);
    assert!(outcome.records.is_empty() && outcome.answers.is_empty());
    world.shard = shard;
    world.check();
    for id in &ids {
        assert!(world.call(heartbeat(id, 1, None)).is_ok(), "members need not join again");
        let again = world.ask(sync(id, 1, &[]));
        assert_eq!(world.sync_answer(again).expect("at once").assignment, token(id, 1));
    }
    world.pass(SESSION_MS as u64);
    assert_eq!(world.group().phase, Phase::Empty, "and must be heard of within their session");
}
