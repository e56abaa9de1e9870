//! What bad clients do.

use super::good::{FETCH_VERSION, PRODUCE_VERSION, fetch, produce_request};
use super::scene::Scene;
use super::{FILLED, PACKED, PARTITION_COUNT, QUIET};
use crate::suites::hostile::{Random, hostile_frames, random_frame};
use crate::wire::{self, Connection};
use anyhow::{Context, Result};
use protocol::messages::MetadataRequest;
use protocol::messages::metadata::MetadataRequestTopic;
use protocol::record_batch::{BatchOptions, Codec, Compression};
use protocol::wire::Request;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

const METADATA_VERSION: i16 = 12;
const IDLE_CONNECTION_COUNT: usize = 5_000;
/// Threads that open connections.
const OPENING_COUNT: usize = 32;
/// For the idle ones, here and in the broker, which keeps a quarter for files.
pub const DESCRIPTOR_COUNT: u64 = 8_000;
/// Bad clients that do all they can at once.
const THREAD_COUNT: u64 = 4;
/// How long one of them waits to be answered or thrown out.
const PATIENCE: Duration = Duration::from_secs(5);
/// What a small batch is unpacked to.
const UNPACKED_SIZE_BYTES: usize = 50_000_000;

#[derive(Debug)]
pub struct Attack {
    pub what: &'static str,
    /// Makes a trouble that lasts until the scene is over, and says when it has begun.
    pub make: fn(&Scene) -> Result<()>,
    /// All its connections are open at the broker while it lasts.
    pub keeps_connections: bool,
    /// Whether it needs [`DESCRIPTOR_COUNT`].
    pub takes_descriptors: bool,
}

const fn attack(what: &'static str, make: fn(&Scene) -> Result<()>) -> Attack {
    Attack { what, make, keeps_connections: false, takes_descriptors: false }
}

pub const ATTACKS: &[Attack] = &[
    attack("nobody", |scene| {
        scene.last(0);
        Ok(())
    }),
    attack("100 that ask for all records again and again and read none", |scene| {
        ask(scene, 100, 60, &fetch(FILLED, PARTITION_COUNT, 500, 1), FETCH_VERSION)
    }),
    attack("100 that ask for metadata of 5,000 topics again and again and read none", |scene| {
        ask(scene, 100, 60, &metadata(5_000), METADATA_VERSION)
    }),
    attack("300 that wait for records of 8,000 partitions each", |scene| {
        ask(scene, 300, 1, &fetch(QUIET, PARTITION_COUNT, 600_000, 1_000), FETCH_VERSION)
    }),
    Attack {
        takes_descriptors: true,
        ..keeping("5,000 that are idle", |scene| {
            let began = Instant::now();
            let idle = open(scene, IDLE_CONNECTION_COUNT)?;
            println!("5,000 are connected after {:.1?}", began.elapsed());
            scene.last(idle.len());
            Ok(())
        })
    },
    keeping("1,000 that have sent half a frame", |scene| {
        let halves: [&[u8]; 2] = [&[0, 0], &[0, 1, 0x86, 0xa0, 0, 0, 0, 1, 0, 0, 0, 0]];
        let connections = open(scene, 1_000)?;
        for (mut connection, half) in connections.iter().zip(halves.into_iter().cycle()) {
            connection.write_all(half)?;
        }
        scene.last(connections.len());
        Ok(())
    }),
    attack("200 that announce frames of 16 MB and send them byte by byte", announce),
    attack("4 that connect and leave as fast as they can", |scene| {
        again_and_again(scene, |_| TcpStream::connect(scene.address).map(drop))
    }),
    attack("4 that send frames which lie about their sizes as fast as they can", |scene| {
        let frames = hostile_frames();
        again_and_again(scene, |random| {
            let (_, frame) = &frames[random.draw() as usize % frames.len()];
            send_and_drain(scene, frame)
        })
    }),
    attack("4 that send random bytes as fast as they can", |scene| {
        again_and_again(scene, |random| send_and_drain(scene, &random_frame(random)))
    }),
    attack("4 that ask for metadata of 50,000 topics as fast as they are answered", |scene| {
        let request = metadata(50_000);
        ask_and_read(scene, &request, METADATA_VERSION)
    }),
    attack(
        "4 that send small batches which unpack to 50 MB as fast as they are answered",
        |scene| {
            let compression = Compression::usual(Codec::Zstd);
            let options = BatchOptions { compression, ..BatchOptions::default() };
            let request = produce_request(PACKED, 0, options, UNPACKED_SIZE_BYTES)?;
            ask_and_read(scene, &request, PRODUCE_VERSION)
        },
    ),
];

