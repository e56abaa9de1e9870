//! Who may commit, and what becomes of it: what Kafka's own tests hold of `OffsetMetadataManager`.

use std::rc::Rc;

use protocol::error_code::ErrorCode;
use protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::{JoinGroupRequest, OffsetDeleteRequest};
use protocol::model::TopicId;

use super::super::config::GroupConfig;
use super::super::request::{GroupAnswer, GroupRequest, GroupResult};

use super::world::*;

#[test]
fn who_may_commit_follows_from_the_groups_state() {
    // Of a group that is not there.
    for (generation, version, want) in [
        (-1, 2, Ok(vec![0])),
        (0, 8, Err(ErrorCode::IllegalGeneration)),
        (0, 9, Err(ErrorCode::GroupIdNotFound)),
    ] {
        let mut world = World::new();
        let committing = Committing { generation, version, ..SIMPLE };
        let got = commit_errors(world.call(commit(&committing, "t", &[(0, 7)])));
        assert_eq!(got, want, "{generation} {version}");
        assert_eq!(offsets(&mut world, GROUP).len(), usize::from(got.is_ok()));
    }
    let mut world = World::new();
    let ids = world.stable(1);
    let member = Committing { id: &ids[0], generation: 1, ..SIMPLE };
    let unknown = Err(ErrorCode::UnknownMemberId);
    assert_eq!(commit_errors(world.call(commit(&SIMPLE, "t", &[(0, 1)]))), unknown);
    let named = Committing { id: &ids[0], ..SIMPLE };
    let refused = commit_errors(world.call(commit(&named, "t", &[(0, 1)])));
    assert_eq!(refused, Err(ErrorCode::IllegalGeneration));
    assert_eq!(commit_errors(world.call(commit(&member, "t", &[(0, 2), (1, 3)]))), Ok(vec![0, 0]));
    // While it joins again it may still commit; with the next generation it must sync first.
    let rejoining = world.ask(join(&ids[0], None));
    assert_eq!(world.join_answer(rejoining).expect("alone").generation_id, 2);
    let next = Committing { generation: 2, ..member };
    let refused = commit_errors(world.call(commit(&next, "t", &[(0, 4)])));
    assert_eq!(refused, Err(ErrorCode::RebalanceInProgress));
    let large = Committing { metadata: "123456789", ..SIMPLE };
    let fits = Committing { metadata: "äöüäöüäö", ..SIMPLE };
    assert!(world.call(leave(&[(&ids[0], None)])).is_ok());
    let too_large = ErrorCode::OffsetMetadataTooLarge.code();
    assert_eq!(commit_errors(world.call(commit(&large, "t", &[(0, 9)]))), Ok(vec![too_large]));
    assert_eq!(commit_errors(world.call(commit(&fits, "t", &[(0, 5)]))), Ok(vec![0]));
    let want = [("t".to_owned(), 0, 5), ("t".to_owned(), 1, 3)];
    assert_eq!(offsets(&mut world, GROUP), want);
}

#[test]
fn offsets_are_fetched_by_topic_and_not_those_of_another_topic_of_the_name() {
    let mut world = World::new();
    assert!(world.call(commit(&SIMPLE, "t", &[(0, 5)])).is_ok());
    for (topic_id, group, partition, want) in [
        (TopicId::ZERO, GROUP, 0, 5),
        (TopicId::ONE, GROUP, 0, 5),
        (TopicId::from_random([7; 16]), GROUP, 0, -1),
        (TopicId::ONE, GROUP, 1, -1),
        (TopicId::ONE, "other", 0, -1),
    ] {
        let topics = vec![OffsetFetchRequestTopics {
            name: text("t"),
            topic_id,
            partition_indexes: vec![partition],
        }];
        let request = OffsetFetchRequestGroup {
            group_id: text(group),
            topics: Some(topics),
            ..Default::default()
        };
        let Ok(GroupAnswer::Fetch(answer)) = world.call(GroupRequest::Fetch(request)) else {
            panic!("refused")
        };
        let got = &answer.topics[0].partitions[0];
        assert_eq!(got.committed_offset, want, "{topic_id} {group} {partition}");
        assert_eq!(got.committed_leader_epoch, if want == 5 { 3 } else { -1 });
        assert_eq!(got.metadata.as_deref(), Some(""));
    }
}

