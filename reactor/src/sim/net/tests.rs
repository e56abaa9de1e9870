use std::net::Ipv4Addr;

use super::*;
use crate::net::{Accepted as FacadeAccepted, TcpListener, TcpStream};
use crate::sim::{Crash, Knobs, Simulation};
use crate::sync::{Event, Queue};
use crate::{sleep, spawn, timeout};

const SECOND: Duration = Duration::from_secs(1);
const PORT: u16 = 9092;

fn ip(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn address() -> SocketAddr {
    SocketAddr::new(ip(1), PORT)
}

struct Pair {
    simulation: Simulation,
    server: NodeId,
    client: NodeId,
}

impl Pair {
    fn new(seed: u64, knobs: Knobs) -> Self {
        let simulation = Simulation::new(seed, knobs);
        let server = simulation.add_node("server", ip(1));
        let client = simulation.add_node("client", ip(2));
        Pair { simulation, server, client }
    }

    /// A connection between the two: the ends are put into queues that both sides can reach.
    fn connect(&self) -> (Rc<TcpStream>, Rc<TcpStream>) {
        let accepted = self.simulation.spawn_client(self.server, async {
            let listener = TcpListener::bind(address(), 8).unwrap();
            Rc::new(listener.accept().await.unwrap().into_stream().unwrap())
        });
        let connected = self.on_client(TcpStream::connect(address())).unwrap();
        let mut server = None;
        self.simulation.run_until(
            || {
                server = accepted.take_result();
                server.is_some()
            },
            SECOND,
        );
        (server.unwrap(), Rc::new(connected))
    }

    fn on_client<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        self.simulation.block_on(self.client, SECOND * 100, future).unwrap()
    }

    fn on_server<T: 'static>(&self, future: impl Future<Output = T> + 'static) -> T {
        self.simulation.block_on(self.server, SECOND * 100, future).unwrap()
    }
}

async fn read_to_end(stream: Rc<TcpStream>) -> (Vec<u8>, io::Result<()>) {
    let (mut all, mut buffer) = (Vec::new(), [0; 1_000]);
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return (all, Ok(())),
            Ok(read) => all.extend_from_slice(&buffer[..read]),
            Err(error) => return (all, Err(error)),
        }
    }
}

async fn write(stream: Rc<TcpStream>, size: usize) -> io::Result<()> {
    stream.write_all(&[Bytes::from(vec![7; size])]).await
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    result.err().expect("an error").kind()
}

#[test]
fn bytes_arrive_whole_and_in_order_however_slow_the_way() {
    for seed in 0..20 {
        let knobs = Knobs { connection_broken: 0.0, ..Knobs::hostile(seed) };
        let pair = Pair::new(seed, knobs);
        let (server, client) = pair.connect();
        let sent: Vec<u8> = (0..100_000u32).map(|number| (number % 251) as u8).collect();
        let parts: Vec<Bytes> = sent.chunks(7_001).map(Bytes::copy_from_slice).collect();
        let sending = pair.simulation.spawn_client(pair.client, async move {
            client.write_all(&parts).await.unwrap();
        });
        let (received, end) =
            pair.simulation.block_on(pair.server, SECOND * 3600, read_to_end(server)).unwrap();
        assert!(end.is_ok());
        assert!(received == sent, "seed {seed}");
        drop(sending);
    }
}

#[test]
fn a_slow_reader_stops_its_sender() {
    let knobs = Knobs { socket_buffer_bytes: 10_000..10_001, ..Knobs::default() };
    let pair = Pair::new(1, knobs);
    let (server, client) = pair.connect();
    let progress = Rc::new(Cell::new(0));
    let counted = progress.clone();
    let _sending = pair.simulation.spawn_client(pair.client, async move {
        for _ in 0..100 {
            write(client.clone(), 1_000).await.unwrap();
            counted.set(counted.get() + 1);
        }
    });
    pair.simulation.run_for(SECOND * 10);
    assert_eq!(progress.get(), 10);
    let reader = server.clone();
    let read = pair.on_server(async move { reader.read(&mut [0; 5_000]).await.unwrap() });
    pair.simulation.run_for(SECOND);
    assert_eq!(progress.get(), 10 + read / 1_000);
    drop(server);
}

