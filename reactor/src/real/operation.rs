//! What the ring can be asked for: how each operation is told to the kernel, and what a completion
//! means for it. An operation owns its descriptor and its buffer.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use bytes::Bytes;
use io_uring::{opcode, squeue, types};

use super::bell::Rung;
use super::file::OpenFile;
use crate::buffer::{ALIGNMENT, AlignedBuffer};
use crate::time::Instant;

/// The most bytes that one submission moves. Longer requests than the device's limit have hung on
/// some kernels, and a piece of this size already runs at the device's full speed.
const PIECE_SIZE: usize = 1 << 20;

pub(crate) enum Operation {
    /// Readiness of a socket, once.
    Poll {
        descriptor: Rc<OwnedFd>,
        events: i16,
    },
    /// Readiness of an eventfd, each time that it is written.
    Bell {
        descriptor: Arc<OwnedFd>,
        rung: Rc<Rung>,
    },
    /// The monotonic clock reaching `at`.
    Timeout {
        at: Box<types::Timespec>,
        due: Rc<Cell<bool>>,
    },
    /// `done` bytes of `buffer` have been read.
    Read {
        file: Arc<OpenFile>,
        buffer: AlignedBuffer,
        position: u64,
        done: usize,
    },
    /// `done` bytes of `data` have been written, and are durable where `durable`.
    Write {
        file: Arc<OpenFile>,
        data: Bytes,
        position: u64,
        done: usize,
        durable: bool,
    },
    Flush {
        file: Arc<OpenFile>,
    },
    Allocate {
        file: Arc<OpenFile>,
        range: Range<u64>,
    },
}

/// What follows from a completion.
pub(crate) enum Progress {
    /// The kernel will complete it again.
    Waits(Option<Waker>),
    /// It is to be submitted again.
    Again(Option<Waker>),
    Done(io::Result<usize>),
}

impl Operation {
    /// Sets `due` once the monotonic clock reaches `deadline`.
    pub(crate) fn timeout(deadline: Instant, due: Rc<Cell<bool>>) -> Self {
        let at = types::Timespec::new()
            .sec(deadline.0 / 1_000_000_000)
            .nsec((deadline.0 % 1_000_000_000) as u32);
        Operation::Timeout { at: Box::new(at), due }
    }

    pub(crate) fn read(file: Arc<OpenFile>, buffer: AlignedBuffer, position: u64) -> Self {
        Operation::Read { file, buffer, position, done: 0 }
    }

    pub(crate) fn write(file: Arc<OpenFile>, data: Bytes, position: u64) -> Self {
        Operation::Write { file, data, position, done: 0, durable: false }
    }

    /// A write that completes when it is durable; `None` for one that takes several submissions, each
    /// of which would wait for the device's cache.
    pub(crate) fn durable_write(file: &Arc<OpenFile>, data: &Bytes, position: u64) -> Option<Self> {
        (data.len() <= PIECE_SIZE).then(|| {
            let (file, data) = (file.clone(), data.clone());
            Operation::Write { file, data, position, done: 0, durable: true }
        })
    }

    /// Whether it takes one of the places for disk operations.
    pub(crate) fn is_on_disk(&self) -> bool {
        match self {
            Operation::Poll { .. } | Operation::Bell { .. } | Operation::Timeout { .. } => false,
            Operation::Read { .. }
            | Operation::Write { .. }
            | Operation::Flush { .. }
            | Operation::Allocate { .. } => true,
        }
    }

    /// Whether nobody needs it any more once nobody waits for it.
    pub(crate) fn ends_when_abandoned(&self) -> bool {
        !self.is_on_disk()
    }

