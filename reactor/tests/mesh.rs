//! The mesh between cores, the same code in the real world and in the simulated one.

use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use reactor::mesh::{Abandoned, Inbox, Incoming, Mesh, Port, Reply, connect};
use reactor::sim::{Crash, Knobs, Simulation};
use reactor::task::Group;
use reactor::{CoreIndex, Settings, launch};

/// Long enough for the slowest machine; a mesh that is stuck fails the test, it does not hang it.
const STUCK: Duration = Duration::from_secs(120);

/// Fetches that every core has parked, together, while it takes everything else through one credit.
const FETCHES: u64 = 1_000;
const PRODUCES_PER_LANE: u64 = 100;

enum Message {
    /// A long poll: answered once the owner's end is `end`.
    Fetch { end: u64 },
    /// With acks=all: answered once another core has the record too.
    Produce,
    /// Control, leader to follower: there is more to have.
    Appended { end: u64 },
    /// Control, follower to leader: it has everything below `end`.
    Replicated { end: u64 },
    /// Control: the sender has had all its answers.
    Done,
}

/// What one core owns. Whatever waits here is data: no task of the owner waits for it.
struct Owner {
    mesh: Mesh<Message, u64>,
    end: u64,
    fetches: Vec<Reply<u64>>,
    produces: Vec<(u64, Reply<u64>)>,
    done: usize,
}

impl Owner {
    async fn serve(mut self, mut inbox: Inbox<Message, u64>) {
        while self.done < self.mesh.core_count() {
            let incoming = inbox.next().await;
            self.take(incoming);
        }
        assert!(self.fetches.is_empty() && self.produces.is_empty(), "all were answered");
    }

    fn take(&mut self, incoming: Incoming<Message, u64>) {
        let cores = self.mesh.core_count();
        match (incoming.message, incoming.reply) {
            (Message::Fetch { end }, Some(reply)) => {
                assert_eq!(
                    end,
                    records_per_owner(cores),
                    "no fetch can be answered before the last"
                );
                self.fetches.push(reply);
            }
            (Message::Produce, Some(reply)) => {
                self.end += 1;
                self.produces.push((self.end, reply));
                let follower = CoreIndex((self.mesh.here().0 + 1) % cores);
                self.mesh.control(follower, Message::Appended { end: self.end });
            }
            (Message::Appended { end }, None) => {
                self.mesh.control(incoming.from, Message::Replicated { end });
            }
            (Message::Replicated { end }, None) => self.replicated(end),
            (Message::Done, None) => self.done += 1,
            (Message::Fetch { .. } | Message::Produce, None) => panic!("a request wants a reply"),
            (_, Some(_)) => panic!("a control has no reply"),
        }
    }

    fn replicated(&mut self, replicated: u64) {
        while self.produces.first().is_some_and(|(end, _)| *end <= replicated) {
            let (end, reply) = self.produces.remove(0);
            reply.send(end);
        }
        if replicated == records_per_owner(self.mesh.core_count()) {
            assert_eq!(self.fetches.len() as u64, FETCHES, "all were parked at once");
            for reply in self.fetches.drain(..) {
                reply.send(replicated);
            }
        }
    }
}

fn records_per_owner(cores: usize) -> u64 {
    cores as u64 * PRODUCES_PER_LANE
}

/// A core that owns something and asks all cores, itself too, from a task for each request.
async fn crowded_core(port: Port<Message, u64>) {
    let (mesh, inbox) = port.attach();
    let cores = mesh.core_count();
    let produces = Vec::new();
    let owner = Owner { mesh: mesh.clone(), end: 0, fetches: Vec::new(), produces, done: 0 };
    let owner = reactor::spawn(owner.serve(inbox));
    let asking = Group::new();
    for to in (0..cores).map(CoreIndex) {
        let end = records_per_owner(cores);
        for _ in 0..FETCHES / cores as u64 {
            let enqueue = mesh.request(to, Message::Fetch { end });
            asking.spawn(async move { assert_eq!(enqueue.await.await, Ok(end)) });
        }
        for _ in 0..PRODUCES_PER_LANE {
            let enqueue = mesh.request(to, Message::Produce);
            asking.spawn(async move { assert!(enqueue.await.await.is_ok_and(|at| at <= end)) });
        }
    }
    let finish = async {
        asking.ended().await;
        for to in (0..cores).map(CoreIndex) {
            mesh.control(to, Message::Done);
        }
        owner.await;
    };
    assert!(reactor::timeout(STUCK, finish).await.is_ok(), "core {} is stuck", mesh.here());
}