#[test]
fn offsets_and_groups_are_deleted_only_where_nobody_uses_them() {
    let mut world = World::new();
    let ids = world.stable(1);
    let member = Committing { id: &ids[0], generation: 1, ..SIMPLE };
    assert!(world.call(commit(&member, "t", &[(0, 1)])).is_ok());
    assert!(world.call(commit(&member, "unread", &[(0, 1)])).is_ok());
    let delete = |group: &str, topic: &str| {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
        let topics = vec![OffsetDeleteRequestTopic { name: text(topic), partitions }];
        GroupRequest::DeleteOffsets(OffsetDeleteRequest { group_id: text(group), topics })
    };
    let code = |result: GroupResult| match result {
        Ok(GroupAnswer::DeleteOffsets(response)) => Ok(response.topics[0].partitions[0].error_code),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error),
    };
    assert_eq!(code(world.call(delete("", "t"))), Err(ErrorCode::InvalidGroupId));
    assert_eq!(code(world.call(delete("other", "t"))), Err(ErrorCode::GroupIdNotFound));
    let subscribed = ErrorCode::GroupSubscribedToTopic.code();
    assert_eq!(code(world.call(delete(GROUP, "t"))), Ok(subscribed));
    assert_eq!(code(world.call(delete(GROUP, "unread"))), Ok(0));
    assert_eq!(offsets(&mut world, GROUP), [("t".to_owned(), 0, 1)]);
    let delete_groups = || GroupRequest::Delete(vec![text(GROUP), text("other")]);
    let codes = |result: GroupResult| match result {
        Ok(GroupAnswer::Delete(results)) => {
            results.iter().map(|result| result.error_code).collect::<Vec<_>>()
        }
        other => panic!("{other:?}"),
    };
    let (used, missing) = (ErrorCode::NonEmptyGroup.code(), ErrorCode::GroupIdNotFound.code());
    assert_eq!(codes(world.call(delete_groups())), [used, missing]);
    assert!(world.call(leave(&[(&ids[0], None)])).is_ok());
    assert_eq!(codes(world.call(delete_groups())), [0, missing]);
    assert_eq!(offsets(&mut world, GROUP), []);
    assert!(world.restarted().groups.is_empty());
    // Of another protocol's members nobody knows what they read.
    let request = JoinGroupRequest {
        protocol_type: text("connect"),
        ..join_request("", None, &["sessioned"])
    };
    world.ask(GroupRequest::Join(asker("worker", 3), request));
    assert_eq!(code(world.call(delete(GROUP, "t"))), Err(ErrorCode::NonEmptyGroup));
}

#[test]
fn offsets_expire_with_their_group_and_by_themselves_where_it_has_none() {
    let mut world = World::new();
    assert!(world.call(commit(&Committing { group: "simple", ..SIMPLE }, "t", &[(0, 1)])).is_ok());
    let ids = world.stable(1);
    let member = Committing { id: &ids[0], generation: 1, ..SIMPLE };
    assert!(world.call(commit(&member, "t", &[(0, 1)])).is_ok());
    assert!(world.call(commit(&member, "unread", &[(0, 1)])).is_ok());
    let beat = |world: &mut World, ms: u64| {
        for _ in 0..ms / 5_000 {
            assert!(world.call(heartbeat(&ids[0], 1, None)).is_ok());
            world.pass(5_000);
        }
    };
    // A shorter life makes a shorter test.
    let config = GroupConfig { offsets_retention_ms: 2 * CHECK_MS as i64, ..config() };
    world.shard.config = Rc::new(config);
    beat(&mut world, 2 * CHECK_MS - 60_000);
    assert_eq!(offsets(&mut world, "simple").len(), 1);
    beat(&mut world, CHECK_MS + 120_000);
    assert_eq!(offsets(&mut world, "simple"), []);
    let left = [("t".to_owned(), 0, 1)];
    assert_eq!(offsets(&mut world, GROUP), left, "what is read stays");
    assert!(world.call(leave(&[(&ids[0], None)])).is_ok());
    world.pass(CHECK_MS);
    assert_eq!(offsets(&mut world, GROUP), left, "the group has only just become empty");
    world.pass(2 * CHECK_MS);
    assert_eq!(offsets(&mut world, GROUP), []);
    assert!(world.shard.groups.is_empty(), "a group that has nothing left goes");
}

#[test]
fn offsets_of_a_topic_go_with_it() {
    let mut world = World::new();
    assert!(world.call(commit(&SIMPLE, "t", &[(0, 5), (1, 6)])).is_ok());
    assert!(world.call(commit(&SIMPLE, "u", &[(0, 7)])).is_ok());
    let another = TopicId::from_random([7; 16]);
    assert!(world.call(GroupRequest::ForgetTopics(vec![(text("u"), another)])).is_ok());
    assert!(world.call(GroupRequest::ForgetTopics(vec![(text("t"), TopicId::ONE)])).is_ok());
    assert_eq!(offsets(&mut world, GROUP), [("u".to_owned(), 0, 7)]);
}
