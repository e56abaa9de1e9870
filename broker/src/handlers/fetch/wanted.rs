//! The partitions that a fetch wants, in whichever way it names their topics.

use std::collections::BTreeSet;

use protocol::messages::fetch::{FetchPartition, FetchTopic, ForgottenTopic};
use protocol::model::Uuid;
use protocol::wire::WireString;

/// The first version that names topics by id.
pub const TOPIC_ID_VERSION: i16 = 13;

/// A topic as requests of one version name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    Id(Uuid),
    Name(WireString),
}

/// A partition as a request names it.
pub type PartitionRef = (TopicRef, i32);

/// What is wanted of one partition, as it came from the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub topic: TopicRef,
    pub partition: i32,
    pub fetch_offset: i64,
    pub size_bytes_max: i32,
    pub current_leader_epoch: i32,
    pub last_fetched_epoch: i32,
}

impl TopicRef {
    pub fn new(version: i16, topic_id: Uuid, name: WireString) -> Self {
        if version >= TOPIC_ID_VERSION { TopicRef::Id(topic_id) } else { TopicRef::Name(name) }
    }

    /// The id and the name that an answer has; the one that is not in use is empty.
    pub fn into_parts(self) -> (Uuid, WireString) {
        match self {
            TopicRef::Id(topic_id) => (topic_id, WireString::EMPTY),
            TopicRef::Name(name) => (Uuid::ZERO, name),
        }
    }
}

impl Wanted {
    /// All that `topics` name, in order. Of a partition that is named twice the last word counts, in the
    /// place of the first: Kafka puts them into a map.
    pub fn all(version: i16, topics: Vec<FetchTopic>) -> Vec<Wanted> {
        let mut wanted = Vec::with_capacity(topics.iter().map(|it| it.partitions.len()).sum());
        for FetchTopic { topic, topic_id, partitions } in topics {
            let topic = TopicRef::new(version, topic_id, topic);
            wanted.extend(partitions.iter().map(|partition| Wanted::new(topic.clone(), partition)));
        }
        settle_repeats(&mut wanted);
        wanted
    }

    fn new(topic: TopicRef, partition: &FetchPartition) -> Self {
        Wanted {
            topic,
            partition: partition.partition,
            fetch_offset: partition.fetch_offset,
            size_bytes_max: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }
    }

    pub fn partition_ref(&self) -> PartitionRef {
        (self.topic.clone(), self.partition)
    }

    fn name(&self) -> (&TopicRef, i32) {
        (&self.topic, self.partition)
    }
}

/// The partitions that a session is to forget.
pub fn forgotten(version: i16, topics: Vec<ForgottenTopic>) -> Vec<PartitionRef> {
    let of_topic = |ForgottenTopic { topic, topic_id, partitions }| {
        let topic = TopicRef::new(version, topic_id, topic);
        partitions.into_iter().map(move |partition| (topic.clone(), partition))
    };
    topics.into_iter().flat_map(of_topic).collect()
}

fn settle_repeats(wanted: &mut Vec<Wanted>) {
    let mut by_name: Vec<usize> = (0..wanted.len()).collect();
    by_name.sort_by_key(|&index| (wanted[index].name(), index));
    let same: Vec<[usize; 2]> = by_name
        .array_windows()
        .filter(|[one, next]| wanted[*one].name() == wanted[*next].name())
        .copied()
        .collect();
    // From the last to the first, so that the last word reaches the first place.
    for [one, next] in same.iter().rev() {
        wanted[*one] = wanted[*next].clone();
    }
    let repeats: BTreeSet<usize> = same.into_iter().map(|[_, next]| next).collect();
    let mut index = 0;
    wanted.retain(|_| {
        index += 1;
        !repeats.contains(&(index - 1))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_repeats_the_last_word_counts_in_the_first_place() {
        let partition = |partition, fetch_offset| FetchPartition {
            partition,
            fetch_offset,
            ..FetchPartition::default()
        };
        let topic = |name: &str, partitions: &[(i32, i64)]| FetchTopic {
            topic: name.into(),
            topic_id: Uuid::ZERO,
            partitions: partitions.iter().map(|&(index, from)| partition(index, from)).collect(),
        };
        for (topics, want) in [
            (vec![], ""),
            (vec![topic("b", &[(1, 5), (0, 6)]), topic("a", &[(1, 7)])], "b-1@5 b-0@6 a-1@7"),
            (
                vec![
                    topic("b", &[(1, 5), (0, 6), (1, 8)]),
                    topic("a", &[(1, 7)]),
                    topic("b", &[(1, 9), (2, 10)]),
                ],
                "b-1@9 b-0@6 a-1@7 b-2@10",
            ),
        ] {
            let shown = |one: &Wanted| match &one.topic {
                TopicRef::Name(name) => format!("{name}-{}@{}", one.partition, one.fetch_offset),
                TopicRef::Id(topic_id) => panic!("version 12 has no id {topic_id}"),
            };
            let wanted: Vec<String> = Wanted::all(12, topics).iter().map(shown).collect();
            assert_eq!(wanted.join(" "), want);
        }
    }
}
