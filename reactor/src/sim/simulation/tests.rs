use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use bytes::Bytes;

use super::*;
use crate::buffer::{ALIGNMENT, AlignedBuffer};
use crate::file::{File, Open};
use crate::net::{TcpListener, TcpStream};
use crate::sync::{Event, Queue};
use crate::{directory, sleep, spawn, timeout, yield_now};

const SECOND: Duration = Duration::from_secs(1);

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn one_node(seed: u64) -> (Simulation, NodeId) {
    let simulation = Simulation::new(seed, Knobs::default());
    let node = simulation.add_node("a", ip(1));
    (simulation, node)
}

fn path(path: &str) -> PathBuf {
    PathBuf::from(path)
}

fn block(fill: u8) -> Bytes {
    let mut buffer = AlignedBuffer::zeroed(ALIGNMENT);
    buffer.fill(fill);
    buffer.into_bytes()
}

#[test]
fn time_passes_only_when_nothing_is_ready() {
    let (simulation, node) = one_node(1);
    let slept = simulation.block_on(node, Duration::from_secs(7200), async {
        let start = crate::now();
        let mut turns = 0;
        let busy = spawn(async {
            for _ in 0..1_000 {
                yield_now().await;
            }
            crate::now()
        });
        assert_eq!(busy.await - start, Duration::ZERO);
        while crate::now() - start < Duration::from_secs(3600) {
            sleep(SECOND).await;
            turns += 1;
        }
        turns
    });
    assert!(matches!(slept, Ok(3599..=3600)), "{slept:?}");
    assert!(simulation.now() >= Instant(3_600_000_000_000));
}

#[test]
fn a_world_leaves_nothing_behind() {
    let (simulation, node) = one_node(1);
    let address = SocketAddr::new(ip(1), 9092);
    simulation.start(node, vec![(); 2], move |core, ()| serve(core, address));
    let _client = simulation.spawn_client(node, async move {
        let _stream = TcpStream::connect(address).await.unwrap();
        std::future::pending::<()>().await;
    });
    simulation.run_for(Duration::from_millis(100));
    let world = Rc::downgrade(&simulation.world);
    drop(simulation);
    assert!(world.upgrade().is_none());
}

#[test]
fn cores_are_counted_from_zero_whoever_came_before() {
    let (simulation, node) = one_node(1);
    simulation.block_on(node, SECOND, async {}).unwrap();
    let queue = Queue::new(4);
    simulation.start(node, vec![queue.clone(); 2], |core, queue| async move {
        queue.push(core.0).await.unwrap();
    });
    simulation.run_for(SECOND);
    let mut cores = [queue.try_pop().unwrap(), queue.try_pop().unwrap()];
    cores.sort_unstable();
    assert_eq!(cores, [0, 1]);
}

#[test]
fn a_limit_ends_a_run_that_never_ends() {
    let (simulation, node) = one_node(1);
    let never = simulation.block_on(node, SECOND, std::future::pending::<()>());
    assert_eq!(never, Err(Elapsed));
    assert_eq!(simulation.now(), Instant(1_000_000_000));
}

#[test]
fn the_order_of_ready_tasks_follows_from_the_seed() {
    let order = |seed| {
        let (simulation, node) = one_node(seed);
        let order = simulation.block_on(node, SECOND, async {
            let order = Rc::new(RefCell::new(Vec::new()));
            let group = crate::task::Group::new();
            for task in 0..10 {
                let order = order.clone();
                group.spawn(async move { order.borrow_mut().push(task) });
            }
            group.ended().await;
            order.take()
        });
        order.unwrap()
    };
    assert_eq!(order(1), order(1));
    assert_ne!(order(1), order(2));
    let mut sorted = order(3);
    sorted.sort_unstable();
    assert_eq!(sorted, (0..10).collect::<Vec<_>>());
}

#[test]
fn a_dropped_task_is_cancelled_and_its_drops_run_on_its_core() {
    struct Tells(Event);
    impl Drop for Tells {
        fn drop(&mut self) {
            crate::now();
            self.0.set();
        }
    }
    let (simulation, node) = one_node(1);
    let result = simulation.block_on(node, SECOND, async {
        let dropped = Event::new();
        let tells = Tells(dropped.clone());
        let task = spawn(async move {
            let _tells = tells;
            std::future::pending::<()>().await;
        });
        yield_now().await;
        drop(task);
        dropped.wait().await;
    });
    assert_eq!(result, Ok(()));
}

