//! TCP: listen, connect, read into the caller's buffer, send many slices in one vectored write.

use std::io;
/// Plain values, so that nothing else of `std::net` is needed elsewhere.
pub use std::net::{IpAddr, SocketAddr};

use bytes::{Bytes, BytesMut};

use crate::environment::{Environment, current};
use crate::{real, sim};

/// A listening socket. It is bound exclusively: a second listener on the same address is refused.
pub struct TcpListener(ListenerInner);

enum ListenerInner {
    Real(real::net::Listener),
    Sim(sim::net::Listener),
}

impl TcpListener {
    /// Binds `address` (port 0 picks a free one) without `SO_REUSEPORT` and listens with a queue of
    /// `backlog`. Errors: `AddrInUse` when anything else listens there.
    pub fn bind(address: SocketAddr, backlog: usize) -> io::Result<TcpListener> {
        Ok(TcpListener(match current() {
            Environment::Real(core) => {
                ListenerInner::Real(real::net::Listener::bind(&core, address, backlog)?)
            }
            Environment::Sim(core) => {
                ListenerInner::Sim(sim::net::Listener::bind(&core, address, backlog)?)
            }
        }))
    }

    pub fn local_address(&self) -> SocketAddr {
        match &self.0 {
            ListenerInner::Real(listener) => listener.local_address(),
            ListenerInner::Sim(listener) => listener.local_address(),
        }
    }

    /// The next connection, not yet bound to any core. Errors: the process has too many descriptors open for
    /// one more connection, as the kernel says it (EMFILE); who connects waits in the queue, and a later call
    /// takes it. The last quarter of the descriptors is for files alone.
    pub async fn accept(&self) -> io::Result<Accepted> {
        Ok(Accepted(match &self.0 {
            ListenerInner::Real(listener) => AcceptedInner::Real(listener.accept().await?),
            ListenerInner::Sim(listener) => AcceptedInner::Sim(listener.accept().await?),
        }))
    }
}

/// A connection that may be moved to another core before it is used. Dropping it closes it.
pub struct Accepted(AcceptedInner);

enum AcceptedInner {
    Real(real::net::Accepted),
    Sim(sim::net::Accepted),
}

impl Accepted {
    pub fn peer_address(&self) -> SocketAddr {
        match &self.0 {
            AcceptedInner::Real(accepted) => accepted.peer_address(),
            AcceptedInner::Sim(accepted) => accepted.peer_address(),
        }
    }

    /// Binds the connection to the calling core for the rest of its life.
    pub fn into_stream(self) -> io::Result<TcpStream> {
        Ok(TcpStream(match (self.0, current()) {
            (AcceptedInner::Real(accepted), Environment::Real(core)) => {
                StreamInner::Real(accepted.into_stream(&core)?)
            }
            (AcceptedInner::Sim(accepted), Environment::Sim(core)) => {
                StreamInner::Sim(accepted.into_stream(&core)?)
            }
            _ => unreachable!("a connection stays in the world that accepted it"),
        }))
    }
}

/// A connected socket of this core, with `TCP_NODELAY`. One task may read while another writes: share
/// it by `Rc`. Dropping it shuts down both directions at once.
pub struct TcpStream(StreamInner);

enum StreamInner {
    Real(real::net::Stream),
    Sim(sim::net::Stream),
}

impl TcpStream {
    pub async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
        Ok(TcpStream(match current() {
            Environment::Real(core) => {
                StreamInner::Real(real::net::Stream::connect(&core, address).await?)
            }
            Environment::Sim(core) => {
                StreamInner::Sim(sim::net::Stream::connect(&core, address).await?)
            }
        }))
    }

    pub fn peer_address(&self) -> SocketAddr {
        match &self.0 {
            StreamInner::Real(stream) => stream.peer_address(),
            StreamInner::Sim(stream) => stream.peer_address(),
        }
    }

    pub fn local_address(&self) -> SocketAddr {
        match &self.0 {
            StreamInner::Real(stream) => stream.local_address(),
            StreamInner::Sim(stream) => stream.local_address(),
        }
    }

    /// Reads what is there, at least one byte; 0 means the peer has closed its side.
    pub async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            StreamInner::Real(stream) => stream.read(buffer).await,
            StreamInner::Sim(stream) => stream.read(buffer).await,
        }
    }

    /// Appends what is there to `buffer`, as far as its spare capacity goes; 0 means that the peer has
    /// closed its side, or that there is no capacity.
    pub async fn read_into(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        match &self.0 {
            StreamInner::Real(stream) => stream.read_into(buffer).await,
            StreamInner::Sim(stream) => stream.read_into(buffer).await,
        }
    }

    /// Sends all of `parts` in order, as few vectored writes as the socket takes. One call at a time:
    /// bytes of two concurrent calls would mix. On an error an unknown prefix has been sent.
    pub async fn write_all(&self, parts: &[Bytes]) -> io::Result<()> {
        match &self.0 {
            StreamInner::Real(stream) => stream.write_all(parts).await,
            StreamInner::Sim(stream) => stream.write_all(parts).await,
        }
    }

    /// Ends both directions now; a pending `read` returns 0 or an error.
    pub fn shutdown(&self) {
        match &self.0 {
            StreamInner::Real(stream) => stream.shutdown(),
            StreamInner::Sim(stream) => stream.shutdown(),
        }
    }
}