    /// The entry that asks the kernel for it, or for what is left of it.
    pub(crate) fn submission(&mut self) -> squeue::Entry {
        match self {
            Operation::Poll { descriptor, events } => {
                opcode::PollAdd::new(types::Fd(descriptor.as_raw_fd()), *events as u32).build()
            }
            Operation::Bell { descriptor, .. } => {
                opcode::PollAdd::new(types::Fd(descriptor.as_raw_fd()), libc::POLLIN as u32)
                    .multi(true)
                    .build()
            }
            Operation::Timeout { at, .. } => {
                opcode::Timeout::new(&raw const **at).flags(types::TimeoutFlags::ABS).build()
            }
            Operation::Read { file, buffer, position, done } => {
                let fd = types::Fd(file.descriptor().as_raw_fd());
                let piece = &mut buffer[*done..];
                let size = piece.len().min(PIECE_SIZE) as u32;
                opcode::Read::new(fd, piece.as_mut_ptr(), size)
                    .offset(*position + *done as u64)
                    .build()
            }
            Operation::Write { file, data, position, done, durable } => {
                let fd = types::Fd(file.descriptor().as_raw_fd());
                let piece = &data[*done..];
                let size = piece.len().min(PIECE_SIZE) as u32;
                opcode::Write::new(fd, piece.as_ptr(), size)
                    .offset(*position + *done as u64)
                    .rw_flags(if *durable { libc::RWF_DSYNC } else { 0 })
                    .build()
            }
            Operation::Flush { file } => {
                opcode::Fsync::new(types::Fd(file.descriptor().as_raw_fd()))
                    .flags(types::FsyncFlags::DATASYNC)
                    .build()
            }
            Operation::Allocate { file, range } => opcode::Fallocate::new(
                types::Fd(file.descriptor().as_raw_fd()),
                range.end - range.start,
            )
            .offset(range.start)
            .build(),
        }
    }

    /// Takes in a completion: `result` as the kernel gave it, `more` when it will complete again.
    pub(crate) fn completed(&mut self, result: i32, more: bool, abandoned: bool) -> Progress {
        let interrupted = matches!(-result, libc::EINTR | libc::EAGAIN);
        match self {
            Operation::Poll { .. } if interrupted && !abandoned => Progress::Again(None),
            Operation::Poll { .. } => Progress::Done(outcome(result)),
            Operation::Bell { rung, .. } => {
                let waker = rung.ring();
                if more {
                    Progress::Waits(waker)
                } else if abandoned || result == -libc::ECANCELED {
                    Progress::Done(outcome(result))
                } else {
                    Progress::Again(waker)
                }
            }
            Operation::Timeout { due, .. } => {
                due.set(true);
                Progress::Done(outcome(result))
            }
            _ if interrupted => Progress::Again(None),
            Operation::Read { buffer, done, .. } => read_completed(buffer, done, result),
            Operation::Write { file, data, position, done, .. } => {
                written(file, data, *position, done, result)
            }
            Operation::Flush { .. } => Progress::Done(outcome(result)),
            Operation::Allocate { file, range } => {
                if result >= 0 {
                    file.grow_to(range.end);
                }
                Progress::Done(outcome(result))
            }
        }
    }
}

fn outcome(result: i32) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::from_raw_os_error(-result))
}

/// A read goes on until the buffer is full or the file ends; what lies past its end becomes zero.
fn read_completed(buffer: &mut AlignedBuffer, done: &mut usize, result: i32) -> Progress {
    let count = match outcome(result) {
        Ok(count) => count,
        Err(error) => return Progress::Done(Err(error)),
    };
    *done += count;
    assert!(*done <= buffer.len(), "the kernel read {} bytes into {}", *done, buffer.len());
    // Only the end of a file stops a read within a block.
    let at_end = count == 0 || !done.is_multiple_of(ALIGNMENT);
    if *done < buffer.len() && !at_end {
        return Progress::Again(None);
    }
    buffer[*done..].fill(0);
    Progress::Done(Ok(*done))
}

fn written(
    file: &OpenFile,
    data: &Bytes,
    position: u64,
    done: &mut usize,
    result: i32,
) -> Progress {
    let count = match outcome(result) {
        Ok(count) => count,
        Err(error) => return Progress::Done(Err(error)),
    };
    let end = *done + count;
    assert!(end <= data.len(), "the kernel wrote {end} bytes of {}", data.len());
    file.grow_to(position + end as u64);
    if end == data.len() {
        *done = end;
        return Progress::Done(Ok(end));
    }
    // Direct I/O cannot go on within a block: the torn one is written again.
    let next = end / ALIGNMENT * ALIGNMENT;
    if next == *done {
        return Progress::Done(Err(io::ErrorKind::WriteZero.into()));
    }
    *done = next;
    Progress::Again(None)
}