#[test]
fn a_process_ends_with_its_last_core() {
    let (simulation, node) = one_node(1);
    let queue = Queue::new(4);
    let seeds = vec![queue.clone(), queue.clone()];
    simulation.start(node, seeds, |core, queue| async move {
        // Ends with its core, though no one awaits it.
        crate::task::Group::new().spawn(std::future::pending());
        sleep(SECOND * (core.0 as u32 + 1)).await;
        queue.push(core).await.unwrap();
    });
    assert!(simulation.is_running(node));
    simulation.run_for(Duration::from_millis(1_500));
    assert_eq!(queue.try_pop(), Some(CoreIndex(0)));
    assert!(simulation.is_running(node));
    simulation.run_for(SECOND);
    assert_eq!(queue.try_pop(), Some(CoreIndex(1)));
    assert!(!simulation.is_running(node));
}

#[test]
fn a_crash_ends_every_task_at_its_await() {
    let (simulation, node) = one_node(1);
    let ticks = Rc::new(Cell::new(0));
    let run = |ticks: Rc<Cell<i32>>| {
        simulation.start(node, vec![ticks], |_, ticks| async move {
            loop {
                sleep(SECOND).await;
                ticks.set(ticks.get() + 1);
            }
        });
    };
    run(ticks.clone());
    simulation.run_for(Duration::from_millis(2_500));
    simulation.crash(node, Crash::Kill);
    assert!(!simulation.is_running(node));
    assert_eq!(Rc::strong_count(&ticks), 1, "its tasks are gone");
    simulation.run_for(SECOND * 10);
    assert_eq!(ticks.get(), 2);
    run(ticks.clone());
    simulation.run_for(Duration::from_millis(2_500));
    assert_eq!(ticks.get(), 4);
}

#[test]
fn a_paused_node_stands_still_and_goes_on() {
    let (simulation, node) = one_node(1);
    let ticks = Rc::new(Cell::new(0));
    let counted = ticks.clone();
    let _client = simulation.spawn_client(node, async move {
        loop {
            sleep(SECOND).await;
            counted.set(counted.get() + 1);
        }
    });
    simulation.pause(node);
    simulation.run_for(SECOND * 60);
    assert_eq!(ticks.get(), 0);
    simulation.resume(node);
    simulation.run_for(Duration::from_millis(3_500));
    assert_eq!(ticks.get(), 3);
}

#[test]
fn a_stalled_core_goes_on_later_and_alone() {
    let knobs = Knobs {
        core_stalled: 1.0,
        core_stall: SECOND..SECOND,
        timer_lateness_max: Duration::ZERO,
        ..Knobs::default()
    };
    let simulation = Simulation::new(1, knobs);
    let node = simulation.add_node("a", ip(1));
    let turns = || async {
        let start = crate::now();
        for _ in 0..3 {
            yield_now().await;
        }
        crate::now() - start
    };
    let clients = [turns(), turns()].map(|turns| simulation.spawn_client(node, turns));
    simulation.run_for(SECOND * 10);
    for client in clients {
        assert_eq!(client.take_result(), Some(SECOND * 3));
    }
    assert_eq!(simulation.now(), Instant(10_000_000_000));
}

#[test]
fn a_crash_can_fall_on_every_turn() {
    let mut turns = 0;
    for turn in 0.. {
        let (simulation, node) = one_node(1);
        let client = simulation.spawn_client(node, async {
            directory::write_atomic(&path("/state"), &[7; 100]).await.unwrap();
        });
        simulation.run_until(|| simulation.polls() == turn, SECOND);
        let has_ended = client.take_result().is_some();
        simulation.crash(node, Crash::PowerLoss);
        let found = simulation
            .block_on(node, SECOND, async { directory::read(&path("/state")).await })
            .unwrap();
        assert!(found.map_or(!has_ended, |contents| contents == [7; 100]), "turn {turn}");
        turns = turn;
        if has_ended {
            break;
        }
    }
    assert!(turns > 8, "{turns} turns");
}

#[test]
fn a_livelock_panics() {
    let knobs = Knobs { polls_per_instant_max: 1_000, ..Knobs::default() };
    let simulation = Simulation::new(1, knobs);
    let node = simulation.add_node("a", ip(1));
    let _client = simulation.spawn_client(node, async {
        loop {
            yield_now().await;
        }
    });
    let panic = catch_unwind(AssertUnwindSafe(|| simulation.run_for(SECOND))).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("livelock") && message.contains("a core 1000"), "{message}");
}

