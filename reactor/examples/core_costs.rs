//! What a real core costs: an echo over loopback (beside glommio's own sockets), how late timers and
//! files are on a busy core, and what an idle core burns. Prints one line per figure.
//!
//! Run: `cargo run --release -p reactor --example core_costs`
#![expect(unsafe_code, reason = "the process's CPU clock")]

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};
use reactor::net::TcpListener;
use reactor::{Settings, launch, spawn, yield_now};

const ROUNDS: usize = 20_000;
const REQUEST_SIZE: usize = 64;

fn main() {
    println!("echo of {REQUEST_SIZE} bytes over loopback, an ordinary thread asks:");
    for connections in [1, 8] {
        print_spread(&format!("  reactor, {connections} connections"), echo_reactor(connections));
        print_spread(&format!("  glommio, {connections} connections"), echo_glommio(connections));
    }
    for (busy, name) in [(false, "idle"), (true, "busy")] {
        println!("on a core that is otherwise {name}:");
        print_spread("  lateness of a 1 ms sleep", timer_lateness(busy));
        print_spread("  4 KiB write", file_writes(busy, false));
        print_spread("  4 KiB write and flush", file_writes(busy, true));
        print_spread("  call of the helper thread", helper_calls(busy));
    }
    idle_cpu();
    println!("watchdog kicks: {}", reactor::core::watchdog_kicks());
}

/// Prints percentiles of `spans`.
fn print_spread(name: &str, mut spans: Vec<Duration>) {
    spans.sort();
    let at = |permille: usize| spans[(spans.len() - 1) * permille / 1000].as_nanos() as f64 / 1e3;
    println!(
        "{name:32} p50 {:8.1} us   p99 {:8.1} us   p99.9 {:8.1} us   max {:8.1} us",
        at(500),
        at(990),
        at(999),
        at(1000)
    );
}

/// Blocking clients on ordinary threads, each with one connection; the spans of all their requests.
fn ask(address: SocketAddr, connections: usize) -> Vec<Duration> {
    let clients: Vec<_> = (0..connections)
        .map(|_| {
            thread::spawn(move || {
                let mut stream = std::net::TcpStream::connect(address).unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = [0; REQUEST_SIZE];
                let mut spans = Vec::with_capacity(ROUNDS);
                for _ in 0..ROUNDS / connections {
                    let asked = Instant::now();
                    stream.write_all(&buffer).unwrap();
                    stream.read_exact(&mut buffer).unwrap();
                    spans.push(asked.elapsed());
                }
                spans
            })
        })
        .collect();
    clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
}

fn echo_reactor(connections: usize) -> Vec<Duration> {
    let (sender, address) = mpsc::channel();
    let cores = launch(Settings::default(), vec![sender], move |_, sender| async move {
        let listener = TcpListener::bind(([127, 0, 0, 1], 0).into(), 64).unwrap();
        sender.send(listener.local_address()).unwrap();
        let mut served = Vec::new();
        for _ in 0..connections {
            let stream = listener.accept().await.unwrap().into_stream().unwrap();
            served.push(spawn(async move {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    let answer = Bytes::copy_from_slice(&buffer[..count]);
                    stream.write_all(&[answer]).await.unwrap();
                }
            }));
        }
        for connection in served {
            connection.await;
        }
    });
    let spans = ask(address.recv().unwrap(), connections);
    cores.unwrap().join();
    spans
}

fn echo_glommio(connections: usize) -> Vec<Duration> {
    let (sender, address) = mpsc::channel();
    let server = glommio::LocalExecutorBuilder::new(glommio::Placement::Fixed(0))
        .io_memory(64 << 10)
        .ring_depth(256)
        .spawn(move || async move {
            let listener = glommio::net::TcpListener::bind("127.0.0.1:0").unwrap();
            sender.send(listener.local_addr().unwrap()).unwrap();
            let mut served = Vec::new();
            for _ in 0..connections {
                let mut stream = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                served.push(glommio::spawn_local(async move {
                    let mut buffer = vec![0; 64 << 10];
                    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                        stream.write_all(&buffer[..count]).await.unwrap();
                    }
                }));
            }
            for connection in served {
                connection.await;
            }
        })
        .unwrap();
    let spans = ask(address.recv().unwrap(), connections);
    server.join().unwrap();
    spans
}

/// Runs `measure` on a core on which, if `busy`, two other tasks are always ready.
fn on_core<Fut>(busy: bool, measure: impl FnOnce() -> Fut + Send + 'static) -> Vec<Duration>
where
    Fut: Future<Output = Vec<Duration>> + 'static,
{
    let (sender, spans) = mpsc::channel();
    let seeds = vec![(measure, sender)];
    let cores = launch(Settings::default(), seeds, move |_, (measure, sender)| async move {
        let stop = Rc::new(Cell::new(!busy));
        let hogs = [spawn(hog(stop.clone())), spawn(hog(stop.clone()))];
        sender.send(measure().await).unwrap();
        stop.set(true);
        for hog in hogs {
            hog.await;
        }
    });
    cores.unwrap().join();
    spans.recv().unwrap()
}

async fn hog(stop: Rc<Cell<bool>>) {
    while !stop.get() {
        for step in 0..10_000_u64 {
            std::hint::black_box(step);
        }
        yield_now().await;
    }
}

fn timer_lateness(busy: bool) -> Vec<Duration> {
    on_core(busy, || async {
        let mut late = Vec::new();
        for _ in 0..2_000 {
            let due = reactor::now() + Duration::from_millis(1);
            reactor::sleep_until(due).await;
            late.push(reactor::now() - due);
        }
        late
    })
}

fn file_writes(busy: bool, flushed: bool) -> Vec<Duration> {
    let path = std::env::temp_dir().join(format!("core_costs-{}", std::process::id()));
    let opened = path.clone();
    let spans = on_core(busy, move || async move {
        let file = File::open(&opened, Open::OrCreate).await.unwrap();
        let block = AlignedBuffer::zeroed(ALIGNMENT).into_bytes();
        file.write_at(AlignedBuffer::zeroed(256 * ALIGNMENT).into_bytes(), 0).await.unwrap();
        file.flush().await.unwrap();
        let mut spans = Vec::new();
        for round in 0..2_000_u64 {
            let asked = reactor::now();
            file.write_at(block.clone(), round % 256 * ALIGNMENT as u64).await.unwrap();
            if flushed {
                file.flush().await.unwrap();
            }
            spans.push(reactor::now() - asked);
        }
        spans
    });
    std::fs::remove_file(path).unwrap();
    spans
}

fn helper_calls(busy: bool) -> Vec<Duration> {
    on_core(busy, || async {
        let mut spans = Vec::new();
        for _ in 0..2_000 {
            let asked = reactor::now();
            reactor::directory::space(&std::env::temp_dir()).await.unwrap();
            spans.push(reactor::now() - asked);
        }
        spans
    })
}

/// CPU time of the whole process while two cores have nothing to do.
fn idle_cpu() {
    const SPAN: Duration = Duration::from_secs(10);
    let cores = launch(Settings::default(), vec![(), ()], |_, ()| async {
        reactor::sleep(SPAN + Duration::from_secs(4)).await;
    });
    thread::sleep(Duration::from_secs(2));
    let before = process_cpu();
    thread::sleep(SPAN);
    let used = process_cpu() - before;
    cores.unwrap().join();
    let share = used.as_secs_f64() / SPAN.as_secs_f64();
    println!("two idle cores use {:.3} % of one CPU, watchdog included", share * 100.0);
}

fn process_cpu() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is the call's to write.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(result, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
