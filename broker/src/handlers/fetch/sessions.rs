//! The incremental fetch sessions of one core's clients, and which of them go when others come.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

use protocol::error_code::ErrorCode;
use protocol::messages::fetch::PartitionData;
use reactor::{CoreIndex, Instant};

use super::session::{Session, next_epoch};
use super::wanted::{PartitionRef, Wanted};

/// The id of no session.
pub const NO_SESSION: i32 = 0;

/// A session that was not used for longer goes when another needs its place; one that is older may go
/// for a larger one. Source: `FetchSession` in Kafka, where it is no configuration either.
const EVICTION_AFTER: Duration = Duration::from_secs(120);

/// One core's sessions. A session lives on the core of the connection that began it, and its id says
/// which one that is.
pub struct FetchSessions {
    ids: Range<i32>,
    slot_count: usize,
    size_bytes_max: usize,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    sessions: BTreeMap<i32, Rc<RefCell<Session>>>,
    by_last_use: BTreeSet<(Instant, i32)>,
    /// Those that may go for a larger one, by their number of partitions.
    by_partition_count: BTreeSet<(usize, i32)>,
    size_bytes: usize,
}

/// A session that a request goes on with.
pub struct Continued {
    pub id: i32,
    /// What the session's epoch is while nobody else goes on with it.
    pub epoch: i32,
    pub session: Rc<RefCell<Session>>,
}

/// What a request that names a session gets of it.
pub enum Continues {
    With(Continued),
    /// It has forgotten its last partition, and is no more: the request is served without.
    Ended,
}

impl FetchSessions {
    /// Those of `core`, of `core_count`, which share `slot_count` sessions; together they take up to
    /// `size_bytes_max` of this core's memory.
    pub fn new(
        core: CoreIndex,
        core_count: usize,
        slot_count: usize,
        size_bytes_max: usize,
    ) -> Self {
        let id_count = id_count(core_count);
        let first = core.0 as i32 * id_count;
        let rest = usize::from(core.0 < slot_count % core_count);
        FetchSessions {
            ids: first.max(NO_SESSION + 1)..first + id_count,
            slot_count: slot_count / core_count + rest,
            size_bytes_max,
            state: RefCell::default(),
        }
    }

    /// The core whose sessions have ids like `id`.
    pub fn owner(id: i32, core_count: usize) -> Option<CoreIndex> {
        let core = usize::try_from(id / id_count(core_count)).ok()?;
        (id > NO_SESSION && core < core_count).then_some(CoreIndex(core))
    }

    /// Bytes that all sessions take.
    pub fn in_use(&self) -> usize {
        self.state.borrow().size_bytes
    }

    /// How many partitions the session `id` has; 0 where there is none.
    pub fn partition_count(&self, id: i32) -> usize {
        let state = self.state.borrow();
        state.sessions.get(&id).map_or(0, |session| session.borrow().partition_count())
    }

    /// Begins a session with what was wanted and is answered. `NO_SESSION` where there is no place for
    /// it: the client then names everything in its next request, too. Ids are drawn by `random`, so that
    /// no client goes on with a session from before a restart.
    pub fn begin(
        &self,
        now: Instant,
        uses_topic_ids: bool,
        answered: &[(Wanted, PartitionData)],
        random: impl FnMut() -> u64,
    ) -> i32 {
        let mut state = self.state.borrow_mut();
        let size_bytes = Session::size_bytes_of(answered.iter().map(|(wanted, _)| wanted));
        if !self.make_room(&mut state, now, answered.len(), size_bytes) {
            return NO_SESSION;
        }
        let mut session = Session::new(now, uses_topic_ids);
        for (wanted, data) in answered {
            session.want(wanted.clone());
            session.tell(&wanted.partition_ref(), data);
        }
        let id = self.unused_id(&state, random);
        state.put_in(id, &session);
        state.sessions.insert(id, Rc::new(RefCell::new(session)));
        id
    }

