//! What a hop costs: a request to another core and its reply, while both cores are idle, half busy
//! or nearly busy. One line for each load: the time of a round trip, and the turns that a message
//! waited, which are pieces of work that the receiving core did before it took the message. On a
//! host that is itself overloaded only the turns mean something.
//!
//! ```text
//! cargo run --release -p reactor --example mesh_hop
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use reactor::mesh::{Incoming, Mesh, Port, connect};
use reactor::sync::Event;
use reactor::{CoreIndex, Settings, launch};

const HOPS: usize = 4_000;
const ASKER: CoreIndex = CoreIndex(0);
const OWNER: CoreIndex = CoreIndex(1);

/// A request leaves so long after the last, at most: long enough for idle cores to fall asleep.
const PAUSE_US_MAX: u64 = 500;

/// The load: pieces of work between which a task lets others run, as a request's handler does.
const PIECE: Duration = Duration::from_micros(20);
const PERIOD: Duration = Duration::from_millis(1);

const LOADS_PERCENT: [u32; 3] = [0, 50, 90];

/// Pieces of work that each core has done.
type Turns = Arc<[AtomicU64; 2]>;

/// What a message says: the receiver's turns when it was sent.
type Stamp = u64;

fn main() {
    println!("{:<8}{:>46}    turns waited", "", "round trip, us");
    println!(
        "{:<8}{:>10}{:>12}{:>12}{:>12}{:>8}{:>8}{:>8}",
        "busy", "p50", "p90", "p99", "max", "p50", "p99", "max"
    );
    for busy_percent in LOADS_PERCENT {
        let turns = Turns::default();
        let seeds = connect(2, 64).into_iter().map(|port| (port, turns.clone())).collect();
        let started = launch(Settings::default(), seeds, move |_, (port, turns)| {
            measured_core(port, turns, busy_percent)
        });
        match started {
            Ok(cores) => cores.join(),
            Err(error) => return eprintln!("mesh_hop: {error}"),
        }
    }
}

async fn measured_core(port: Port<Stamp, (Stamp, u64)>, turns: Turns, busy_percent: u32) {
    let (mesh, mut inbox) = port.attach();
    let over = Event::new();
    let work = reactor::spawn(work(mesh.here(), turns.clone(), busy_percent, over.clone()));
    if mesh.here() == ASKER {
        let mut measured = measure(&mesh, &turns).await;
        measured.print(busy_percent);
        mesh.control(OWNER, 0);
    } else {
        while let Incoming { message, reply: Some(reply), .. } = inbox.next().await {
            let waited = now(&turns, OWNER) - message;
            reply.send((now(&turns, ASKER), waited));
        }
    }
    over.set();
    work.await;
}

#[derive(Default)]
struct Measured {
    hops: Vec<Duration>,
    /// Of requests and of replies.
    turns: Vec<u64>,
}

async fn measure(mesh: &Mesh<Stamp, (Stamp, u64)>, turns: &Turns) -> Measured {
    let mut measured = Measured::default();
    for _ in 0..HOPS {
        reactor::sleep(Duration::from_micros(reactor::random::u64() % PAUSE_US_MAX)).await;
        let start = reactor::now();
        let reply = mesh.request(OWNER, now(turns, OWNER)).await;
        let (stamp, waited) = reply.await.expect("the owner answers");
        measured.hops.push(reactor::now() - start);
        measured.turns.extend([waited, now(turns, ASKER) - stamp]);
    }
    measured
}

impl Measured {
    fn print(&mut self, busy_percent: u32) {
        self.hops.sort_unstable();
        self.turns.sort_unstable();
        let hops = [0.5, 0.9, 0.99, 1.0].map(|share| at(&self.hops, share).as_nanos() as f64 / 1e3);
        let turns = [0.5, 0.99, 1.0].map(|share| at(&self.turns, share));
        print!("{:<8}", format!("{busy_percent} %"));
        println!(
            "{:>10.1}{:>12.1}{:>12.1}{:>12.1}{:>8}{:>8}{:>8}",
            hops[0], hops[1], hops[2], hops[3], turns[0], turns[1], turns[2]
        );
    }
}

fn at<T: Copy>(sorted: &[T], share: f64) -> T {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

fn now(turns: &Turns, core: CoreIndex) -> u64 {
    turns[core.0].load(Ordering::Relaxed)
}

/// Keeps this core busy for `busy_percent` of the time, until it is over.
async fn work(here: CoreIndex, turns: Turns, busy_percent: u32, over: Event) {
    while !over.is_set() {
        let start = reactor::now();
        while reactor::now() - start < PERIOD * busy_percent / 100 {
            let piece = reactor::now();
            while reactor::now() - piece < PIECE {
                std::hint::spin_loop();
            }
            turns[here.0].fetch_add(1, Ordering::Relaxed);
            reactor::yield_now().await;
        }
        reactor::sleep_until(start + PERIOD).await;
    }
}
