//! Busy cores: everything that can wake a task reaches it while others keep the core busy, and a core
//! that stopped, or that glommio put to sleep with work left (see `real/watchdog.rs`), comes back.
#![expect(unsafe_code, reason = "signals to the child process, and a wait for one")]

mod support;

use std::cell::Cell;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};
use reactor::net::{TcpListener, TcpStream};
use reactor::{CoreIndex, Settings, launch, outside, spawn, yield_now};
use support::on_core;

/// Far beyond what any step takes, so that a hang fails by name.
const PATIENCE: Duration = Duration::from_secs(60);

/// Keeps the core busy until `stop` is set: it never sleeps, it only yields.
async fn hog(stop: Rc<Cell<bool>>) {
    while !stop.get() {
        let mut work = 0_u64;
        for step in 0..20_000 {
            work = std::hint::black_box(work.wrapping_mul(31).wrapping_add(step));
        }
        yield_now().await;
    }
}

async fn echo_pair() -> (TcpStream, reactor::Task<()>) {
    let listener = TcpListener::bind(([127, 0, 0, 1], 0).into(), 8).unwrap();
    let connecting = spawn(TcpStream::connect(listener.local_address()));
    let server = listener.accept().await.unwrap().into_stream().unwrap();
    let echo = spawn(async move {
        let mut buffer = [0; 64];
        while let Ok(count @ 1..) = server.read(&mut buffer).await {
            server.write_all(&[Bytes::copy_from_slice(&buffer[..count])]).await.unwrap();
        }
    });
    (connecting.await.unwrap(), echo)
}

#[test]
fn files_sockets_timers_and_threads_reach_a_busy_core() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file");
    on_core(move || async move {
        let stop = Rc::new(Cell::new(false));
        let hogs = [spawn(hog(stop.clone())), spawn(hog(stop.clone()))];
        let (stream, echo) = echo_pair().await;
        let file = File::open(&path, Open::New).await.unwrap();
        let (sender, receiver) = outside::channel(1);
        let other = thread::spawn(move || while sender.send(()).is_ok() {});
        for round in 0..100_u64 {
            stream.write_all(&[Bytes::from_static(b"ping")]).await.unwrap();
            assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 4);
            let data = AlignedBuffer::zeroed(ALIGNMENT).into_bytes();
            file.write_at(data, round * ALIGNMENT as u64).await.unwrap();
            receiver.recv().await.unwrap();
            reactor::sleep(Duration::from_micros(500)).await;
        }
        drop(receiver);
        other.join().unwrap();
        stop.set(true);
        for hog in hogs {
            hog.await;
        }
        stream.shutdown();
        echo.await;
    });
}

const CHILD: &str = "REACTOR_TEST_BUSY_CHILD";

/// What the child process does: two busy cores that print a line for every few rounds of work, until
/// they are killed.
#[test]
fn child_works_and_prints() {
    let Some(directory) = env::var_os(CHILD).map(PathBuf::from) else {
        return;
    };
    let cores =
        launch(Settings::default(), vec![directory.clone(), directory], |core, directory| {
            work_and_print(core, directory)
        });
    cores.unwrap().join();
}

async fn work_and_print(core: CoreIndex, directory: PathBuf) {
    let never = Rc::new(Cell::new(false));
    let _hog = spawn(hog(never));
    let (stream, _echo) = echo_pair().await;
    let file = File::open(&directory.join(format!("core-{core}")), Open::New).await.unwrap();
    for round in 0_u64.. {
        stream.write_all(&[Bytes::from_static(b"ping")]).await.unwrap();
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 4);
        let data = AlignedBuffer::zeroed(ALIGNMENT).into_bytes();
        file.write_at(data, round % 64 * ALIGNMENT as u64).await.unwrap();
        reactor::sleep(Duration::from_micros(100)).await;
        if round.is_multiple_of(10) {
            println!("round {core} {round} {}", reactor::core::watchdog_kicks());
        }
    }
}

/// A child process that ends with the test.
struct Worker {
    process: Child,
    lines: Receiver<String>,
}

impl Worker {
    fn start(directory: &std::path::Path) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["--exact", "child_works_and_prints", "--nocapture"])
            .env(CHILD, directory)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Worker { process, lines }
    }

    fn signal(&self, signal: i32) {
        // SAFETY: takes no pointer; the child is not reaped before it is dropped.
        assert_eq!(unsafe { libc::kill(self.process.id() as i32, signal) }, 0);
    }

    /// Takes what the process prints until it has stopped printing for a moment.
    fn wait_until_silent(&self) {
        loop {
            match self.lines.recv_timeout(Duration::from_millis(20)) {
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => panic!("the child has ended"),
            }
        }
    }

    /// Waits for `count` lines of each core.
    fn wait_for_both_cores(&self, count: usize) {
        let mut seen = [0; 2];
        while seen.iter().any(|&seen| seen < count) {
            let line = self.lines.recv_timeout(PATIENCE).unwrap_or_else(|error| {
                panic!("cores 0 and 1 printed {seen:?} of {count} lines each: {error}")
            });
            let words: Vec<&str> = line.split(' ').collect();
            if let ["round", core, ..] = words[..] {
                seen[core.parse::<usize>().unwrap()] += 1;
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

/// The load under which glommio's own lost park was once reported (docs/adr/0030).
#[test]
fn busy_cores_do_not_fall_asleep() {
    let directory = tempfile::tempdir().unwrap();
    let worker = Worker::start(directory.path());
    worker.wait_for_both_cores(100);
}

/// Each stop is longer than a time slice, so every one may end it before a task has run.
#[test]
fn stopped_and_continued_cores_go_on() {
    let directory = tempfile::tempdir().unwrap();
    let worker = Worker::start(directory.path());
    worker.wait_for_both_cores(1);
    for _ in 0..20 {
        worker.signal(libc::SIGSTOP);
        worker.wait_until_silent();
        worker.signal(libc::SIGCONT);
        worker.wait_for_both_cores(2);
    }
}

/// A core that sleeps although it has work, as after a lost park, is woken by a signal.
#[test]
fn the_watchdog_ends_a_sleep_that_nothing_else_would() {
    let before = reactor::core::watchdog_kicks();
    on_core(|| async {
        // SAFETY: takes nothing; it returns once a handler has run on this thread.
        unsafe { libc::pause() };
    });
    assert!(reactor::core::watchdog_kicks() > before);
}