#[test]
fn one_credit_with_parked_fetches_makes_progress_on_real_cores() {
    for cores in [2, 4] {
        let running = launch(Settings::default(), connect(cores, 1), |_, port| crowded_core(port));
        running.expect("the cores start").join();
    }
}

#[test]
fn one_credit_with_parked_fetches_makes_progress_in_the_simulator() {
    for (seed, cores) in [(1, 2), (2, 4), (3, 4)] {
        let simulation = Simulation::new(seed, Knobs::hostile(seed));
        let node = simulation.add_node("a", Ipv4Addr::new(10, 0, 0, 1).into());
        simulation.start(node, connect(cores, 1), |_, port| crowded_core(port));
        let ended = simulation.run_until(|| !simulation.is_running(node), STUCK);
        assert!(ended, "seed {seed}: stuck");
    }
}

#[test]
fn a_node_that_crashes_takes_its_mesh_with_it() {
    for seed in 1..=5 {
        let simulation = Simulation::new(seed, Knobs::hostile(seed));
        let node = simulation.add_node("a", Ipv4Addr::new(10, 0, 0, 1).into());
        simulation.start(node, connect(3, 1), |_, port| crowded_core(port));
        // In the midst of it: requests wait for credits, replies and controls are on their way.
        let mut steps = 0;
        let is_midst = || {
            steps += 1;
            steps == seed * 500
        };
        assert!(simulation.run_until(is_midst, STUCK), "seed {seed}: crashed too late to matter");
        assert!(simulation.is_running(node), "seed {seed}: crashed too late to matter");
        simulation.crash(node, Crash::Kill);
        simulation.start(node, connect(2, 1), |_, port| crowded_core(port));
        let ended = simulation.run_until(|| !simulation.is_running(node), STUCK);
        assert!(ended, "seed {seed}: stuck");
    }
}

/// Two real cores: the first runs `ask`, the second answers every number with its successor until the
/// first is gone.
fn with_an_echo<Fut>(ask: impl FnOnce(Mesh<u64, u64>) -> Fut + Send + Clone + 'static)
where
    Fut: Future<Output = ()> + 'static,
{
    let running = launch(Settings::default(), connect(2, 4), move |_, port: Port<u64, u64>| {
        let ask = ask.clone();
        async move {
            let (mesh, mut inbox) = port.attach();
            if mesh.here() == CoreIndex(0) {
                ask(mesh.clone()).await;
                mesh.control(CoreIndex(1), 0);
                return;
            }
            while let Incoming { message, reply: Some(reply), .. } = inbox.next().await {
                reply.send(message + 1);
            }
        }
    });
    running.expect("the cores start").join();
}

#[test]
fn a_parked_core_wakes_for_a_request_and_for_a_reply() {
    with_an_echo(|mesh| async move {
        for number in 0..200 {
            // Both cores have time to park.
            reactor::sleep(Duration::from_millis(1)).await;
            let reply = mesh.request(CoreIndex(1), number).await;
            assert_eq!(reactor::timeout(STUCK, reply).await.expect("woken"), Ok(number + 1));
        }
    });
}

#[test]
fn a_task_that_never_waits_sees_replies_through_poll() {
    with_an_echo(|mesh| async move {
        for number in 0..200 {
            let mut pending = pin!(mesh.request(CoreIndex(1), number).await);
            let start = reactor::now();
            loop {
                reactor::poll();
                let polled = pending.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if let Poll::Ready(reply) = polled {
                    assert_eq!(reply, Ok(number + 1));
                    break;
                }
                assert!(reactor::now() - start < STUCK, "poll does not drain the mesh");
            }
        }
    });
}

#[test]
fn a_core_that_ends_abandons_what_others_ask() {
    let running = launch(Settings::default(), connect::<u64, u64>(2, 1), |core, port| async move {
        let (mesh, inbox) = port.attach();
        if core == CoreIndex(1) {
            return;
        }
        for number in 0..10 {
            assert_eq!(mesh.request(CoreIndex(1), number).await.await, Err(Abandoned));
        }
        drop(inbox);
    });
    running.expect("the cores start").join();
}
