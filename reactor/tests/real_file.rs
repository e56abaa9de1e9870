//! Real files: what direct I/O on the core's ring promises, and glommio's file traps shut.

mod support;

use std::io;
use std::time::Duration;

use bytes::Bytes;
use reactor::buffer::{ALIGNMENT, AlignedBuffer};
use reactor::file::{File, Open};
use support::on_core;

fn filled(size: usize, byte: u8) -> Bytes {
    let mut buffer = AlignedBuffer::zeroed(size);
    buffer.fill(byte);
    buffer.into_bytes()
}

/// Bytes that differ from block to block.
fn pattern(size: usize) -> AlignedBuffer {
    let mut buffer = AlignedBuffer::zeroed(size);
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = (index / 7 + index / ALIGNMENT) as u8;
    }
    buffer
}

#[test]
fn what_was_written_is_read_across_the_pieces_of_a_long_request() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("long");
    on_core(move || async move {
        let size = (5 << 20) + 3 * ALIGNMENT;
        let data = pattern(size).into_bytes();
        let file = File::open(&path, Open::New).await.unwrap();
        file.write_at(data.clone(), 0).await.unwrap();
        file.flush().await.unwrap();
        assert_eq!(file.size(), size as u64);
        let (read, count) = file.read_at(AlignedBuffer::zeroed(size), 0).await;
        assert_eq!(count.unwrap(), size);
        assert!(read[..] == data[..], "read differs from what was written");
        let again = File::open(&path, Open::Existing).await.unwrap();
        assert_eq!(again.size(), size as u64);
        assert_eq!(again.read_range(4_090..4_100).await.unwrap(), data.slice(4_090..4_100));
    });
}

#[test]
fn durable_writes_of_any_length_are_read_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("durable");
    on_core(move || async move {
        let file = File::open(&path, Open::New).await.unwrap();
        let mut written = Vec::new();
        // In one operation, and in several.
        for size in [0, ALIGNMENT, 1 << 20, (1 << 20) + ALIGNMENT] {
            let data = pattern(size).into_bytes();
            file.write_durably_at(data.clone(), written.len() as u64).await.unwrap();
            written.extend_from_slice(&data);
            assert_eq!(file.size(), written.len() as u64);
        }
        assert!(file.read_range(0..file.size()).await.unwrap() == written);
    });
}

#[test]
fn nothing_is_read_past_the_end_of_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("short");
    std::fs::write(&path, vec![7_u8; 5_000]).unwrap();
    on_core(move || async move {
        let file = File::open(&path, Open::Existing).await.unwrap();
        assert_eq!(file.size(), 5_000);
        for (position, inside) in [(0, 5_000), (4_096, 904), (8_192, 0), (1 << 20, 0)] {
            let mut stale = AlignedBuffer::zeroed(2 * ALIGNMENT);
            stale.fill(0xEE);
            let (read, count) = file.read_at(stale, position).await;
            assert_eq!(count.unwrap(), inside, "at {position}");
            assert!(read[..inside].iter().all(|&byte| byte == 7), "at {position}");
            assert!(read[inside..].iter().all(|&byte| byte == 0), "stale bytes at {position}");
        }
        for (range, size) in [(4_500..5_500, 500), (4_999..5_099, 1), (5_000..5_001, 0)] {
            assert_eq!(file.read_range(range.clone()).await.unwrap().len(), size, "{range:?}");
        }
    });
}

#[test]
fn truncate_and_allocate_say_the_size_that_others_see() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("sized");
    on_core(move || async move {
        let file = File::open(&path, Open::OrCreate).await.unwrap();
        let on_disk = || std::fs::metadata(&path).unwrap().len();
        file.write_at(filled(2 * ALIGNMENT, 1), 0).await.unwrap();
        file.truncate(5_000).await.unwrap();
        assert_eq!((file.size(), on_disk()), (5_000, 5_000));
        file.allocate(0..1 << 20).await.unwrap();
        assert_eq!((file.size(), on_disk()), (1 << 20, 1 << 20));
        let (read, count) = file.read_at(AlignedBuffer::zeroed(2 * ALIGNMENT), 0).await;
        assert_eq!(count.unwrap(), 2 * ALIGNMENT);
        assert!(read[..5_000].iter().all(|&byte| byte == 1));
        assert!(read[5_000..].iter().all(|&byte| byte == 0), "what was cut came back");
        file.truncate(0).await.unwrap();
        assert_eq!((file.size(), on_disk()), (0, 0));
        // 1 EiB: no disk has that, and the file stays as it is.
        let refused = file.allocate(0..1 << 60).await.unwrap_err();
        assert!(
            matches!(refused.kind(), io::ErrorKind::StorageFull | io::ErrorKind::FileTooLarge),
            "{refused}"
        );
        assert_eq!(file.size(), 0);
    });
}

