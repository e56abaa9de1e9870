//! Sockets of the simulated world, as [`crate::net`] uses them.

mod connection;
mod links;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use self::connection::{Connection, Side};
use self::links::Links;
use super::core::SimCore;
use super::node::{Life, Node, NodeId};
use super::world::{Inbox, Message, Trace, World};

/// First of the ports that are given out where none is asked for.
const EPHEMERAL_PORT_MIN: u16 = 32_768;
/// Wait before the second attempt of a connect that hears nothing; it doubles from there on.
const CONNECT_RETRY_INITIAL: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Network {
    pub(super) links: Links,
    listeners: RefCell<BTreeMap<(NodeId, u16), Rc<Listening>>>,
    /// Until both ends are gone and nothing travels between them.
    connections: RefCell<BTreeMap<u64, Rc<Connection>>>,
    next_connection: Cell<u64>,
}

struct Listening {
    life: Rc<Life>,
    address: SocketAddr,
    backlog: usize,
    waiting: RefCell<VecDeque<u64>>,
    waker: RefCell<Option<Waker>>,
}

impl Network {
    fn connection(&self, id: u64) -> Option<Rc<Connection>> {
        self.connections.borrow().get(&id).cloned()
    }

    /// All connections, in the order in which they were made.
    fn all(&self) -> Vec<Rc<Connection>> {
        self.connections.borrow().values().cloned().collect()
    }

    fn listening(&self, node: &Node, address: SocketAddr) -> Option<Rc<Listening>> {
        let listening = self.listeners.borrow().get(&(node.id, address.port())).cloned()?;
        let bound = listening.address.ip();
        (bound.is_unspecified() || bound == address.ip()).then_some(listening)
    }

    fn free_port(&self, node: &Node) -> u16 {
        loop {
            let port = node.next_port.get().max(EPHEMERAL_PORT_MIN);
            node.next_port.set(port.wrapping_add(1));
            if !self.listeners.borrow().contains_key(&(node.id, port)) {
                return port;
            }
        }
    }

    /// Drops everything; the world ends.
    pub(super) fn clear(&self) {
        self.listeners.take();
        self.connections.take();
    }
}

/// The process `life` on `node` is gone. Where the host lives on, it closes the sockets; where it does
/// not, peers hear nothing.
pub(super) fn process_died(world: &Rc<World>, node: &Node, life: &Rc<Life>) {
    world.network.listeners.borrow_mut().retain(|_, listening| !Rc::ptr_eq(&listening.life, life));
    for connection in world.network.all() {
        connection.process_died(world, life, node.has_power.get());
    }
}

/// Segments that waited for links or hosts go on.
pub(super) fn links_changed(world: &Rc<World>) {
    for connection in world.network.all() {
        connection.links_changed(world);
    }
}

/// Breaks every connection between `first` and `second`: both ends are reset.
pub(super) fn break_connections(world: &Rc<World>, first: NodeId, second: NodeId) {
    for connection in world.network.all() {
        let [client, server] = connection.nodes();
        if (client, server) == (first, second) || (client, server) == (second, first) {
            connection.break_off(world);
        }
    }
}

/// A connection that was never made into a stream is closed.
pub(super) fn unused(world: &Rc<World>, id: u64) {
    if let Some(connection) = world.network.connection(id) {
        connection.close(world, Side::Server);
    }
}

pub(crate) struct Listener {
    core: Rc<SimCore>,
    listening: Rc<Listening>,
}

