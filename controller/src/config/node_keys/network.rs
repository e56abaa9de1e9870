//! Keys of a node: listeners, connections and threads.

use crate::config::key::{Key, keys};

pub const NETWORK: &[Key] = keys! {
    /// What clients are told to connect to, where that differs from `listeners`.
    "advertised.listeners": List, Items, High, ReadOnly, Honoured;
    /// Threads for work in the background. Here each core does its own.
    "background.threads": Int = "10", AtLeast(1), High, ClusterWide, NoEffect;
    /// How long the closing of a connection that failed to authenticate is put off.
    "connection.failed.authentication.delay.ms": Int = "100", AtLeast(0), Low, ReadOnly, NoEffect;
    /// How long a connection may be idle before it is closed; negative for any time.
    "connections.max.idle.ms": Long = "600000", Any, Medium, ReadOnly, Honoured;
    /// After how long a SASL connection must authenticate again; 0 for never.
    "connections.max.reauth.ms": Long = "0", Any, Medium, ReadOnly, NoEffect;
    /// Listeners that open before the authorizer is ready.
    "early.start.listeners": List, Items, High, ReadOnly, NoEffect;
    /// The name of the listener that brokers use among themselves.
    "inter.broker.listener.name": String, Any, Medium, ReadOnly, Honoured;
    /// The security protocol of each listener's name. Only `PLAINTEXT` is implemented for the
    /// listener of clients.
    "listener.security.protocol.map": String = "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
        Any, Low, PerBroker, Honoured;
    /// Where the node listens, as `NAME://host:port`; an empty host means all addresses.
    "listeners": List = "PLAINTEXT://:9092", Items, High, PerBroker, Honoured;
    /// How many connections are accepted each second; who comes faster waits.
    "max.connection.creation.rate": Int = "2147483647", AtLeast(0), Medium, ClusterWide, Honoured;
    /// How many connections the broker keeps at once; one more waits for a place.
    "max.connections": Int = "2147483647", AtLeast(0), Medium, ClusterWide, Honoured;
    /// How many connections one address may keep at once; one more is closed.
    "max.connections.per.ip": Int = "2147483647", AtLeast(0), Medium, ClusterWide, Honoured;
    /// Other numbers of connections for single addresses or hosts, as `host:count`. Names are looked
    /// up when the broker starts.
    "max.connections.per.ip.overrides": String = "", HostCounts, Medium, ClusterWide, Honoured;
    /// The most partitions that one DescribeTopicPartitions request is answered with.
    "max.request.partition.size.limit": Int = "2000", AtLeast(1), Medium, ReadOnly, Honoured;
    /// Threads that serve requests. Here each core serves its own.
    "num.io.threads": Int = "8", AtLeast(1), High, ClusterWide, NoEffect;
    /// Threads that move bytes between sockets and requests. Here each core serves its own
    /// connections.
    "num.network.threads": Int = "3", AtLeast(1), High, ClusterWide, NoEffect;
    /// How many bytes of requests may wait for a thread; -1 for any. Here the bound follows from
    /// the node's memory.
    "queued.max.request.bytes": Long = "-1", Any, Medium, ReadOnly, NoEffect;
    /// How many requests may wait for a thread. Here requests are bounded by their memory.
    "queued.max.requests": Int = "500", AtLeast(1), High, ReadOnly, NoEffect;
    /// How long this node waits for another one's answer.
    "request.timeout.ms": Int = "30000", Any, High, ReadOnly, NoEffect;
    /// The security protocol between brokers, where `inter.broker.listener.name` does not name a
    /// listener. Only `PLAINTEXT` is implemented.
    "security.inter.broker.protocol": String = "PLAINTEXT",
        OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]), Medium, ReadOnly, Refused;
    /// How long any attempt to connect to another node may take.
    "socket.connection.setup.timeout.max.ms": Long = "30000", Any, Medium, ReadOnly, NoEffect;
    /// How long the first attempt to connect to another node may take.
    "socket.connection.setup.timeout.ms": Long = "10000", Any, Medium, ReadOnly, NoEffect;
    /// How many connections may wait to be accepted. The kernel's own limit applies too.
    "socket.listen.backlog.size": Int = "50", AtLeast(1), Medium, ReadOnly, Honoured;
    /// The receive buffer of a socket. Here the kernel sizes it.
    "socket.receive.buffer.bytes": Int = "102400", Any, High, ReadOnly, NoEffect;
    /// The largest request; a connection that sends a larger one is closed.
    "socket.request.max.bytes": Int = "104857600", AtLeast(1), High, ReadOnly, Honoured;
    /// The send buffer of a socket. Here the kernel sizes it.
    "socket.send.buffer.bytes": Int = "102400", Any, High, ReadOnly, NoEffect;
};
