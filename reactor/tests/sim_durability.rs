//! A small log server under everything that the simulator can do to it: what it acknowledged is there
//! after any fault, and a server that forgets a flush is found out.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};
use reactor::net::{TcpListener, TcpStream};
use reactor::sim::{Crash, DiskFaults, Knobs, NodeId, Random, Simulation};
use reactor::sync::Budget;
use reactor::task::Group;
use reactor::{directory, sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));
const PORT: u16 = 9092;

/// What a planted mistake leaves out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Forgets {
    Nothing,
    FileFlush,
    DirectoryFlush,
}

/// An entry is a block that holds its own index everywhere.
fn entry(index: u64) -> Bytes {
    let mut block = AlignedBuffer::zeroed(ALIGNMENT);
    for word in block.chunks_mut(8) {
        word.copy_from_slice(&(index + 1).to_le_bytes());
    }
    block.into_bytes()
}

struct Log {
    file: File,
    next_index: RefCell<u64>,
    turn: Budget,
    forgets: Forgets,
}

impl Log {
    /// Opens the log and finds its end: the first block that is not whole.
    async fn open(forgets: Forgets) -> io::Result<Self> {
        let file = File::open(Path::new("/log"), Open::OrCreate).await?;
        if forgets != Forgets::DirectoryFlush {
            directory::sync(Path::new("/")).await?;
        }
        let mut next_index = 0;
        while holds(&file, next_index).await? {
            next_index += 1;
        }
        // The end may have been read from what a killed process had not flushed.
        file.flush().await?;
        let next_index = RefCell::new(next_index);
        Ok(Log { file, next_index, turn: Budget::new(1), forgets })
    }

    async fn append(&self) -> io::Result<u64> {
        let _turn = self.turn.take(1).await;
        let index = *self.next_index.borrow();
        self.file.write_at(entry(index), index * ALIGNMENT as u64).await?;
        if self.forgets != Forgets::FileFlush {
            self.file.flush().await?;
        }
        *self.next_index.borrow_mut() += 1;
        Ok(index)
    }
}

async fn holds(file: &File, index: u64) -> io::Result<bool> {
    let start = index * ALIGNMENT as u64;
    Ok(file.read_range(start..start + ALIGNMENT as u64).await? == entry(index))
}

