//! TCP sockets: system calls that do not block, and readiness from the core's ring.

use std::cell::Cell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;

use bytes::{Bytes, BytesMut};

use super::core::RealCore;
use super::host;
use super::ring::Ring;
use super::socket;

/// What one vectored write takes at most. A long one keeps the core from everything else: 1 MiB takes
/// about 0.3 ms.
const SEND_SIZE_MAX: usize = 256 << 10;

/// After so many bytes without a wait a reader or a writer lets other tasks run.
const TURN_SIZE_MAX: usize = 1 << 20;

/// Connections that are taken without letting other tasks run: a flood of them leaves room for those that
/// are there.
const ACCEPTED_IN_TURN_MAX: usize = 16;

/// Slices of one vectored write: the kernel's IOV_MAX.
const SEND_SLICES_MAX: usize = 1024;

const _: () = assert!(SEND_SIZE_MAX <= TURN_SIZE_MAX);

pub(crate) struct Listener {
    ring: Rc<Ring>,
    socket: Rc<OwnedFd>,
    local: SocketAddr,
    /// Connections have descriptors below this one alone.
    descriptors_end: RawFd,
    /// Connections taken since the acceptor last waited.
    accepted_in_turn: Cell<usize>,
}

impl Listener {
    pub(crate) fn bind(
        core: &Rc<RealCore>,
        address: SocketAddr,
        backlog: usize,
    ) -> io::Result<Self> {
        let socket = socket::open(address)?;
        // Only against the TIME_WAIT of a former process: two listeners still exclude each other.
        socket::set(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
        if address.is_ipv6() {
            // `[::]` takes IPv4 too, whatever the host's default, as Apache Kafka's listeners do.
            socket::set(&socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 0)?;
        }
        socket::bind(&socket, address)?;
        socket::listen(&socket, backlog)?;
        let local = socket::local_address(&socket)?;
        Ok(Listener {
            ring: core.ring().clone(),
            socket: Rc::new(socket),
            local,
            descriptors_end: host::connection_descriptors_end(),
            accepted_in_turn: Cell::new(0),
        })
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        if self.accepted_in_turn.get() >= ACCEPTED_IN_TURN_MAX {
            self.accepted_in_turn.set(0);
            crate::task::yield_now().await;
        }
        let mut has_come = false;
        loop {
            if !self.has_descriptor() {
                // Nobody is kept waiting while nobody comes.
                if has_come {
                    return Err(io::Error::from_raw_os_error(libc::EMFILE));
                }
                self.wait().await?;
                has_come = true;
                continue;
            }
            match socket::accept(&self.socket) {
                Ok((socket, peer)) => {
                    self.accepted_in_turn.update(|accepted| accepted + 1);
                    return Ok(Accepted { socket, peer });
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => {
                        self.wait().await?;
                        has_come = true;
                    }
                    // The connection that would have been accepted is gone already.
                    Some(libc::ECONNABORTED | libc::EPROTO | libc::EPERM | libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    /// Until somebody comes.
    async fn wait(&self) -> io::Result<()> {
        self.accepted_in_turn.set(0);
        self.ring.ready(&self.socket, libc::POLLIN).await
    }

    /// Whether one that connections may have is free. The kernel gives the lowest that is.
    fn has_descriptor(&self) -> bool {
        self.socket.try_clone().is_ok_and(|lowest| lowest.as_raw_fd() < self.descriptors_end)
    }
}

pub(crate) struct Accepted {
    socket: OwnedFd,
    peer: SocketAddr,
}

impl Accepted {
    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn into_stream(self, core: &Rc<RealCore>) -> io::Result<Stream> {
        Stream::new(core, Rc::new(self.socket), self.peer)
    }
}

pub(crate) struct Stream {
    ring: Rc<Ring>,
    socket: Rc<OwnedFd>,
    local: SocketAddr,
    peer: SocketAddr,
    /// The last read took all that there was: the next one would find nothing, so it waits at once.
    drained: Cell<bool>,
    /// Bytes read since the reader last waited.
    read_in_turn: Cell<usize>,
}

impl Stream {
    fn new(core: &Rc<RealCore>, socket: Rc<OwnedFd>, peer: SocketAddr) -> io::Result<Self> {
        socket::set(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
        let local = socket::local_address(&socket)?;
        Ok(Stream {
            ring: core.ring().clone(),
            socket,
            local,
            peer,
            drained: Cell::new(false),
            read_in_turn: Cell::new(0),
        })
    }

    pub(crate) async fn connect(core: &Rc<RealCore>, address: SocketAddr) -> io::Result<Self> {
        let socket = Rc::new(socket::open(address)?);
        match socket::connect(&socket, address) {
            Ok(()) => {}
            // An interrupted connect goes on as well.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) => {
                core.ring().ready(&socket, libc::POLLOUT).await?;
                socket::pending_error(&socket)?;
            }
            Err(error) => return Err(error),
        }
        Stream::new(core, socket, address)
    }

    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.local
    }

    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let room = buffer.len();
        self.receive(room, || socket::receive(&self.socket, buffer)).await
    }

    pub(crate) async fn read_into(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let room = buffer.capacity() - buffer.len();
        self.receive(room, || socket::receive_into(&self.socket, buffer)).await
    }

    /// Calls `receive`, which takes up to `room` bytes, until it has some.
    async fn receive(
        &self,
        room: usize,
        mut receive: impl FnMut() -> io::Result<usize>,
    ) -> io::Result<usize> {
        if room == 0 {
            return Ok(0);
        }
        loop {
            if self.drained.take() {
                self.ring.ready(&self.socket, libc::POLLIN).await?;
                self.read_in_turn.set(0);
            } else if self.read_in_turn.get() >= TURN_SIZE_MAX {
                self.read_in_turn.set(0);
                crate::task::yield_now().await;
            }
            match receive() {
                Ok(count) => {
                    // Not after an end or an error: readiness would not come again for a caller that
                    // reads on, only the same answer.
                    self.drained.set(count > 0 && count < room);
                    self.read_in_turn.update(|read| read + count);
                    return Ok(count);
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => self.drained.set(true),
                    Some(libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    pub(crate) async fn write_all(&self, parts: &[Bytes]) -> io::Result<()> {
        let mut rest = Unsent { parts, sent_of_first: 0 };
        let mut sent_in_turn = 0;
        loop {
            rest.skip_empty();
            if rest.parts.is_empty() {
                return Ok(());
            }
            match socket::send(&self.socket, &rest.slices()) {
                Ok(count) => {
                    rest.advance(count);
                    sent_in_turn += count;
                    if sent_in_turn >= TURN_SIZE_MAX {
                        sent_in_turn = 0;
                        crate::task::yield_now().await;
                    }
                }
                Err(error) => match error.raw_os_error() {
                    Some(libc::EAGAIN) => {
                        self.ring.ready(&self.socket, libc::POLLOUT).await?;
                        sent_in_turn = 0;
                    }
                    Some(libc::EINTR) => {}
                    _ => return Err(error),
                },
            }
        }
    }

    pub(crate) fn shutdown(&self) {
        socket::shutdown(&self.socket, Shutdown::Both);
    }
}

impl Drop for Stream {
    /// The descriptor closes once the ring has let go of it; the peer is told now.
    fn drop(&mut self) {
        self.shutdown();
    }
}

/// What is left of a vectored write.
struct Unsent<'a> {
    parts: &'a [Bytes],
    sent_of_first: usize,
}

impl<'a> Unsent<'a> {
    fn skip_empty(&mut self) {
        while let Some((first, rest)) = self.parts.split_first()
            && first.len() == self.sent_of_first
        {
            (self.parts, self.sent_of_first) = (rest, 0);
        }
    }

    /// The next slices, at most as much as one call takes.
    fn slices(&self) -> Vec<io::IoSlice<'a>> {
        let mut room = SEND_SIZE_MAX;
        let mut skip = self.sent_of_first;
        let mut slices = Vec::with_capacity(self.parts.len().min(SEND_SLICES_MAX));
        for part in self.parts.iter().take(SEND_SLICES_MAX) {
            let part = &part[skip..];
            skip = 0;
            let size = part.len().min(room);
            slices.push(io::IoSlice::new(&part[..size]));
            room -= size;
            if room == 0 {
                break;
            }
        }
        slices
    }

    fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let (first, rest) = self.parts.split_first().expect("no more was sent than there is");
            let left = first.len() - self.sent_of_first;
            if count < left {
                self.sent_of_first += count;
                return;
            }
            count -= left;
            (self.parts, self.sent_of_first) = (rest, 0);
        }
    }
}
