//! Kafka's limits of connections: in all, of one address, by rate, and of idle ones.

use std::net::SocketAddr;
use std::time::Duration;

use protocol::messages::{MetadataRequest, MetadataResponse};
use reactor::Instant;
use reactor::sim::{Knobs, NodeId, Simulation};
use simulator::broker_node::BrokerNode;
use simulator::client::{ClientError, Connection};

const TIMEOUT: Duration = Duration::from_secs(120);

struct World {
    simulation: Simulation,
    address: SocketAddr,
    _broker: BrokerNode,
}

impl World {
    /// A broker that listens.
    fn new(overrides: &str) -> World {
        let simulation = Simulation::new(1, Knobs::default());
        let broker = BrokerNode::add(&simulation, 2, storage::Settings::default(), overrides);
        let broker = broker.expect("formatted");
        let address = broker.address();
        broker.start(&simulation);
        let world = World { simulation, address, _broker: broker };
        // From an address of its own, which has no other connection.
        let first = world.host(9);
        world.finish(first, async move {
            while Connection::open(address, TIMEOUT).await.is_err() {
                reactor::sleep(Duration::from_millis(100)).await;
            }
        });
        world
    }

    fn host(&self, last: u8) -> NodeId {
        self.simulation.add_node(&format!("host-{last}"), [10, 0, 0, last].into())
    }

    fn finish<T: 'static, F: Future<Output = T> + 'static>(&self, host: NodeId, client: F) -> T {
        self.simulation.block_on(host, Duration::from_secs(600), client).expect("it ends")
    }
}

async fn open(address: SocketAddr) -> Connection {
    Connection::open(address, TIMEOUT).await.expect("connected, and answered")
}

async fn is_refused(address: SocketAddr) -> bool {
    matches!(Connection::open(address, TIMEOUT).await, Err(ClientError::Connection(_)))
}

#[test]
fn connections_are_limited_in_all_and_by_address() {
    let world = World::new(
        "max.connections=6\nmax.connections.per.ip=3\nmax.connections.per.ip.overrides=10.0.0.4:1\n",
    );
    let address = world.address;
    let began = world.simulation.now();
    let at = move |seconds| reactor::sleep_until(began + Duration::from_secs(seconds));
    let usual = world.simulation.spawn_client(world.host(2), async move {
        let mut held = vec![open(address).await, open(address).await, open(address).await];
        assert!(is_refused(address).await, "a fourth one of an address that may have three");
        at(20).await;
        held.pop();
        at(60).await;
    });
    let exceptional = world.simulation.spawn_client(world.host(4), async move {
        at(1).await;
        let _held = open(address).await;
        assert!(is_refused(address).await, "a second one of an address that may have one");
        at(60).await;
    });
    let late = world.finish(world.host(3), async move {
        at(2).await;
        let _held = (open(address).await, open(address).await);
        let _waited = open(address).await;
        let answered: Instant = reactor::now();
        // Behind the ends of the others.
        at(61).await;
        answered - began
    });
    assert!((20..25).contains(&late.as_secs()), "the seventh one has its place after {late:?}");
    assert!(usual.take_result().is_some() && exceptional.take_result().is_some());
    let marks = world.simulation.marks();
    for mark in ["address_has_too_many_connections", "connections_wait_for_a_place"] {
        assert!(marks.contains_key(mark), "{mark}: {marks:?}");
    }
}

#[test]
fn connections_that_come_too_fast_are_paced() {
    let world = World::new("max.connection.creation.rate=2\n");
    let address = world.address;
    let took = world.finish(world.host(2), async move {
        let began = reactor::now();
        let mut held = Vec::new();
        // Twenty at once, since nobody came for ten seconds before; then two a second.
        for _ in 0..40 {
            held.push(open(address).await);
        }
        reactor::now() - began
    });
    assert!((8..12).contains(&took.as_secs()), "{took:?}");
    assert!(world.simulation.marks().contains_key("connections_come_too_fast"));
}

#[test]
fn idle_connections_end_and_busy_ones_stay() {
    let world = World::new("connections.max.idle.ms=5000\n");
    let address = world.address;
    world.finish(world.host(2), async move {
        let mut connection = open(address).await;
        let request = MetadataRequest::default();
        for _ in 0..5 {
            reactor::sleep(Duration::from_secs(4)).await;
            let answered: Result<MetadataResponse, _> = connection.call(&request, 12).await;
            answered.expect("it was not idle for five seconds");
        }
        reactor::sleep(Duration::from_secs(6)).await;
        let answered: Result<MetadataResponse, _> = connection.call(&request, 12).await;
        assert!(answered.is_err(), "it was idle for six seconds");
    });
}