#[test]
fn how_a_file_is_opened_decides_what_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (there, missing) = (directory.path().join("there"), directory.path().join("missing"));
    std::fs::write(&there, b"x").unwrap();
    let path = directory.path().to_path_buf();
    on_core(move || async move {
        let kind = async |path, how| File::open(path, how).await.err().map(|error| error.kind());
        for (path, how, want) in [
            (&there, Open::Existing, None),
            (&there, Open::OrCreate, None),
            (&there, Open::New, Some(io::ErrorKind::AlreadyExists)),
            (&missing, Open::Existing, Some(io::ErrorKind::NotFound)),
            (&path, Open::Existing, Some(io::ErrorKind::IsADirectory)),
            (&missing, Open::OrCreate, None),
        ] {
            assert_eq!(kind(path, how).await, want, "{path:?} {how:?}");
        }
    });
}

/// The memory of a dropped write is the operation's until the kernel has it: if it were freed, the
/// buffers that are made and filled meanwhile would show up in the file.
#[test]
fn dropped_futures_leave_their_buffers_to_the_kernel() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("dropped");
    on_core(move || async move {
        const SIZE: usize = 256 << 10;
        let file = File::open(&path, Open::New).await.unwrap();
        for round in 0..100_u64 {
            let mut write = Box::pin(file.write_at(filled(SIZE, 1), round * SIZE as u64));
            let mut read = Box::pin(file.read_at(AlignedBuffer::zeroed(SIZE), 0));
            assert!(futures_lite::future::poll_once(&mut write).await.is_none());
            let _ = futures_lite::future::poll_once(&mut read).await;
            drop((write, read));
            let reused: Vec<Bytes> = (0..4).map(|_| filled(SIZE, 2)).collect();
            reactor::yield_now().await;
            assert!(reused.iter().all(|buffer| buffer.iter().all(|&byte| byte == 2)));
        }
        // The writes go on to their ends without anybody waiting.
        while file.size() < 100 * SIZE as u64 {
            reactor::sleep(Duration::from_millis(1)).await;
        }
        file.flush().await.unwrap();
        for round in 0..100 {
            let (read, count) =
                file.read_at(AlignedBuffer::zeroed(SIZE), round * SIZE as u64).await;
            assert_eq!(count.unwrap(), SIZE);
            assert!(read.iter().all(|&byte| byte == 1), "foreign bytes in round {round}");
        }
    });
}

/// More operations than the disk and the ring have places for.
#[test]
fn a_thousand_operations_at_once_all_complete() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("many");
    on_core(move || async move {
        let file = File::open(&path, Open::New).await.unwrap();
        let writes: Vec<_> = (0..1_000_u64)
            .map(|block| {
                let file = file.clone();
                reactor::spawn(async move {
                    let data = filled(ALIGNMENT, block as u8);
                    file.write_at(data, block * ALIGNMENT as u64).await.unwrap();
                })
            })
            .collect();
        for write in writes {
            write.await;
        }
        let all = file.read_range(0..1_000 * ALIGNMENT as u64).await.unwrap();
        for (block, bytes) in all.chunks(ALIGNMENT).enumerate() {
            assert!(bytes.iter().all(|&byte| byte == block as u8), "block {block}");
        }
    });
}

/// The core ends while operations are in flight: it waits for the kernel, not for the tasks.
#[test]
fn a_core_that_ends_waits_for_its_operations() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("left");
    let left = path.clone();
    on_core(move || async move {
        let file = File::open(&left, Open::New).await.unwrap();
        let group = reactor::task::Group::new();
        for block in 0..300_u64 {
            let file = file.clone();
            group.spawn(async move {
                let _ = file.write_at(filled(1 << 16, 3), block << 16).await;
            });
        }
        reactor::yield_now().await;
    });
    let written = std::fs::read(&path).unwrap();
    assert!(written.iter().all(|&byte| byte == 3 || byte == 0), "bytes of freed memory");
}
