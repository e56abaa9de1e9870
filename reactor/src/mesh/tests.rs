use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use futures_lite::future::{block_on, or, zip};

use super::bell::Bell;
use super::port::Bound;
use super::*;
use crate::core::CoreIndex;

/// A bell without a world, which counts its rings.
#[derive(Clone, Default)]
pub(super) struct PlainBell(Arc<Plain>);

#[derive(Default)]
struct Plain {
    state: Mutex<(bool, Option<Waker>)>,
    rings: AtomicUsize,
}

impl PlainBell {
    pub(super) async fn wait(&self) {
        std::future::poll_fn(|cx| {
            let (rung, waiter) = &mut *self.0.state.lock().expect("no panic under the lock");
            if std::mem::take(rung) {
                return Poll::Ready(());
            }
            *waiter = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    pub(super) fn ring(&self) {
        self.0.rings.fetch_add(1, Ordering::Relaxed);
        let mut state = self.0.state.lock().expect("no panic under the lock");
        state.0 = true;
        if let Some(waiter) = state.1.take() {
            waiter.wake();
        }
    }

    fn rings(&self) -> usize {
        self.0.rings.load(Ordering::Relaxed)
    }
}

type Message = &'static str;

/// Binds all cores of a mesh on this thread; tests call `look` where a driver would.
fn bind_all<M, R>(cores: usize, credits: usize) -> Vec<Bound<M, R>>
where
    M: Send + 'static,
    R: Send + 'static,
{
    let ports = connect(cores, credits);
    ports.into_iter().map(|port| port.bind(Bell::Plain(PlainBell::default()))).collect()
}

fn pair(credits: usize) -> (Bound<Message, u32>, Bound<Message, u32>) {
    let mut bound = bind_all(2, credits).into_iter();
    (bound.next().expect("core 0"), bound.next().expect("core 1"))
}

/// What the future gives when it is polled once.
fn poll_once<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future + Unpin>(mut future: F) -> F::Output {
    match poll_once(&mut future) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("not ready"),
    }
}

/// The next message, where one is there.
fn next(core: &mut Bound<Message, u32>) -> Option<Incoming<Message, u32>> {
    match poll_once(&mut pin!(core.inbox.next())) {
        Poll::Ready(incoming) => Some(incoming),
        Poll::Pending => None,
    }
}

fn next_message(core: &mut Bound<Message, u32>) -> Option<Message> {
    next(core).map(|incoming| incoming.message)
}

const HERE: CoreIndex = CoreIndex(0);
const THERE: CoreIndex = CoreIndex(1);

#[derive(Default)]
struct CountWakes(AtomicUsize);

impl Wake for CountWakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_request_is_answered() {
    let (asker, mut owner) = pair(1);
    let mut pending = ready(asker.mesh.request(THERE, "how many"));
    assert!(poll_once(&mut pending).is_pending());
    let incoming = next(&mut owner).expect("it has arrived");
    assert_eq!((incoming.from, incoming.message), (HERE, "how many"));
    incoming.reply.expect("a request has one").send(7);
    assert!(poll_once(&mut pending).is_pending(), "replies come with a look");
    assert!(asker.driver.look());
    assert_eq!(ready(pending), Ok(7));
}

#[test]
fn a_core_that_asks_itself_goes_through_its_inbox() {
    let (mut core, _other) = pair(1);
    let first = ready(core.mesh.request(HERE, "first"));
    let mut second = core.mesh.request(HERE, "second");
    assert!(poll_once(&mut second).is_pending(), "its lane has one place too");
    let incoming = next(&mut core).expect("it has arrived");
    incoming.reply.expect("a request has one").send(1);
    assert_eq!(ready(first), Ok(1));
    let second = ready(second);
    next(&mut core).expect("it has arrived").reply.expect("a request has one").send(2);
    assert_eq!(ready(second), Ok(2));
    core.mesh.control(HERE, "control");
    assert_eq!(next_message(&mut core), Some("control"));
    assert_eq!(next_message(&mut core), None);
}

#[test]
fn a_full_lane_is_entered_in_the_order_of_the_calls() {
    let (asker, mut owner) = pair(1);
    let first = asker.mesh.request(THERE, "first");
    let mut second = asker.mesh.request(THERE, "second");
    let mut third = asker.mesh.request(THERE, "third");
    // The order of polling is not the order of the calls.
    assert!(poll_once(&mut third).is_pending());
    assert!(poll_once(&mut second).is_pending());
    let _first = ready(first);
    for (want, place) in [("first", &mut second), ("second", &mut third)] {
        assert_eq!(next_message(&mut owner), Some(want));
        assert_eq!(next_message(&mut owner), None, "one place, one message");
        assert!(poll_once(place).is_pending(), "credits come with a look");
        asker.driver.look();
        assert!(poll_once(place).is_ready());
    }
    assert_eq!(next_message(&mut owner), Some("third"));
}

#[test]
fn a_request_that_nobody_waits_for_is_taken_back() {
    let (asker, mut owner) = pair(1);
    let _first = ready(asker.mesh.request(THERE, "first"));
    let second = asker.mesh.request(THERE, "second");
    let mut third = asker.mesh.request(THERE, "third");
    drop(second);
    assert_eq!(next_message(&mut owner), Some("first"));
    asker.driver.look();
    assert!(poll_once(&mut third).is_ready());
    assert_eq!(next_message(&mut owner), Some("third"));
}

#[test]
fn a_place_in_the_lane_wakes_who_waits_for_it() {
    let (asker, mut owner) = pair(1);
    let _first = ready(asker.mesh.request(THERE, "first"));
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    let mut second = asker.mesh.request(THERE, "second");
    for _ in 0..2 {
        let polled = Pin::new(&mut second).poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending());
    }
    next_message(&mut owner);
    asker.driver.look();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert!(poll_once(&mut second).is_ready());
}

#[test]
fn a_request_dropped_unanswered_is_abandoned() {
    let (asker, mut owner) = pair(2);
    let dropped = ready(asker.mesh.request(THERE, "dropped"));
    let answered = ready(asker.mesh.request(THERE, "answered"));
    drop(next(&mut owner));
    next(&mut owner).expect("it has arrived").reply.expect("a request has one").send(1);
    asker.driver.look();
    assert_eq!(ready(dropped), Err(Abandoned));
    assert_eq!(ready(answered), Ok(1));
}

#[test]
fn a_reply_for_a_pending_that_was_dropped_reaches_no_one_else() {
    let (asker, mut owner) = pair(2);
    drop(ready(asker.mesh.request(THERE, "given up")));
    // It gets the slot of the first, under another generation.
    let pending = ready(asker.mesh.request(THERE, "waiting"));
    for value in [1, 2] {
        next(&mut owner).expect("both were sent").reply.expect("a request has one").send(value);
    }
    asker.driver.look();
    assert_eq!(ready(pending), Ok(2));
}

#[test]
fn replies_may_be_kept_and_sent_in_any_order() {
    let (asker, mut owner) = pair(3);
    let pending = ["a", "b", "c"].map(|message| ready(asker.mesh.request(THERE, message)));
    let mut kept = Vec::new();
    while let Some(incoming) = next(&mut owner) {
        kept.push(incoming.reply.expect("a request has one"));
    }
    for (value, reply) in kept.into_iter().enumerate().rev() {
        reply.send(value as u32);
    }
    asker.driver.look();
    assert_eq!(pending.map(ready), [Ok(0), Ok(1), Ok(2)]);
}

#[test]
fn controls_pass_full_lanes_and_come_first() {
    let (asker, mut owner) = pair(1);
    let _request = ready(asker.mesh.request(THERE, "request"));
    let _waits = asker.mesh.request(THERE, "waits");
    asker.mesh.control(THERE, "control 1");
    asker.mesh.control(THERE, "control 2");
    for want in ["control 1", "control 2", "request"] {
        assert_eq!(next_message(&mut owner), Some(want));
    }
}

#[test]
fn lanes_are_served_in_turn() {
    let mut cores = bind_all::<(usize, u32), ()>(3, 4);
    let mut owner = cores.pop().expect("core 2");
    for number in 0..3 {
        for asker in &cores {
            let here = asker.mesh.here();
            drop(ready(asker.mesh.request(CoreIndex(2), (here.0, number))));
        }
    }
    let mut served = Vec::new();
    while let Poll::Ready(incoming) = poll_once(&mut pin!(owner.inbox.next())) {
        served.push(incoming.message);
    }
    assert_eq!(served, [(0, 0), (1, 0), (0, 1), (1, 1), (0, 2), (1, 2)]);
}

#[test]
fn an_inbox_with_much_in_it_lets_others_run() {
    let mut cores = bind_all::<u32, ()>(1, 1_000);
    let mut core = cores.pop().expect("core 0");
    for number in 0..1_000 {
        drop(ready(core.mesh.request(HERE, number)));
    }
    let (mut served, mut pauses) = (0, 0);
    let wakes = Arc::new(CountWakes::default());
    let waker = Waker::from(wakes.clone());
    while served < 1_000 {
        match pin!(core.inbox.next()).poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(incoming) => {
                assert_eq!(incoming.message, served);
                served += 1;
            }
            Poll::Pending => {
                pauses += 1;
                assert_eq!(wakes.0.load(Ordering::Relaxed), pauses, "it must go on by itself");
            }
        }
    }
    assert_eq!(pauses, 1_000 / 64);
}