#[test]
fn a_connect_is_refused_or_hears_nothing() {
    let pair = Pair::new(1, Knobs::default());
    let connect = || pair.on_client(TcpStream::connect(address()));
    assert_eq!(kind(connect()), io::ErrorKind::ConnectionRefused);
    pair.simulation.crash(pair.server, Crash::Kill);
    assert_eq!(kind(connect()), io::ErrorKind::ConnectionRefused);
    pair.simulation.crash(pair.server, Crash::PowerLoss);
    assert_eq!(kind(connect()), io::ErrorKind::TimedOut);
    let nobody = SocketAddr::new(ip(77), PORT);
    assert_eq!(kind(pair.on_client(TcpStream::connect(nobody))), io::ErrorKind::TimedOut);
}

#[test]
fn a_connect_outlasts_a_short_partition() {
    let pair = Pair::new(1, Knobs::default());
    let _server = pair.simulation.spawn_client(pair.server, async {
        let listener = TcpListener::bind(address(), 8).unwrap();
        let _accepted = listener.accept().await.unwrap();
        std::future::pending::<()>().await;
    });
    pair.simulation.partition_one_way(pair.server, pair.client);
    let connecting = pair.simulation.spawn_client(pair.client, TcpStream::connect(address()));
    pair.simulation.run_for(SECOND * 2);
    assert!(connecting.take_result().is_none());
    pair.simulation.heal();
    pair.simulation.run_for(SECOND * 5);
    assert!(connecting.take_result().unwrap().is_ok());
}

#[test]
fn an_address_has_one_listener() {
    let pair = Pair::new(1, Knobs::default());
    pair.on_server(async {
        let listener = TcpListener::bind(address(), 8).unwrap();
        assert_eq!(kind(TcpListener::bind(address(), 8)), io::ErrorKind::AddrInUse);
        drop(listener);
        TcpListener::bind(address(), 8).unwrap();
        let elsewhere = SocketAddr::new(ip(2), PORT);
        assert_eq!(kind(TcpListener::bind(elsewhere, 8)), io::ErrorKind::AddrNotAvailable);
        let anywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), 0);
        let [first, second] = [0, 1].map(|_| TcpListener::bind(anywhere, 8).unwrap());
        assert_ne!(first.local_address().port(), second.local_address().port());
        // Its own host reaches it by loopback, with an address of loopback.
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), first.local_address().port());
        let stream = TcpStream::connect(address).await.unwrap();
        assert_eq!(stream.peer_address(), address);
        assert!(stream.local_address().ip().is_loopback());
        let accepted = first.accept().await.unwrap();
        assert_eq!(accepted.peer_address(), stream.local_address());
    });
}

#[test]
fn an_accepted_connection_crosses_cores_and_closes_when_dropped() {
    fn assert_send<T: Send>(_: &T) {}
    let pair = Pair::new(1, Knobs::default());
    let queue: Queue<FacadeAccepted> = Queue::new(1);
    pair.simulation.start(pair.server, vec![queue.clone(), queue], |core, queue| async move {
        if core.0 == 0 {
            let listener = TcpListener::bind(address(), 8).unwrap();
            loop {
                let accepted = listener.accept().await.unwrap();
                assert_send(&accepted);
                assert!(queue.push(accepted).await.is_ok());
            }
        }
        let stream = queue.pop().await.unwrap().into_stream().unwrap();
        stream.write_all(&[Bytes::from_static(b"hello")]).await.unwrap();
        drop(queue.pop().await);
        std::future::pending::<()>().await;
    });
    let (hello, unused) = pair.on_client(async {
        let first = Rc::new(TcpStream::connect(address()).await.unwrap());
        let mut buffer = [0; 5];
        let mut read = 0;
        while read < 5 {
            read += first.read(&mut buffer[read..]).await.unwrap();
        }
        let second = Rc::new(TcpStream::connect(address()).await.unwrap());
        (buffer, read_to_end(second).await)
    });
    assert_eq!(&hello, b"hello");
    assert!(unused.0.is_empty() && unused.1.is_ok());
}