async fn serve(forgets: Forgets) {
    let Ok(log) = Log::open(forgets).await else { return };
    let log = Rc::new(log);
    let listener = TcpListener::bind(SocketAddr::new(SERVER, PORT), 16).expect("a free port");
    let connections = Group::new();
    while let Ok(accepted) = listener.accept().await {
        let Ok(stream) = accepted.into_stream() else { continue };
        let log = log.clone();
        connections.spawn(async move {
            while matches!(stream.read(&mut [0; 1]).await, Ok(1)) {
                let Ok(index) = log.append().await else { return };
                let answer = Bytes::copy_from_slice(&index.to_le_bytes());
                if stream.write_all(&[answer]).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// What the clients were told.
#[derive(Default)]
struct Acknowledged {
    indexes: BTreeSet<u64>,
    /// Acknowledged although another append had it already.
    twice: Vec<u64>,
}

/// Appends over one connection after the other, and notes what was acknowledged.
async fn append_for_ever(acknowledged: Rc<RefCell<Acknowledged>>) {
    loop {
        // Any error ends the connection, and the next one begins.
        let _ = timeout(SECOND * 3, append_until_error(&acknowledged)).await;
        sleep(Duration::from_millis(50)).await;
    }
}

async fn append_until_error(acknowledged: &RefCell<Acknowledged>) -> io::Result<()> {
    let stream = TcpStream::connect(SocketAddr::new(SERVER, PORT)).await?;
    loop {
        stream.write_all(&[Bytes::from_static(b"+")]).await?;
        let (mut answer, mut filled) = ([0; 8], 0);
        while filled < answer.len() {
            match stream.read(&mut answer[filled..]).await? {
                0 => return Ok(()),
                read => filled += read,
            }
        }
        let index = u64::from_le_bytes(answer);
        let mut acknowledged = acknowledged.borrow_mut();
        if !acknowledged.indexes.insert(index) {
            acknowledged.twice.push(index);
        }
    }
}

/// One fault, drawn at random, and some time under it.
fn harm(simulation: &Simulation, random: &mut Random, server: NodeId, client: NodeId) {
    match random.below(8) {
        0 => simulation.crash(server, Crash::Kill),
        1 | 2 => simulation.crash(server, Crash::PowerLoss),
        3 => simulation.partition(server, client),
        4 => simulation.partition_one_way(server, client),
        5 => simulation.break_connections(server, client),
        6 => simulation.pause(server),
        _ => {
            let faults = DiskFaults { is_stalled: true, ..DiskFaults::default() };
            simulation.set_disk_faults(server, Path::new("/"), faults).expect("a disk");
        }
    }
    simulation.run_for(Duration::from_millis(random.below(3_000)));
}

fn mend(simulation: &Simulation, server: NodeId) {
    simulation.heal();
    simulation.resume(server);
    simulation.set_disk_faults(server, Path::new("/"), DiskFaults::default()).expect("a disk");
}

struct Outcome {
    /// How many entries were acknowledged.
    count: usize,
    /// Acknowledged and not there in the end, or in place of another.
    lost: Vec<u64>,
    trace_hash: u64,
}

fn run(seed: u64, forgets: Forgets) -> Outcome {
    let simulation = Simulation::new(seed, Knobs::hostile(seed));
    let server = simulation.add_node("server", SERVER);
    let client = simulation.add_node("client", CLIENT);
    let acknowledged = Rc::<RefCell<Acknowledged>>::default();
    let clients: Vec<_> = (0..3)
        .map(|_| simulation.spawn_client(client, append_for_ever(acknowledged.clone())))
        .collect();
    let mut random = simulation.random("faults");
    for _ in 0..6 {
        if !simulation.is_running(server) {
            simulation.start(server, vec![forgets], |_, forgets| serve(forgets));
        }
        simulation.run_for(Duration::from_millis(random.below(4_000)));
        harm(&simulation, &mut random, server, client);
        mend(&simulation, server);
    }
    drop(clients);
    simulation.crash(server, Crash::PowerLoss);
    let indexes = acknowledged.borrow().indexes.clone();
    let lost = simulation.block_on(server, SECOND * 3_600, async move {
        let file = File::open(Path::new("/log"), Open::OrCreate).await.expect("a log");
        let mut lost = Vec::new();
        for index in indexes {
            if !holds(&file, index).await.expect("readable") {
                lost.push(index);
            }
        }
        lost
    });
    let acknowledged = acknowledged.take();
    Outcome {
        count: acknowledged.indexes.len(),
        lost: [lost.expect("in time"), acknowledged.twice].concat(),
        trace_hash: simulation.trace_hash(),
    }
}

#[test]
fn what_was_acknowledged_is_there_whatever_happened() {
    let mut count = 0;
    for seed in 0..40 {
        let outcome = run(seed, Forgets::Nothing);
        assert!(outcome.lost.is_empty(), "seed {seed}: {:?}", outcome.lost);
        count += outcome.count;
    }
    assert!(count > 2_000, "a run that acknowledges {count} entries tests nothing");
}

#[test]
fn a_forgotten_flush_is_found_out() {
    for forgets in [Forgets::FileFlush, Forgets::DirectoryFlush] {
        let found = (0..50).find(|seed| !run(*seed, forgets).lost.is_empty());
        assert!(found.is_some(), "{forgets:?} went unnoticed");
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for seed in 0..5 {
        let hashes = [0, 1].map(|_| run(seed, Forgets::Nothing).trace_hash);
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}
