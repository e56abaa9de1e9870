//! Incremental fetch sessions (KIP-227).

use super::talk::Talk;
use anyhow::Result;
use protocol::messages::FetchRequest;
use protocol::messages::fetch::{FetchTopic, ForgottenTopic};

const VERSIONS: [i16; 5] = [7, 11, 12, 13, 18];

pub fn talk(talk: &mut Talk) -> Result<()> {
    talk.create("read", 3, &[])?;
    talk.create("other", 2, &[])?;
    for version in VERSIONS {
        goes_on(talk, version)?;
        forgets(talk, version)?;
        ends(talk, version)?;
        takes_turns(talk, version)?;
    }
    by_name_and_id(talk)
}

fn request(session: (i32, i32), topics: Vec<FetchTopic>) -> FetchRequest {
    let (session_id, session_epoch) = session;
    FetchRequest {
        session_id,
        session_epoch,
        topics,
        min_bytes: 1,
        max_bytes: 1 << 20,
        ..FetchRequest::default()
    }
}

/// A full fetch of all partitions of `read` from `offset`: the id of its session.
fn begin(talk: &mut Talk, version: i16, offset: i64) -> Result<i32> {
    let topic = talk.to_fetch(version, "read", &[(0, offset), (1, offset), (2, offset)]);
    Ok(talk.fetch("begins", version, &request((0, 0), vec![topic]))?.session_id)
}

fn goes_on(talk: &mut Talk, version: i16) -> Result<()> {
    let offset = end(talk, version)?;
    let id = begin(talk, version, offset)?;
    talk.fetch("goes on with nothing new", version, &request((id, 1), vec![]))?;
    talk.fill("read", 1, 2)?;
    talk.fetch("has new records", version, &request((id, 2), vec![]))?;
    talk.fetch("has them again", version, &request((id, 3), vec![]))?;
    let after = talk.to_fetch(version, "read", &[(1, offset + 2)]);
    talk.fetch("goes on after them", version, &request((id, 4), vec![after]))?;
    talk.fetch("is asked again with an old epoch", version, &request((id, 4), vec![]))?;
    talk.fetch("is asked with a future epoch", version, &request((id, 6), vec![]))?;
    talk.fetch("is still there", version, &request((id, 5), vec![]))?;
    let unknown = vec![talk.to_fetch(version, "read", &[(9, 0)])];
    talk.fetch("gets a partition that is not there", version, &request((id, 6), unknown))?;
    talk.fetch("has it still", version, &request((id, 7), vec![]))?;
    let beyond = vec![talk.to_fetch(version, "read", &[(0, offset + 77)])];
    talk.fetch("goes out of range", version, &request((id, 8), beyond))?;
    talk.fetch("is there still", version, &request((id, 9), vec![]))?;
    let back = vec![talk.to_fetch(version, "read", &[(0, offset)])];
    talk.fetch("comes back", version, &request((id, 10), back))?;
    talk.fetch("ends", version, &request((id, -1), vec![]))?;
    talk.fetch("is no more", version, &request((id, 11), vec![]))?;
    // The same end for all partitions.
    talk.fill("read", 0, 2)?;
    talk.fill("read", 2, 2)
}

fn forgets(talk: &mut Talk, version: i16) -> Result<()> {
    let id = begin(talk, version, 0)?;
    let forgotten = |talk: &Talk, partitions: &[i32]| {
        let (name, topic_id) = talk.named(version, "read");
        ForgottenTopic { topic: name.into(), topic_id, partitions: partitions.to_vec() }
    };
    let mut forgets = request((id, 1), vec![]);
    forgets.forgotten_topics_data = vec![forgotten(talk, &[1, 7])];
    talk.fetch("forgets one", version, &forgets)?;
    let mut both = request((id, 2), vec![talk.to_fetch(version, "other", &[(1, 0)])]);
    both.topics.push(talk.to_fetch(version, "read", &[(1, 0)]));
    both.forgotten_topics_data = vec![forgotten(talk, &[1, 0])];
    talk.fetch("wants one and forgets it", version, &both)?;
    let mut last = request((id, 3), vec![]);
    last.forgotten_topics_data = vec![forgotten(talk, &[2])];
    talk.fetch("forgets all of a topic", version, &last)?;
    let (name, topic_id) = talk.named(version, "other");
    let all = ForgottenTopic { topic: name.into(), topic_id, partitions: vec![1] };
    let mut all = FetchRequest { forgotten_topics_data: vec![all], ..request((id, 4), vec![]) };
    talk.fetch("forgets all", version, &all)?;
    all.session_epoch = 5;
    talk.fetch("has ended with that", version, &all)?;
    Ok(())
}

fn ends(talk: &mut Talk, version: i16) -> Result<()> {
    let id = begin(talk, version, 0)?;
    let topic = talk.to_fetch(version, "read", &[(0, 0)]);
    let anew = talk.fetch("begins instead of another", version, &request((id, 0), vec![topic]))?;
    talk.fetch("the other is gone", version, &request((id, 1), vec![]))?;
    let topic = talk.to_fetch(version, "read", &[(0, 0)]);
    talk.fetch("ends with a last answer", version, &request((anew.session_id, -1), vec![topic]))?;
    talk.fetch("that one is gone, too", version, &request((anew.session_id, 1), vec![]))?;
    talk.fetch("was never there", version, &request((77, 1), vec![]))?;
    talk.fetch("has no id", version, &request((0, 1), vec![]))?;
    let empty = talk.fetch("begins with nothing", version, &request((0, 0), vec![]))?.session_id;
    let topic = talk.to_fetch(version, "read", &[(2, 0)]);
    talk.fetch("then wants something", version, &request((empty, 1), vec![topic]))?;
    talk.fetch("ends then", version, &request((empty, -1), vec![]))?;
    Ok(())
}

/// With room for one batch each partition has its turn.
fn takes_turns(talk: &mut Talk, version: i16) -> Result<()> {
    let small = |request: FetchRequest| FetchRequest { max_bytes: 1, ..request };
    let topic = talk.to_fetch(version, "read", &[(0, 0), (1, 0), (2, 0)]);
    let first = small(request((0, 0), vec![topic]));
    let id = talk.fetch("reads one batch at a time", version, &first)?.session_id;
    for epoch in 1..5 {
        talk.fetch("and another", version, &small(request((id, epoch), vec![])))?;
    }
    talk.fetch("enough", version, &request((id, -1), vec![]))?;
    Ok(())
}

/// The offset that all partitions of `read` end with.
fn end(talk: &mut Talk, version: i16) -> Result<i64> {
    let topic = talk.to_fetch(version, "read", &[(0, 0)]);
    let answer = talk.connection.call(version, &request((0, -1), vec![topic]))?;
    let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
    Ok(partition.map_or(0, |it| it.high_watermark))
}

fn by_name_and_id(talk: &mut Talk) -> Result<()> {
    for (began, other) in [(12, 13), (18, 12)] {
        let id = begin(talk, began, 0)?;
        talk.fetch("goes on in the other way", other, &request((id, 1), vec![]))?;
        let topic = talk.to_fetch(other, "read", &[(0, 0)]);
        talk.fetch("wants more in the other way", other, &request((id, 1), vec![topic]))?;
        talk.fetch("goes on in its own way", began, &request((id, 1), vec![]))?;
        let topic = talk.to_fetch(other, "read", &[(0, 0)]);
        let anew = request((id, 0), vec![topic]);
        let id = talk.fetch("begins anew in the other way", other, &anew)?.session_id;
        talk.fetch("ends", other, &request((id, -1), vec![]))?;
    }
    Ok(())
}