#[test]
fn a_full_backlog_makes_connects_wait() {
    let pair = Pair::new(1, Knobs::default());
    let go = Event::new();
    let may_accept = go.clone();
    let _server = pair.simulation.spawn_client(pair.server, async move {
        let listener = TcpListener::bind(address(), 1).unwrap();
        may_accept.wait().await;
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await.unwrap());
        }
    });
    let connect = || pair.simulation.spawn_client(pair.client, TcpStream::connect(address()));
    let both = [connect(), connect()];
    pair.simulation.run_for(SECOND / 2);
    let connected = both.iter().filter_map(|client| client.take_result()).count();
    assert_eq!(connected, 1);
    go.set();
    pair.simulation.run_for(SECOND * 2);
    assert_eq!(both.iter().filter_map(|client| client.take_result()).count(), 1);
}

#[test]
fn a_close_ends_the_stream_after_its_bytes() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    pair.on_client(async move { write(client, 5_000).await.unwrap() });
    let (bytes, end) = pair.on_server(read_to_end(server.clone()));
    assert!(end.is_ok());
    assert_eq!(bytes.len(), 5_000);
    // Nobody is there: the first write is answered with a reset, which the next one meets.
    let late = pair.on_server(async move {
        write(server.clone(), 10).await.unwrap();
        sleep(SECOND).await;
        write(server, 10).await
    });
    assert_eq!(kind(late), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_close_with_unread_bytes_resets_the_peer() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    let peer = client.clone();
    pair.on_client(async move { write(peer, 5_000).await.unwrap() });
    pair.simulation.run_for(SECOND);
    drop(server);
    let (_, end) = pair.on_client(read_to_end(client));
    assert_eq!(kind(end), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_shutdown_wakes_a_pending_read_and_ends_the_peer_s() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    let own = server.clone();
    let reading = pair.simulation.spawn_client(pair.server, read_to_end(own));
    pair.simulation.run_for(SECOND);
    server.shutdown();
    let writing = pair.on_server(write(server.clone(), 1));
    assert_eq!(kind(writing), io::ErrorKind::BrokenPipe);
    pair.simulation.run_for(SECOND);
    assert!(reading.take_result().unwrap().1.is_ok());
    assert!(pair.on_client(read_to_end(client)).1.is_ok());
}

#[test]
fn a_killed_process_closes_its_connections() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    pair.simulation.crash(pair.server, Crash::Kill);
    let ended = pair.on_client(timeout(SECOND, read_to_end(client)));
    assert!(ended.is_ok(), "the peer hears of it");
    drop(server);
}

#[test]
fn a_host_without_power_is_silent_until_it_is_back() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    pair.simulation.crash(pair.server, Crash::PowerLoss);
    let silent = pair.on_client(timeout(SECOND * 5, read_to_end(client.clone())));
    assert!(silent.is_err(), "nothing is heard");
    let writer = client.clone();
    pair.on_client(async move { write(writer, 10).await.unwrap() });
    pair.simulation.start(pair.server, vec![()], |_, ()| std::future::pending());
    let (_, end) = pair.on_client(read_to_end(client));
    assert_eq!(kind(end), io::ErrorKind::ConnectionReset);
    drop(server);
}

