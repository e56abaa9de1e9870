//! One TCP connection: two ends, the segments that travel between them, and how it ends.
//!
//! Bytes arrive in order and exactly once, as TCP promises. What varies is when, in which pieces, and
//! whether the connection survives. Bytes in flight in one direction are bounded from the send to the
//! read, so a slow reader stops its sender.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::{Buf, BufMut, Bytes};

use super::super::node::{Life, Node, NodeId};
use super::super::world::{TimerKey, Trace, World};
use super::links;
use crate::time::Instant;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Client = 0,
    Server = 1,
}

impl Side {
    pub(super) fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

pub(super) struct Connection {
    id: u64,
    ends: [End; 2],
}

/// One end, and what travels towards it.
struct End {
    node: Rc<Node>,
    life: Rc<Life>,
    address: SocketAddr,
    /// Bytes on their way to this end, in order.
    traveling: RefCell<VecDeque<Segment>>,
    arrived: RefCell<VecDeque<Bytes>>,
    /// Bytes that travel or have arrived and are not read.
    unread_bytes: Cell<usize>,
    unread_bytes_max: usize,
    /// Goes off when the next segment arrives.
    arrival: Cell<Option<TimerKey>>,
    /// Goes off when this end has waited too long for its own segments to be acknowledged.
    patience: Cell<Option<TimerKey>>,
    /// The peer has ended its direction, and all of it has arrived.
    peer_ended: Cell<bool>,
    /// This end has ended its own direction.
    has_ended: Cell<bool>,
    /// This end reads no more.
    reads_nothing: Cell<bool>,
    /// Why the connection broke, as this end learned it.
    error: Cell<Option<io::ErrorKind>>,
    /// No socket stands here any more: what arrives is answered with a reset.
    is_gone: Cell<bool>,
    reader: RefCell<Option<Waker>>,
    writer: RefCell<Option<Waker>>,
}

struct Segment {
    due: Instant,
    payload: Payload,
}

enum Payload {
    Data(Bytes),
    /// The sender's direction ends here.
    Fin,
}

impl End {
    fn new(world: &World, (node, life, address): (Rc<Node>, Rc<Life>, SocketAddr)) -> Self {
        let unread_bytes_max =
            world.network_random().within(world.knobs().socket_buffer_bytes.clone());
        End {
            node,
            life,
            address,
            traveling: RefCell::default(),
            arrived: RefCell::default(),
            unread_bytes: Cell::new(0),
            unread_bytes_max: usize::try_from(unread_bytes_max).unwrap_or(usize::MAX).max(1),
            arrival: Cell::new(None),
            patience: Cell::new(None),
            peer_ended: Cell::new(false),
            has_ended: Cell::new(false),
            reads_nothing: Cell::new(false),
            error: Cell::new(None),
            is_gone: Cell::new(false),
            reader: RefCell::default(),
            writer: RefCell::default(),
        }
    }

    fn wake_reader(&self) {
        let waker = self.reader.take();
        waker.into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&self) {
        let waker = self.writer.take();
        waker.into_iter().for_each(Waker::wake);
    }

    /// This end learns that the connection is broken. What had arrived can still be read.
    fn fail(&self, world: &World, error: io::ErrorKind) {
        if self.error.get().is_none() {
            self.error.set(Some(error));
        }
        self.forget_traveling(world);
        self.stop_waiting(world);
        self.is_gone.set(true);
        self.wake_reader();
        self.wake_writer();
    }

    fn forget_traveling(&self, world: &World) {
        let traveling = self.traveling.take();
        let lost: usize = traveling.iter().map(|segment| segment.payload.len()).sum();
        self.unread_bytes.set(self.unread_bytes.get() - lost);
        if let Some(timer) = self.arrival.take() {
            world.timers.cancel(timer);
        }
    }

    fn forget_arrived(&self) {
        let arrived: usize = self.arrived.take().iter().map(Bytes::len).sum();
        self.unread_bytes.set(self.unread_bytes.get() - arrived);
    }

    fn stop_waiting(&self, world: &World) {
        if let Some(timer) = self.patience.take() {
            world.timers.cancel(timer);
        }
    }
}

impl Payload {
    fn len(&self) -> usize {
        match self {
            Payload::Data(bytes) => bytes.len(),
            Payload::Fin => 0,
        }
    }
}

impl Connection {
    pub(super) fn new(
        world: &World,
        id: u64,
        client: (Rc<Node>, Rc<Life>, SocketAddr),
        server: (Rc<Node>, Rc<Life>, SocketAddr),
    ) -> Rc<Self> {
        Rc::new(Connection { id, ends: [End::new(world, client), End::new(world, server)] })
    }

    fn end(&self, side: Side) -> &End {
        &self.ends[side as usize]
    }

    pub(super) fn address(&self, side: Side) -> SocketAddr {
        self.end(side).address
    }