impl Listener {
    pub(crate) fn bind(
        core: &Rc<SimCore>,
        address: SocketAddr,
        backlog: usize,
    ) -> io::Result<Self> {
        let ip = address.ip();
        if !(ip.is_unspecified() || ip.is_loopback() || ip == core.node.ip) {
            return Err(io::ErrorKind::AddrNotAvailable.into());
        }
        let network = &core.world.network;
        let port = match address.port() {
            0 => network.free_port(&core.node),
            port => port,
        };
        let mut listeners = network.listeners.borrow_mut();
        if listeners.contains_key(&(core.node.id, port)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        let listening = Rc::new(Listening {
            life: core.life.clone(),
            address: SocketAddr::new(ip, port),
            backlog: backlog.max(1),
            waiting: RefCell::default(),
            waker: RefCell::default(),
        });
        listeners.insert((core.node.id, port), listening.clone());
        Ok(Listener { core: core.clone(), listening })
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.listening.address
    }

    pub(crate) async fn accept(&self) -> io::Result<Accepted> {
        let world = &self.core.world;
        let (id, connection) = poll_fn(|cx| {
            while let Some(id) = self.listening.waiting.borrow_mut().pop_front() {
                // It may have broken while it waited.
                if let Some(connection) = world.network.connection(id) {
                    return Poll::Ready((id, connection));
                }
            }
            self.listening.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        let peer = connection.address(Side::Client);
        Ok(Accepted { connection: Some(id), peer, inbox: world.inbox.clone() })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        // The sockets of a dead process have been seen to by `process_died`, or will be.
        if !self.core.life.is_alive.get() {
            return;
        }
        let world = &self.core.world;
        let key = (self.core.node.id, self.listening.address.port());
        world.network.listeners.borrow_mut().remove(&key);
        for id in self.listening.waiting.take() {
            unused(world, id);
        }
    }
}

/// `Send` by type, so that it can cross the mesh: it names its connection and does not hold it.
pub(crate) struct Accepted {
    /// Taken when it becomes a stream.
    connection: Option<u64>,
    peer: SocketAddr,
    inbox: Arc<Inbox>,
}

impl Accepted {
    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.peer
    }

    pub(crate) fn into_stream(mut self, core: &Rc<SimCore>) -> io::Result<Stream> {
        let connection = self.connection.take().and_then(|id| core.world.network.connection(id));
        let connection = connection.ok_or(io::ErrorKind::ConnectionReset)?;
        Ok(Stream { core: core.clone(), connection, side: Side::Server })
    }
}

impl Drop for Accepted {
    fn drop(&mut self) {
        if let Some(connection) = self.connection {
            self.inbox.put(Message::Unused { connection });
        }
    }
}

pub(crate) struct Stream {
    core: Rc<SimCore>,
    connection: Rc<Connection>,
    side: Side,
}

impl Stream {
    pub(crate) async fn connect(core: &Rc<SimCore>, address: SocketAddr) -> io::Result<Self> {
        let world = &core.world;
        let deadline = world.now() + world.knobs().connect_timeout;
        let mut retry = CONNECT_RETRY_INITIAL;
        loop {
            let delay = links::delay(world);
            core.sleep_until(world.now() + delay).await;
            match attempt(core, address) {
                Attempt::Refused => {
                    let delay = links::delay(world);
                    core.sleep_until(world.now() + delay).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Attempt::Accepted(stream) => {
                    let delay = links::delay(world);
                    core.sleep_until(world.now() + delay).await;
                    return Ok(stream);
                }
                Attempt::Unanswered => {}
            }
            if world.now() + retry >= deadline {
                core.sleep_until(deadline).await;
                return Err(io::ErrorKind::TimedOut.into());
            }
            core.sleep_until(world.now() + retry).await;
            retry *= 2;
        }
    }

    pub(crate) fn peer_address(&self) -> SocketAddr {
        self.connection.address(self.side.other())
    }

    pub(crate) fn local_address(&self) -> SocketAddr {
        self.connection.address(self.side)
    }

    pub(crate) async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let world = &self.core.world;
        let size_bytes = buffer.len();
        poll_fn(|cx| {
            let mut rest = &mut *buffer;
            self.connection.poll_read(world, self.side, &mut rest, size_bytes, cx)
        })
        .await
    }

    pub(crate) async fn read_into(&self, buffer: &mut BytesMut) -> io::Result<usize> {
        let world = &self.core.world;
        let size_bytes = buffer.capacity() - buffer.len();
        poll_fn(|cx| self.connection.poll_read(world, self.side, buffer, size_bytes, cx)).await
    }

    pub(crate) async fn write_all(&self, parts: &[Bytes]) -> io::Result<()> {
        for part in parts {
            let mut rest = &part[..];
            while !rest.is_empty() {
                let world = &self.core.world;
                let sent =
                    poll_fn(|cx| self.connection.poll_write(world, self.side, rest, cx)).await?;
                rest = &rest[sent..];
            }
        }
        Ok(())
    }

    pub(crate) fn shutdown(&self) {
        self.connection.shutdown(&self.core.world, self.side);
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // As for a listener.
        if self.core.life.is_alive.get() {
            self.connection.close(&self.core.world, self.side);
        }
    }
}

/// What the first segment of a connect met at the other side.
enum Attempt {
    Accepted(Stream),
    Refused,
    /// No host, no way there or back, or no place in the listener's queue.
    Unanswered,
}

fn attempt(core: &Rc<SimCore>, address: SocketAddr) -> Attempt {
    let world = &core.world;
    let Some(peer) = node_at(core, address.ip()) else { return Attempt::Unanswered };
    let links = &world.network.links;
    if !peer.has_power.get()
        || links.is_blocked(core.node.id, peer.id)
        || links.is_blocked(peer.id, core.node.id)
    {
        return Attempt::Unanswered;
    }
    let Some(listening) = world.network.listening(&peer, address) else { return Attempt::Refused };
    if listening.waiting.borrow().len() >= listening.backlog {
        return Attempt::Unanswered;
    }
    let local_ip = if address.ip().is_loopback() { address.ip() } else { core.node.ip };
    let local = SocketAddr::new(local_ip, world.network.free_port(&core.node));
    let id = world.network.next_connection.get();
    world.network.next_connection.set(id + 1);
    let connection = Connection::new(
        world,
        id,
        (core.node.clone(), core.life.clone(), local),
        (peer, listening.life.clone(), address),
    );
    world.network.connections.borrow_mut().insert(id, connection.clone());
    world.counters.borrow_mut().connections += 1;
    world.trace(Trace::Connect, id, u64::from(address.port()));
    listening.waiting.borrow_mut().push_back(id);
    let waker = listening.waker.take();
    waker.into_iter().for_each(Waker::wake);
    Attempt::Accepted(Stream { core: core.clone(), connection, side: Side::Client })
}

/// The host at `ip` as seen from `core`; its own for a loopback address.
fn node_at(core: &SimCore, ip: IpAddr) -> Option<Rc<Node>> {
    if ip.is_loopback() {
        return Some(core.node.clone());
    }
    core.world.nodes.borrow().iter().find(|node| node.ip == ip).cloned()
}

#[cfg(test)]
mod tests;