#[test]
fn a_partition_stalls_and_then_heals_or_times_out() {
    for (cut_seconds, is_over) in [(5, false), (60, true)] {
        let pair = Pair::new(1, Knobs::default());
        let (server, client) = pair.connect();
        pair.simulation.partition_one_way(pair.client, pair.server);
        let writer = client.clone();
        pair.on_client(async move { write(writer, 1).await.unwrap() });
        let mut reading = pair.simulation.spawn_client(pair.server, {
            let server = server.clone();
            async move { server.read(&mut [0; 100]).await }
        });
        pair.simulation.run_for(SECOND * cut_seconds);
        assert!(reading.take_result().is_none(), "cut for {cut_seconds} s");
        pair.simulation.heal();
        pair.simulation.run_for(SECOND);
        if !is_over {
            assert_eq!(reading.take_result().unwrap().unwrap(), 1);
            continue;
        }
        // The sender has given up; its peer learns so when it sends something itself.
        assert_eq!(kind(pair.on_client(write(client, 1))), io::ErrorKind::TimedOut);
        assert!(reading.take_result().is_none());
        reading = pair.simulation.spawn_client(pair.server, async move {
            write(server.clone(), 1).await.unwrap();
            server.read(&mut [0; 100]).await
        });
        pair.simulation.run_for(SECOND);
        assert_eq!(kind(reading.take_result().unwrap()), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn a_sender_that_hears_no_acknowledgement_gives_up() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    pair.simulation.partition_one_way(pair.server, pair.client);
    let writer = client.clone();
    pair.on_client(async move { write(writer, 1).await.unwrap() });
    pair.simulation.run_for(SECOND * 60);
    let read = pair.on_server(async move { server.read(&mut [0; 100]).await });
    assert_eq!(read.unwrap(), 1, "that way was open");
    assert_eq!(kind(pair.on_client(write(client, 1))), io::ErrorKind::TimedOut);
}

#[test]
fn connections_break_when_asked_and_by_chance() {
    let pair = Pair::new(1, Knobs::default());
    let (server, client) = pair.connect();
    pair.simulation.break_connections(pair.client, pair.server);
    assert_eq!(kind(pair.on_client(write(client, 1))), io::ErrorKind::ConnectionReset);
    assert_eq!(kind(pair.on_server(write(server, 1))), io::ErrorKind::ConnectionReset);

    let pair = Pair::new(1, Knobs { connection_broken: 1.0, ..Knobs::default() });
    let (server, client) = pair.connect();
    pair.on_client(async move { write(client, 1).await.unwrap() });
    assert_eq!(kind(pair.on_server(read_to_end(server)).1), io::ErrorKind::ConnectionReset);
    assert_eq!(pair.simulation.counters().faults["connection_broken"], 1);
}

#[test]
fn reads_come_short_and_segments_late() {
    let knobs = Knobs { short_read: 1.0, segment_lost: 0.5, ..Knobs::default() };
    let pair = Pair::new(1, knobs);
    let (server, client) = pair.connect();
    pair.on_client(async move {
        let writing = spawn(write(client.clone(), 100_000));
        writing.await.unwrap();
        sleep(SECOND * 5).await;
    });
    let (reads, _) = pair.on_server(async move {
        let (mut reads, mut bytes) = (0, 0);
        while bytes < 100_000 {
            bytes += server.read(&mut [0; 100_000]).await.unwrap();
            reads += 1;
        }
        (reads, server)
    });
    assert!(reads > 3, "{reads} reads");
    assert!(pair.simulation.counters().faults["segment_lost"] > 0);
}

#[test]
fn connections_that_are_over_are_forgotten() {
    let pair = Pair::new(1, Knobs::default());
    for _ in 0..10 {
        let (server, client) = pair.connect();
        pair.on_client(async move { write(client, 10).await.unwrap() });
        pair.on_server(read_to_end(server)).1.unwrap();
    }
    pair.simulation.run_for(SECOND * 60);
    let left = pair.simulation.world.network.connections.borrow().len();
    assert_eq!(left, 0);
}