    pub(super) fn nodes(&self) -> [NodeId; 2] {
        [self.ends[0].node.id, self.ends[1].node.id]
    }

    /// Reads at most `size_bytes` into `buffer`, which has room for them.
    pub(super) fn poll_read(
        &self,
        world: &World,
        side: Side,
        buffer: &mut impl BufMut,
        size_bytes: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let end = self.end(side);
        if end.reads_nothing.get() || size_bytes == 0 {
            return Poll::Ready(Ok(0));
        }
        let read = self.take_arrived(world, end, buffer, size_bytes);
        if read > 0 {
            self.end(side.other()).wake_writer();
            return Poll::Ready(Ok(read));
        }
        if let Some(error) = end.error.get() {
            return Poll::Ready(Err(error.into()));
        }
        if end.peer_ended.get() {
            return Poll::Ready(Ok(0));
        }
        end.reader.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Moves bytes that have arrived into `buffer`: often all that fit, sometimes fewer.
    fn take_arrived(
        &self,
        world: &World,
        end: &End,
        buffer: &mut impl BufMut,
        size_bytes: usize,
    ) -> usize {
        let mut arrived = end.arrived.borrow_mut();
        let available: usize = arrived.iter().map(Bytes::len).sum();
        let mut wanted = available.min(size_bytes);
        if wanted == 0 {
            return 0;
        }
        let mut random = world.network_random();
        if random.chance(world.knobs().short_read) {
            wanted = random.index(wanted) + 1;
        }
        let mut filled = 0;
        while let Some(front) = arrived.front_mut()
            && filled < wanted
        {
            let count = front.len().min(wanted - filled);
            buffer.put_slice(&front[..count]);
            front.advance(count);
            filled += count;
            if front.is_empty() {
                arrived.pop_front();
            }
        }
        end.unread_bytes.set(end.unread_bytes.get() - filled);
        filled
    }

    /// Sends one segment of the front of `bytes`; waits while too much is in flight.
    pub(super) fn poll_write(
        self: &Rc<Self>,
        world: &Rc<World>,
        side: Side,
        bytes: &[u8],
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let end = self.end(side);
        if let Some(error) = end.error.get() {
            return Poll::Ready(Err(error.into()));
        }
        if end.has_ended.get() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let peer = self.end(side.other());
        let room = peer.unread_bytes_max.saturating_sub(peer.unread_bytes.get());
        if room == 0 {
            end.writer.replace(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        let size_max = bytes.len().min(room).min(world.knobs().segment_bytes_max.max(1));
        let size = world.network_random().within(size_max.div_ceil(2) as u64..size_max as u64 + 1);
        // Copied, as the kernel does: the sender's memory is free again once the call returns.
        let segment = Bytes::copy_from_slice(&bytes[..size as usize]);
        self.send(world, side, Payload::Data(segment));
        Poll::Ready(Ok(size as usize))
    }

    fn send(self: &Rc<Self>, world: &Rc<World>, from: Side, payload: Payload) {
        let to = self.end(from.other());
        let earliest = world.now() + links::delay(world);
        let last = to.traveling.borrow().back().map(|segment| segment.due);
        let due = last.map_or(earliest, |last| last.max(earliest));
        to.unread_bytes.set(to.unread_bytes.get() + payload.len());
        to.traveling.borrow_mut().push_back(Segment { due, payload });
        if to.arrival.get().is_none() {
            self.arrive_at(world, from.other(), due);
        }
    }

    fn arrive_at(self: &Rc<Self>, world: &Rc<World>, side: Side, due: Instant) {
        let connection = self.clone();
        let timer = world.after(due - world.now(), move |world| {
            connection.end(side).arrival.set(None);
            connection.arrive(world, side);
        });
        self.end(side).arrival.set(Some(timer));
    }

    /// Delivers what is due at `side`.
    fn arrive(self: &Rc<Self>, world: &Rc<World>, side: Side) {
        let (from, to) = (self.end(side.other()), self.end(side));
        let Some(due) = to.traveling.borrow().front().map(|segment| segment.due) else { return };
        let links = &world.network.links;
        if links.is_blocked(from.node.id, to.node.id) || !to.node.has_power.get() {
            // `links_changed` takes it up again.
            self.start_waiting(world, side.other());
            return;
        }
        if due > world.now() {
            self.arrive_at(world, side, due);
            return;
        }
        if world.network_random().chance(world.knobs().connection_broken) {
            world.count_fault("connection_broken");
            self.break_off(world);
            return;
        }
        if to.is_gone.get() {
            to.forget_traveling(world);
            self.send_reset(world, side.other());
            self.forget_if_over(world);
            return;
        }
        if links.is_blocked(to.node.id, from.node.id) {
            // It arrives, but the sender does not hear so.
            self.start_waiting(world, side.other());
        }
        let segment = to.traveling.borrow_mut().pop_front();
        if let Some(segment) = segment {
            world.trace(Trace::Deliver, self.id * 2 + side as u64, segment.payload.len() as u64);
            match segment.payload {
                Payload::Data(bytes) => {
                    world.counters.borrow_mut().network_bytes += bytes.len() as u64;
                    to.arrived.borrow_mut().push_back(bytes);
                }
                Payload::Fin => to.peer_ended.set(true),
            }
            to.wake_reader();
        }
        let next = to.traveling.borrow().front().map(|segment| segment.due);
        match next {
            Some(due) => self.arrive_at(world, side, due.max(world.now())),
            None => self.forget_if_over(world),
        }
    }

    /// The segments that `side` sent get nowhere: it gives up after a while.
    fn start_waiting(self: &Rc<Self>, world: &Rc<World>, side: Side) {
        if self.end(side).patience.get().is_some() {
            return;
        }
        let span = world.network_random().span(&world.knobs().retransmission_timeout);
        let connection = self.clone();
        let timer = world.after(span, move |world| {
            connection.end(side).patience.set(None);
            world.count_fault("connection_timed_out");
            connection.end(side.other()).forget_traveling(world);
            connection.end(side).fail(world, io::ErrorKind::TimedOut);
            connection.forget_if_over(world);
        });
        self.end(side).patience.set(Some(timer));
    }

    /// Tells `side` that nobody is at the other end, unless that message is lost too.
    fn send_reset(self: &Rc<Self>, world: &Rc<World>, side: Side) {
        let connection = self.clone();
        world.after(links::delay(world), move |world| {
            let (end, sender) = (connection.end(side), connection.end(side.other()));
            let is_lost = world.network.links.is_blocked(sender.node.id, end.node.id)
                || !end.node.has_power.get();
            if !is_lost && !end.is_gone.get() {
                world.trace(Trace::Deliver, connection.id * 2 + side as u64, u64::MAX);
                end.fail(world, io::ErrorKind::ConnectionReset);
                connection.forget_if_over(world);
            }
        });
    }

    /// Both ends learn at once that the connection is broken.
    pub(super) fn break_off(&self, world: &World) {
        for end in &self.ends {
            end.fail(world, io::ErrorKind::ConnectionReset);
        }
        self.forget_if_over(world);
    }

    /// Ends both directions of `side`; what it sent before still arrives.
    pub(super) fn shutdown(self: &Rc<Self>, world: &Rc<World>, side: Side) {
        let end = self.end(side);
        end.reads_nothing.set(true);
        self.end_direction(world, side);
        end.wake_reader();
        end.wake_writer();
    }

    fn end_direction(self: &Rc<Self>, world: &Rc<World>, side: Side) {
        let end = self.end(side);
        if !end.has_ended.replace(true) && end.error.get().is_none() {
            self.send(world, side, Payload::Fin);
        }
    }

    /// The socket of `side` is closed. A peer whose bytes were not read gets a reset, as from Linux.
    pub(super) fn close(self: &Rc<Self>, world: &Rc<World>, side: Side) {
        let end = self.end(side);
        if end.is_gone.replace(true) {
            self.forget_if_over(world);
            return;
        }
        let has_unread = !end.arrived.borrow().is_empty();
        end.forget_arrived();
        if has_unread {
            end.has_ended.set(true);
            self.end(side.other()).forget_traveling(world);
            self.send_reset(world, side.other());
        } else {
            self.end_direction(world, side);
        }
        self.end(side.other()).wake_writer();
        self.forget_if_over(world);
    }

    pub(super) fn process_died(
        self: &Rc<Self>,
        world: &Rc<World>,
        life: &Rc<Life>,
        has_power: bool,
    ) {
        for side in [Side::Client, Side::Server] {
            let end = self.end(side);
            if !Rc::ptr_eq(&end.life, life) {
                continue;
            }
            if has_power {
                self.close(world, side);
            } else {
                // What it sent is lost, except what is on the wire: that may go either way.
                end.is_gone.set(true);
                end.forget_arrived();
                end.stop_waiting(world);
                self.end(side.other()).forget_traveling(world);
            }
        }
    }

    pub(super) fn links_changed(self: &Rc<Self>, world: &Rc<World>) {
        for side in [Side::Client, Side::Server] {
            self.end(side).stop_waiting(world);
            let end = self.end(side);
            let is_stalled = end.arrival.get().is_none() && !end.traveling.borrow().is_empty();
            if is_stalled {
                self.arrive_at(world, side, world.now() + links::delay(world));
            }
        }
    }

    /// Drops the connection from the network once no one holds an end and nothing travels.
    fn forget_if_over(&self, world: &World) {
        let is_over =
            self.ends.iter().all(|end| end.is_gone.get() && end.traveling.borrow().is_empty());
        if is_over {
            self.ends.iter().for_each(|end| end.stop_waiting(world));
            let removed = world.network.connections.borrow_mut().remove(&self.id);
            drop(removed);
        }
    }
}
