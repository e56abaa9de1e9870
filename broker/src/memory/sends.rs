//! Answers that wait for their readers, and since when.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

use reactor::Instant;
use reactor::net::TcpStream;

use super::requests::Patience;

/// A reader of records that has taken nothing for so long loses its connection when its memory is wanted
/// by others. Clients connect again and go on where they were; a consumer that is busy with its records
/// for longer does not notice before it asks for more.
const RECORDS_STUCK_AFTER: Duration = Duration::from_secs(10);

/// The same of an answer that a client waits for: it reads at once, or it is none. Those who wait for its
/// memory are producers, too.
const ANSWER_STUCK_AFTER: Duration = Duration::from_secs(1);

/// The sends of one core that wait until their readers take more.
#[derive(Default)]
pub struct Sends {
    under_way: RefCell<BTreeMap<u64, UnderWay>>,
    next_id: Cell<u64>,
}

struct UnderWay {
    stream: Weak<TcpStream>,
    kept: Kept,
    began: Instant,
}

/// Whose memory a send keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Of requests that do not wait for records.
    pub prompt: bool,
    /// Of those that may, or of records.
    pub may_park: bool,
}

/// One send that waits, until it is dropped.
pub struct Sending<'a> {
    sends: &'a Sends,
    id: u64,
}

impl Sends {
    pub fn begin(&self, stream: &Rc<TcpStream>, kept: Kept) -> Sending<'_> {
        let id = self.next_id.get();
        self.next_id.set(id + 1);
        let under_way = UnderWay { stream: Rc::downgrade(stream), kept, began: reactor::now() };
        self.under_way.borrow_mut().insert(id, under_way);
        Sending { sends: self, id }
    }

    /// Ends the connections that keep the memory of requests with `patience` and whose readers have long
    /// taken nothing; says how many.
    pub fn end_stuck(&self, patience: Patience) -> usize {
        let now = reactor::now();
        let is_stuck = |send: &&UnderWay| match patience {
            Patience::Prompt => send.kept.prompt && now - send.began >= ANSWER_STUCK_AFTER,
            Patience::MayPark => send.kept.may_park && now - send.began >= RECORDS_STUCK_AFTER,
        };
        let stuck: Vec<Rc<TcpStream>> = self
            .under_way
            .borrow()
            .values()
            .filter(is_stuck)
            .filter_map(|send| send.stream.upgrade())
            .collect();
        for stream in &stuck {
            tracing::warn!(
                peer = %stream.peer_address(),
                "connection closed: its reader takes nothing and others wait for the memory"
            );
            stream.shutdown();
        }
        stuck.len()
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.sends.under_way.borrow_mut().remove(&self.id);
    }
}