    /// Goes on with the session `id`: `wanted` is read from now on, and `forgotten` is not. Errors, with
    /// which nothing has changed: those that KIP-227 and KIP-516 name. Where the session's new partitions
    /// find no memory it ends, and is told not to be there.
    pub fn go_on(
        &self,
        now: Instant,
        (id, epoch): (i32, i32),
        uses_topic_ids: bool,
        wanted: &[Wanted],
        forgotten: &[PartitionRef],
    ) -> Result<Continues, ErrorCode> {
        let mut state = self.state.borrow_mut();
        let session = state.sessions.get(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?.clone();
        let mut known = session.borrow_mut();
        if known.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if known.uses_topic_ids != uses_topic_ids {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        state.take_out(id, &known);
        wanted.iter().for_each(|wanted| known.want(wanted.clone()));
        forgotten.iter().for_each(|partition| known.forget(partition));
        if known.partition_count() == 0 {
            state.sessions.remove(&id);
            return Ok(Continues::Ended);
        }
        if state.size_bytes + known.size_bytes() > self.size_bytes_max {
            state.sessions.remove(&id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        known.epoch = next_epoch(epoch);
        known.last_used = now;
        state.put_in(id, &known);
        let epoch = known.epoch;
        drop(known);
        Ok(Continues::With(Continued { id, epoch, session }))
    }

    /// Ends the session `id`, if there is one.
    pub fn end(&self, id: i32) {
        self.state.borrow_mut().end(id);
    }

    fn make_room(
        &self,
        state: &mut State,
        now: Instant,
        partition_count: usize,
        size_bytes: usize,
    ) -> bool {
        while state.sessions.len() >= self.slot_count
            || state.size_bytes + size_bytes > self.size_bytes_max
        {
            let Some(id) = state.least_valuable(now, partition_count) else { return false };
            state.end(id);
        }
        true
    }

    fn unused_id(&self, state: &State, mut random: impl FnMut() -> u64) -> i32 {
        let count = u64::from(self.ids.end.abs_diff(self.ids.start));
        loop {
            // Below `count`, which an i32 holds.
            let id = self.ids.start + (random() % count) as i32;
            if !state.sessions.contains_key(&id) {
                return id;
            }
        }
    }
}

impl State {
    /// The session that goes for one of `partition_count` partitions, if one does.
    fn least_valuable(&self, now: Instant, partition_count: usize) -> Option<i32> {
        let &(last_used, oldest) = self.by_last_use.first()?;
        if now - last_used > EVICTION_AFTER {
            return Some(oldest);
        }
        let &(smallest_count, smallest) = self.by_partition_count.first()?;
        (partition_count > smallest_count).then_some(smallest)
    }

    fn end(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.take_out(id, &session.borrow());
        }
    }

    /// Counts the session no more, until it is put in again.
    fn take_out(&mut self, id: i32, session: &Session) {
        self.by_last_use.remove(&(session.last_used, id));
        self.by_partition_count.remove(&(session.partition_count(), id));
        self.size_bytes -= session.size_bytes();
    }

    fn put_in(&mut self, id: i32, session: &Session) {
        self.by_last_use.insert((session.last_used, id));
        if session.last_used - session.created > EVICTION_AFTER {
            self.by_partition_count.insert((session.partition_count(), id));
        }
        self.size_bytes += session.size_bytes();
    }
}

/// How many ids each core has.
fn id_count(core_count: usize) -> i32 {
    i32::try_from(i32::MAX as usize / core_count).expect("a part of an i32")
}

#[cfg(test)]
mod tests {
    use super::super::wanted::TopicRef;
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn wanted(partition: i32) -> Wanted {
        Wanted {
            topic: TopicRef::Name("orders".into()),
            partition,
            fetch_offset: 0,
            size_bytes_max: 100,
            current_leader_epoch: -1,
            last_fetched_epoch: -1,
        }
    }

    fn answered(partition_count: i32) -> Vec<(Wanted, PartitionData)> {
        (0..partition_count).map(|index| (wanted(index), PartitionData::default())).collect()
    }

    /// A core of two, its sessions numbered one by one, and the seconds that have passed.
    struct Clients {
        sessions: FetchSessions,
        next: u64,
    }

    impl Clients {
        fn new(slot_count: usize, size_bytes_max: usize) -> Self {
            let sessions = FetchSessions::new(CoreIndex(1), 2, slot_count, size_bytes_max);
            Clients { sessions, next: 0 }
        }

        fn begin(&mut self, second: u64, partition_count: i32) -> i32 {
            self.next += 1;
            let next = self.next;
            let answered = answered(partition_count);
            self.sessions.begin(Instant(second * SECOND), false, &answered, || next)
        }

        fn go_on(&self, second: u64, session: (i32, i32)) -> Result<i32, ErrorCode> {
            let now = Instant(second * SECOND);
            match self.sessions.go_on(now, session, false, &[], &[])? {
                Continues::With(continued) => Ok(continued.epoch),
                Continues::Ended => Ok(NO_SESSION),
            }
        }
    }

    #[test]
    fn an_id_says_which_core_has_the_session() {
        for core_count in [1, 2, 3, 64] {
            for core in (0..core_count).map(CoreIndex) {
                let FetchSessions { ids, .. } = FetchSessions::new(core, core_count, 1, 1);
                for id in [ids.start, ids.end - 1] {
                    assert_eq!(FetchSessions::owner(id, core_count), Some(core), "{id}");
                }
            }
            assert_eq!(FetchSessions::owner(NO_SESSION, core_count), None);
            assert_eq!(FetchSessions::owner(i32::MIN, core_count), None);
        }
        assert_eq!(FetchSessions::owner(i32::MAX, 2), None, "no core has it");
        let slots = |core| FetchSessions::new(CoreIndex(core), 3, 4, 1).slot_count;
        assert_eq!([slots(0), slots(1), slots(2)], [2, 1, 1]);
    }

    #[test]
    fn a_session_goes_on_with_its_epoch_alone() {
        let mut clients = Clients::new(10, 1 << 20);
        let id = clients.begin(0, 2);
        assert_eq!(clients.go_on(1, (id, 1)), Ok(2));
        assert_eq!(clients.go_on(1, (id, 1)), Err(ErrorCode::InvalidFetchSessionEpoch));
        assert_eq!(clients.go_on(1, (id, 2)), Ok(3));
        assert_eq!(clients.go_on(1, (id + 1, 3)), Err(ErrorCode::FetchSessionIdNotFound));
        let by_id = clients.sessions.go_on(Instant(0), (id, 3), true, &[], &[]);
        assert_eq!(by_id.err(), Some(ErrorCode::FetchSessionTopicIdError));
        let forgotten = [wanted(0).partition_ref(), wanted(1).partition_ref()];
        let ended = clients.sessions.go_on(Instant(0), (id, 3), false, &[], &forgotten);
        assert!(matches!(ended, Ok(Continues::Ended)));
        assert_eq!(clients.go_on(1, (id, 4)), Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(clients.sessions.in_use(), 0);
    }

    #[test]
    fn who_comes_takes_the_place_of_who_is_idle_or_old_and_smaller() {
        // Two places for this core. What came first, what came then and until when it was in use; who
        // comes at second 1,000 gets a place, and whose.
        for (first, then, partition_count, want) in [
            ((5, 0, 1_000), (5, 0, 1_000), 5, "nobody's"), // all are as large
            ((5, 0, 1_000), (4, 0, 1_000), 5, "then's"),   // the smaller one goes
            ((5, 950, 1_000), (5, 950, 1_000), 9, "nobody's"), // they are too young to go
            ((9, 0, 870), (1, 0, 1_000), 1, "first's"),    // not in use for 130 seconds
            ((9, 0, 990), (1, 0, 990), 1, "nobody's"),
        ] {
            let mut clients = Clients::new(4, 1 << 20);
            let ids = [first, then].map(|(count, began, _)| clients.begin(began, count));
            for ((_, _, used), id) in [first, then].into_iter().zip(ids) {
                assert_eq!(clients.go_on(used, (id, 1)), Ok(2));
            }
            let id = clients.begin(1_000, partition_count);
            let is_gone = ids.map(|id| clients.sessions.partition_count(id) == 0);
            let got = match (id, is_gone) {
                (NO_SESSION, [false, false]) => "nobody's",
                (1.., [true, false]) => "first's",
                (1.., [false, true]) => "then's",
                _ => "wrong",
            };
            assert_eq!(got, want, "{first:?} {then:?} {partition_count}");
        }
    }

    #[test]
    fn sessions_take_no_more_memory_than_they_may() {
        let one = Session::size_bytes_of([wanted(0)].iter());
        let mut clients = Clients::new(100, 3 * one);
        assert_eq!(clients.begin(0, 4), NO_SESSION, "more than all there is");
        let ids = [clients.begin(0, 1), clients.begin(0, 1)];
        assert_eq!(clients.begin(0, 2), NO_SESSION);
        let grown = (ids[0], 1);
        let more: Vec<Wanted> = (1..4).map(wanted).collect();
        let refused = clients.sessions.go_on(Instant(0), grown, false, &more, &[]);
        assert_eq!(refused.err(), Some(ErrorCode::FetchSessionIdNotFound));
        assert_eq!((clients.sessions.partition_count(ids[0]), clients.sessions.in_use()), (0, one));
        assert_ne!(clients.begin(0, 1), NO_SESSION);
        clients.sessions.end(ids[1]);
        clients.sessions.end(ids[1]);
        assert_eq!(clients.sessions.in_use(), one);
        let mut without = Clients::new(0, 1 << 20);
        assert_eq!(without.begin(0, 1), NO_SESSION);
    }
}
