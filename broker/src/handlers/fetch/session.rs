//! One incremental fetch session: the partitions that a client reads, and what it was told of each.

use std::collections::BTreeMap;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::PartitionData;
use reactor::Instant;

use super::wanted::{PartitionRef, TopicRef, Wanted};

/// What one partition takes: its entry and its place in the order, in trees whose nodes are half full.
const PARTITION_SIZE_BYTES: usize = 2 * (size_of::<Entry>() + size_of::<PartitionRef>() + 16);

/// Of KIP-227. A session outlives its connection, as in Apache Kafka.
#[derive(Debug)]
pub struct Session {
    pub uses_topic_ids: bool,
    /// The epoch that its next request must have.
    pub epoch: i32,
    pub created: Instant,
    pub last_used: Instant,
    /// In the order in which they are read: who had records goes to the end, so that no partition keeps
    /// the others from their turn. A topic's name is one string for all of its partitions.
    entries: BTreeMap<u64, Entry>,
    places: BTreeMap<PartitionRef, u64>,
    next_place: u64,
    size_bytes: usize,
}

#[derive(Debug)]
struct Entry {
    wanted: Wanted,
    /// As last told, on the wire; -1 after an error, so that the partition is told of again without one.
    high_watermark: i64,
    log_start_offset: i64,
}

/// The epoch after `epoch`; 0 would begin a session. Source: `FetchMetadata.nextEpoch`.
pub fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

impl Session {
    /// A session without partitions, of which the first request was answered just now.
    pub fn new(now: Instant, uses_topic_ids: bool) -> Self {
        Session {
            uses_topic_ids,
            epoch: 1,
            created: now,
            last_used: now,
            entries: BTreeMap::new(),
            places: BTreeMap::new(),
            next_place: 0,
            size_bytes: 0,
        }
    }

    /// What a session of `wanted` takes at most, among which no partition is twice.
    pub fn size_bytes_of<'a>(wanted: impl Iterator<Item = &'a Wanted>) -> usize {
        let mut size_bytes = 0;
        let mut last = None;
        for Wanted { topic, .. } in wanted {
            size_bytes += PARTITION_SIZE_BYTES;
            if last.replace(topic) != Some(topic) {
                size_bytes += name_size_bytes(topic);
            }
        }
        size_bytes
    }

    pub fn partition_count(&self) -> usize {
        self.entries.len()
    }

    /// About how much memory it takes.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// What is wanted of all partitions, in order.
    pub fn wanted(&self) -> Vec<Wanted> {
        self.entries.values().map(|entry| entry.wanted.clone()).collect()
    }

    /// Wants this of a partition from now on, new to the session or not.
    pub fn want(&mut self, mut wanted: Wanted) {
        if let Some(place) = self.places.get(&wanted.partition_ref()) {
            let entry = self.entries.get_mut(place).expect("a place has its entry");
            wanted.topic = entry.wanted.topic.clone();
            entry.wanted = wanted;
            return;
        }
        self.size_bytes += PARTITION_SIZE_BYTES;
        wanted.topic = match self.known_topic(&wanted.topic) {
            Some(known) => known,
            None => {
                self.size_bytes += name_size_bytes(&wanted.topic);
                own(wanted.topic)
            }
        };
        let entry = Entry { wanted, high_watermark: -1, log_start_offset: -1 };
        self.push(entry);
    }

    pub fn forget(&mut self, partition: &PartitionRef) {
        let Some(place) = self.places.remove(partition) else { return };
        self.entries.remove(&place);
        self.size_bytes -= PARTITION_SIZE_BYTES;
        if self.known_topic(&partition.0).is_none() {
            self.size_bytes -= name_size_bytes(&partition.0);
        }
    }

    /// Whether the client must be told `data` of `partition`: it has records, an error or something else
    /// to do, or differs from what was told before. The session takes note of it. Source:
    /// `FetchSession.CachedPartition.maybeUpdateResponseData`.
    pub fn tell(&mut self, partition: &PartitionRef, data: &PartitionData) -> bool {
        let must_tell = self.must_tell(partition, data);
        // It may have been forgotten by a request that came later.
        let Some(&place) = self.places.get(partition) else { return false };
        let entry = self.entries.get_mut(&place).expect("a place has its entry");
        let has_records = has_records(data);
        let has_error = data.error_code != i16::from(ErrorCode::None);
        entry.high_watermark = if has_error { -1 } else { data.high_watermark };
        entry.log_start_offset = data.log_start_offset;
        if has_records {
            let entry = self.entries.remove(&place).expect("it was there");
            self.push(entry);
        }
        must_tell
    }

    /// The same, and the session takes no note of it.
    pub fn must_tell(&self, partition: &PartitionRef, data: &PartitionData) -> bool {
        let Some(place) = self.places.get(partition) else { return false };
        let entry = &self.entries[place];
        has_records(data)
            || data.error_code != i16::from(ErrorCode::None)
            || data.preferred_read_replica != -1
            || data.diverging_epoch.epoch != -1
            || entry.high_watermark != data.high_watermark
            || entry.log_start_offset != data.log_start_offset
    }

    fn push(&mut self, entry: Entry) {
        self.places.insert(entry.wanted.partition_ref(), self.next_place);
        self.entries.insert(self.next_place, entry);
        self.next_place += 1;
    }

    /// `topic` as another partition of it has it.
    fn known_topic(&self, topic: &TopicRef) -> Option<TopicRef> {
        let all = (topic.clone(), i32::MIN)..=(topic.clone(), i32::MAX);
        self.places.range(all).next().map(|((known, _), _)| known.clone())
    }
}