#[test]
fn wall_clocks_differ_by_node_and_jump() {
    let knobs = Knobs {
        wall_clock_offset_max: Duration::from_secs(60),
        wall_clock_drift_ppm_max: 500,
        ..Knobs::default()
    };
    let simulation = Simulation::new(1, knobs);
    let [first, second] = [1, 2].map(|last| simulation.add_node(&last.to_string(), ip(last)));
    let read = |node| simulation.block_on(node, SECOND, async { crate::wall_clock() }).unwrap();
    let (before, other) = (read(first), read(second));
    assert!(before != other && (before - other).abs() <= 120_000, "{before} {other}");
    simulation.jump_wall_clock(first, -3_600_000);
    assert!((read(first) - before + 3_600_000).abs() < 10);
}

#[test]
fn marks_count_the_branches_that_were_reached() {
    let (simulation, node) = one_node(1);
    mark_here();
    simulation.block_on(node, SECOND, async { (0..3).for_each(|_| mark_here()) }).unwrap();
    assert_eq!(simulation.marks(), BTreeMap::from([("a_rare_branch", 3)]));
}

fn mark_here() {
    crate::mark!(a_rare_branch);
}

#[test]
fn a_bell_is_heard_once_for_rings_that_came_before() {
    let (simulation, node) = one_node(1);
    let heard = simulation.block_on(node, SECOND * 10, async {
        let crate::environment::Environment::Sim(core) = crate::environment::current() else {
            unreachable!("a simulated core runs it");
        };
        let bell = super::super::bell::Bell::new(&core);
        let ringer = bell.ringer();
        let ringing = spawn(async move {
            for _ in 0..3 {
                ringer.ring();
                ringer.clone().ring();
                sleep(SECOND).await;
            }
        });
        let mut heard = 0;
        while timeout(SECOND * 2, bell.wait()).await.is_ok() {
            heard += 1;
        }
        ringing.await;
        heard
    });
    // Two rings of one moment are heard once, or twice where the second comes later.
    assert!(matches!(heard, Ok(3..=6)), "{heard:?}");
}

/// Nodes that write, flush, send and crash: something of everything.
fn busy_world(seed: u64) -> (u64, Counters) {
    let simulation = Simulation::new(seed, Knobs::hostile(seed));
    let server = simulation.add_node("server", ip(1));
    let client = simulation.add_node("client", ip(2));
    let address = SocketAddr::new(ip(1), 9092);
    for round in 0..4 {
        simulation.start(server, vec![(); 2], move |core, ()| serve(core, address));
        let requests = simulation.spawn_client(client, async move {
            for number in 0..50u8 {
                let _ = timeout(SECOND, request(address, number)).await;
                sleep(Duration::from_millis(20)).await;
            }
        });
        simulation.run_for(Duration::from_millis(700));
        if round == 1 {
            simulation.partition(server, client);
            simulation.run_for(SECOND);
            simulation.heal();
        }
        simulation.run_for(Duration::from_millis(300));
        simulation.crash(server, if round % 2 == 0 { Crash::PowerLoss } else { Crash::Kill });
        drop(requests);
    }
    (simulation.trace_hash(), simulation.counters())
}

async fn serve(core: CoreIndex, address: SocketAddr) {
    if core.0 == 1 {
        loop {
            directory::write_atomic(&path("/state"), &[7; 100]).await.unwrap();
            sleep(Duration::from_millis(10)).await;
        }
    }
    let listener = TcpListener::bind(address, 16).unwrap();
    let file = File::open(&path("/log"), Open::OrCreate).await.unwrap();
    while let Ok(accepted) = listener.accept().await {
        let Ok(stream) = accepted.into_stream() else { continue };
        let mut request = [0; 1];
        if matches!(stream.read(&mut request).await, Ok(1)) {
            file.write_at(block(request[0]), 0).await.unwrap();
            file.flush().await.unwrap();
            let _ = stream.write_all(&[Bytes::from(vec![request[0]; 1_000])]).await;
        }
    }
}

async fn request(address: SocketAddr, number: u8) -> io::Result<()> {
    let stream = TcpStream::connect(address).await?;
    stream.write_all(&[Bytes::from(vec![number])]).await?;
    let mut buffer = [0; 4_096];
    while stream.read(&mut buffer).await? > 0 {}
    Ok(())
}

#[test]
fn a_seed_is_a_whole_run() {
    let mut hashes = Vec::new();
    for seed in 0..20 {
        let (hash, counters) = busy_world(seed);
        assert_eq!((hash, counters.clone()), busy_world(seed), "seed {seed}");
        assert!(counters.network_bytes > 0 && counters.flushes > 0, "{counters:?}");
        hashes.push(hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 20);
}