const fn keeping(what: &'static str, make: fn(&Scene) -> Result<()>) -> Attack {
    Attack { keeps_connections: true, ..attack(what, make) }
}

/// `count` connections, from several threads: where the broker's queue of new ones is full for a moment, the
/// kernel tries again after a second, and only that thread waits.
fn open(scene: &Scene, count: usize) -> Result<Vec<TcpStream>> {
    let open = |count: usize| {
        let connections = (0..count).map(|_| TcpStream::connect(scene.address));
        connections.collect::<io::Result<Vec<_>>>()
    };
    let each = count.div_ceil(OPENING_COUNT);
    thread::scope(|scope| {
        let parts = (0..count).step_by(each).map(|from| each.min(count - from));
        let opening: Vec<_> = parts.map(|part| scope.spawn(move || open(part))).collect();
        let mut connections = Vec::with_capacity(count);
        for opening in opening {
            let opened = opening.join().expect("no panic");
            connections.extend(opened.with_context(|| format!("opening {count} connections"))?);
        }
        Ok(connections)
    })
}

fn metadata(count: usize) -> MetadataRequest {
    let topic = |number| MetadataRequestTopic {
        name: Some(format!("no-such-topic-{number}").into()),
        ..MetadataRequestTopic::default()
    };
    MetadataRequest {
        topics: Some((0..count).map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// `count` connections that send `request` `repeat` times, as far as it is taken, and read nothing.
fn ask<R: Request>(
    scene: &Scene,
    count: usize,
    repeat: i32,
    request: &R,
    version: i16,
) -> Result<()> {
    let frames = (0..repeat).map(|number| wire::frame(number, version, request));
    let frames = frames.collect::<Result<Vec<_>>>()?.concat();
    let connections = open(scene, count)?;
    for mut connection in &connections {
        connection.set_nonblocking(true)?;
        let mut rest = &frames[..];
        // What is not taken now stays unsent: those who ask do not wait for each other.
        while let Ok(sent) = connection.write(rest)
            && sent > 0
        {
            rest = &rest[sent..];
        }
    }
    scene.last(connections.len());
    Ok(())
}

fn announce(scene: &Scene) -> Result<()> {
    let connections = open(scene, 200)?;
    for mut connection in &connections {
        connection.write_all(&(16_000_000_i32).to_be_bytes())?;
    }
    scene.begin(connections.len());
    while !scene.is_over() {
        for mut connection in &connections {
            // The broker may have lost its patience.
            let _sent = connection.write(&[0]);
        }
        thread::park_timeout(Duration::from_millis(200));
    }
    Ok(())
}

/// All of them do it over and over. How it ends each time is their own matter.
fn again_and_again(
    scene: &Scene,
    attempt: impl Fn(&mut Random) -> io::Result<()> + Sync,
) -> Result<()> {
    scene.begin(0);
    let attempt = &attempt;
    let count: usize = thread::scope(|scope| {
        let bad = |seed| {
            scope.spawn(move || {
                let mut random = Random::new(seed);
                let mut count = 0;
                while !scene.is_over() {
                    // The ports of closed connections may run out: then it waits like anyone.
                    if attempt(&mut random).is_err() {
                        thread::park_timeout(Duration::from_millis(10));
                    }
                    count += 1;
                }
                count
            })
        };
        let bad: Vec<_> = (1..=THREAD_COUNT).map(bad).collect();
        bad.into_iter().map(|bad| bad.join().unwrap_or(0)).sum()
    });
    println!("{count} times");
    Ok(())
}

/// Sends `frame` and reads until it is thrown out, or until there is nothing more to come.
fn send_and_drain(scene: &Scene, frame: &[u8]) -> io::Result<()> {
    let mut connection = TcpStream::connect(scene.address)?;
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.write_all(frame)?;
    connection.shutdown(Shutdown::Write)?;
    io::copy(&mut connection.take(64 << 20), &mut io::sink()).map(drop)
}

fn ask_and_read<R: Request + Sync>(scene: &Scene, request: &R, version: i16) -> Result<()> {
    again_and_again(scene, |_| {
        let asked = || -> Result<()> {
            let mut connection = Connection::open(scene.address)?;
            while !scene.is_over() {
                connection.call(version, request)?;
            }
            Ok(())
        };
        asked().map_err(io::Error::other)
    })
}