fn has_records(data: &PartitionData) -> bool {
    data.records.as_ref().is_some_and(|records| !records.is_empty())
}

/// `topic` with a name of its own: a request's would keep the whole frame in memory.
fn own(topic: TopicRef) -> TopicRef {
    match topic {
        TopicRef::Id(topic_id) => TopicRef::Id(topic_id),
        TopicRef::Name(name) => TopicRef::Name(name.as_str().into()),
    }
}

fn name_size_bytes(topic: &TopicRef) -> usize {
    match topic {
        TopicRef::Id(_) => 0,
        TopicRef::Name(name) => name.len(),
    }
}

#[cfg(test)]
mod tests {
    use protocol::wire::Records;

    use super::*;

    fn wanted(name: &str, partition: i32, fetch_offset: i64) -> Wanted {
        Wanted {
            topic: TopicRef::Name(name.into()),
            partition,
            fetch_offset,
            size_bytes_max: 100,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn order(session: &Session) -> Vec<(i32, i64)> {
        session.wanted().iter().map(|it| (it.partition, it.fetch_offset)).collect()
    }

    #[test]
    fn what_is_wanted_is_kept_until_it_is_forgotten() {
        let mut session = Session::new(Instant(0), false);
        for partition in [2, 0, 1] {
            session.want(wanted("orders", partition, 5));
        }
        let full = session.size_bytes();
        session.want(wanted("orders", 0, 9));
        assert_eq!(order(&session), [(2, 5), (0, 9), (1, 5)]);
        session.forget(&wanted("orders", 2, 0).partition_ref());
        session.forget(&wanted("orders", 7, 0).partition_ref());
        session.want(wanted("orders", 2, 5));
        assert_eq!(order(&session), [(0, 9), (1, 5), (2, 5)]);
        assert_eq!(session.size_bytes(), full);
        for partition in 0..3 {
            session.forget(&wanted("orders", partition, 0).partition_ref());
        }
        assert_eq!((session.partition_count(), session.size_bytes()), (0, 0));
    }

    #[test]
    fn a_client_is_told_what_it_does_not_know() {
        let plain = PartitionData { high_watermark: 7, log_start_offset: 0, ..Default::default() };
        let refused = PartitionData {
            error_code: ErrorCode::NotLeaderOrFollower.into(),
            high_watermark: -1,
            log_start_offset: -1,
            ..Default::default()
        };
        let records = Some([bytes::Bytes::from_static(b"batch")].into_iter().collect::<Records>());
        let mut session = Session::new(Instant(0), false);
        session.want(wanted("orders", 0, 0));
        let partition = wanted("orders", 0, 0).partition_ref();
        for (step, data, want) in [
            ("the first answer", plain.clone(), true),
            ("nothing new", plain.clone(), false),
            (
                "no records, not null",
                PartitionData { records: Some(Records::default()), ..plain.clone() },
                false,
            ),
            ("a high watermark", PartitionData { high_watermark: 8, ..plain.clone() }, true),
            ("the same one", PartitionData { high_watermark: 8, ..plain.clone() }, false),
            ("a log start", PartitionData { log_start_offset: 1, ..plain.clone() }, true),
            (
                "records",
                PartitionData { log_start_offset: 1, records: records.clone(), ..plain.clone() },
                true,
            ),
            ("more of them", PartitionData { log_start_offset: 1, records, ..plain.clone() }, true),
            ("an error", refused.clone(), true),
            ("the same error", refused, true),
            ("no error any more", plain.clone(), true),
            ("nothing new again", plain.clone(), false),
            (
                "a replica to read from",
                PartitionData { preferred_read_replica: 2, ..plain.clone() },
                true,
            ),
        ] {
            assert_eq!(session.tell(&partition, &data), want, "{step}");
        }
        session.forget(&partition);
        assert!(!session.tell(&partition, &PartitionData { high_watermark: 9, ..plain }));
    }

    #[test]
    fn who_had_records_is_read_last() {
        let mut session = Session::new(Instant(0), false);
        (0..3).for_each(|partition| session.want(wanted("orders", partition, 0)));
        let records = Some([bytes::Bytes::from_static(b"batch")].into_iter().collect::<Records>());
        let data = PartitionData { records, ..Default::default() };
        session.tell(&wanted("orders", 0, 0).partition_ref(), &data);
        session.tell(&wanted("orders", 1, 0).partition_ref(), &PartitionData::default());
        assert_eq!(order(&session), [(1, 0), (2, 0), (0, 0)]);
    }

    #[test]
    fn epochs_go_round_without_zero() {
        assert_eq!([next_epoch(0), next_epoch(1), next_epoch(i32::MAX)], [1, 2, 1]);
    }
}