#[test]
fn a_core_that_ends_abandons_what_was_asked_of_it() {
    let (asker, owner) = pair(1);
    let in_lane = ready(asker.mesh.request(THERE, "in the lane"));
    let mut waiting = asker.mesh.request(THERE, "waiting");
    assert!(poll_once(&mut waiting).is_pending());
    drop(owner);
    asker.driver.look();
    assert_eq!(ready(in_lane), Err(Abandoned));
    assert_eq!(ready(ready(waiting)), Err(Abandoned));
    assert_eq!(ready(ready(asker.mesh.request(THERE, "too late"))), Err(Abandoned));
    asker.mesh.control(THERE, "too late as well");
}

#[test]
fn a_core_that_never_attaches_abandons_too() {
    let mut ports = connect::<Message, u32>(2, 1).into_iter();
    let asker = ports.next().expect("core 0").bind(Bell::Plain(PlainBell::default()));
    let pending = ready(asker.mesh.request(THERE, "anyone?"));
    drop(ports);
    asker.driver.look();
    assert_eq!(ready(pending), Err(Abandoned));
}

#[test]
fn a_reply_to_a_core_that_has_ended_is_dropped() {
    let mut cores = bind_all::<(), Arc<()>>(2, 1);
    let mut owner = cores.pop().expect("core 1");
    let asker = cores.pop().expect("core 0");
    let pending = ready(asker.mesh.request(THERE, ()));
    let Poll::Ready(incoming) = poll_once(&mut pin!(owner.inbox.next())) else {
        panic!("it has arrived")
    };
    drop((asker, pending));
    let value = Arc::new(());
    incoming.reply.expect("a request has one").send(value.clone());
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn a_batch_to_a_sleeping_core_costs_one_ring() {
    let bells = [PlainBell::default(), PlainBell::default()];
    let ports = connect::<Message, u32>(2, 100);
    let mut bound =
        ports.into_iter().zip(&bells).map(|(port, bell)| port.bind(Bell::Plain(bell.clone())));
    let asker = bound.next().expect("core 0");
    let owner = bound.next().expect("core 1");
    let mut driver = pin!(owner.driver.run(owner.bell));
    let mut turn = || {
        let polled = driver.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(polled.is_pending());
    };
    // The driver turns until it parks; while it does, nothing rings.
    drop(ready(asker.mesh.request(THERE, "awake")));
    assert_eq!(bells[1].rings(), 0);
    for _ in 0..100 {
        turn();
    }
    for _ in 0..10 {
        drop(ready(asker.mesh.request(THERE, "parked")));
        asker.mesh.control(THERE, "parked");
    }
    assert_eq!(bells[1].rings(), 1);
    turn();
    drop(ready(asker.mesh.request(THERE, "awake again")));
    assert_eq!(bells[1].rings(), 1);
    assert_eq!(bells[0].rings(), 0);
}

/// Every core asks every core, itself too, through lanes that are always full. A deadlock hangs the
/// test; a lost or repeated message fails its asker or its server.
#[test]
fn threads_lose_and_repeat_nothing() {
    const CORES: usize = 4;
    const BATCH: u64 = 3;
    const REQUESTS: u64 = 400;
    let threads: Vec<_> = connect::<u64, u64>(CORES, 2)
        .into_iter()
        .map(|port| thread::spawn(move || block_on(crowd(port, CORES, BATCH, REQUESTS))))
        .collect();
    for thread in threads {
        thread.join().expect("no core failed");
    }
}

async fn crowd(port: Port<u64, u64>, cores: usize, batch: u64, requests: u64) {
    let Bound { mesh, mut inbox, driver, bell } = port.bind(Bell::Plain(PlainBell::default()));
    let total = cores as u64 * batch * requests;
    let serve = async {
        let mut kept = Vec::new();
        let mut served = 0;
        while served < total {
            // Replies are kept, as in a purgatory, for as long as there is more to take.
            let more = or(async { Some(inbox.next().await) }, async { None }).await;
            let incoming = match more {
                None if !kept.is_empty() => {
                    answer_all(&mut kept);
                    continue;
                }
                None => inbox.next().await,
                Some(incoming) => incoming,
            };
            kept.push((incoming.message, incoming.reply.expect("only requests are sent")));
            served += 1;
        }
        answer_all(&mut kept);
    };
    let ask = async {
        for number in 0..requests {
            for to in 0..cores {
                let mut pending = Vec::new();
                for nth in 0..batch {
                    let message = number * batch + nth;
                    pending.push((message, mesh.request(CoreIndex(to), message).await));
                }
                for (message, pending) in pending {
                    assert_eq!(pending.await, Ok(message + 1));
                }
            }
        }
    };
    let work = async {
        zip(serve, ask).await;
    };
    or(work, driver.run(bell)).await;
}

fn answer_all(kept: &mut Vec<(u64, Reply<u64>)>) {
    for (message, reply) in kept.drain(..) {
        reply.send(message + 1);
    }
}
