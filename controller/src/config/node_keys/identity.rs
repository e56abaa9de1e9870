//! Keys of a node: who a node is, its quorum and its metadata log.

use crate::config::key::{Key, keys};

pub const IDENTITY: &[Key] = keys! {
    /// How often a broker tells the controller that it is alive.
    "broker.heartbeat.interval.ms": Int = "2000", Any, Medium, ReadOnly, NoEffect;
    /// The former name of `node.id`, read where that is not set.
    "broker.id": Int = "-1", Any, High, ReadOnly, Honoured;
    /// The rack, zone or room that this broker stands in. Replicas of a partition are spread over
    /// racks, and clients are told of them.
    "broker.rack": String, Any, Medium, ReadOnly, Honoured;
    /// How long the controller waits for a broker's heartbeat before it fences the broker.
    "broker.session.timeout.ms": Int = "9000", Any, Medium, ReadOnly, Honoured;
    /// Classes that fetch values from elsewhere. Values with `${...}` would be taken literally, so
    /// setting it is refused.
    "config.providers": List = "", Items, Low, ClusterWide, Refused;
    /// The names of the listeners that belong to the controller; all other listeners are for
    /// clients.
    "controller.listener.names": List, Items, High, ReadOnly, Honoured;
    /// How long the leader of the quorum gathers writes into one batch.
    "controller.quorum.append.linger.ms": Int = "25", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// Whether a controller makes itself a voter of a dynamic quorum when it starts.
    "controller.quorum.auto.join.enable": Boolean = "false", Any, Low, ReadOnly, NoEffect;
    /// Where the voters of a dynamic quorum are found, as `host:port`.
    "controller.quorum.bootstrap.servers": List = "", Any, High, ReadOnly, Honoured;
    /// The longest pause between two elections that nobody has won.
    "controller.quorum.election.backoff.max.ms": Int = "1000", AtLeast(0), High, ReadOnly, NoEffect;
    /// How long a voter waits for a leader's word before it stands for election.
    "controller.quorum.election.timeout.ms": Int = "1000", AtLeast(0), High, ReadOnly, NoEffect;
    /// The most bytes of the metadata log that one voter fetches at a time.
    "controller.quorum.fetch.max.bytes": Int = "1048576", AtLeast(1), Low, ReadOnly, NoEffect;
    /// The most bytes of a metadata snapshot that one voter fetches at a time.
    "controller.quorum.fetch.snapshot.max.bytes": Int = "1048576",
        AtLeast(1), Low, ReadOnly, NoEffect;
    /// How long a voter may fail to fetch from the leader before it stands for election, and a
    /// leader may go without a majority's fetches before it resigns.
    "controller.quorum.fetch.timeout.ms": Int = "2000", AtLeast(0), High, ReadOnly, NoEffect;
    /// How long a member of the quorum waits for another one's answer.
    "controller.quorum.request.timeout.ms": Int = "2000", AtLeast(0), Medium, ReadOnly, NoEffect;
    /// The pause before a failed request within the quorum is sent again.
    "controller.quorum.retry.backoff.ms": Int = "20", AtLeast(0), Low, ReadOnly, NoEffect;
    /// The voters of a static quorum, as `id@host:port`. Only a quorum of this node alone is
    /// implemented.
    "controller.quorum.voters": List = "", Any, High, ReadOnly, Honoured;
    /// How long a channel from the controller to a broker waits for the socket.
    "controller.socket.timeout.ms": Int = "30000", Any, Medium, ReadOnly, NoEffect;
    /// How long a starting broker tries to register with the controller before it gives up.
    "initial.broker.registration.timeout.ms": Int = "60000", Any, Medium, ReadOnly, NoEffect;
    /// The directory of the metadata log; where it is not set, the first of `log.dirs`.
    "metadata.log.dir": String, Any, High, ReadOnly, Honoured;
    /// How many bytes of records are written to the metadata log before a snapshot replaces them.
    "metadata.log.max.record.bytes.between.snapshots": Long = "20971520",
        AtLeast(1), High, ReadOnly, Honoured;
    /// The longest time between two snapshots of the metadata, where records were written in
    /// between; 0 for none by time.
    "metadata.log.max.snapshot.interval.ms": Long = "3600000", AtLeast(0), High, ReadOnly, Honoured;
    /// The size at which a new segment of the metadata log begins.
    "metadata.log.segment.bytes": Int = "1073741824", AtLeast(8_388_608), High, ReadOnly, Honoured;
    /// The age at which a new segment of the metadata log begins.
    "metadata.log.segment.ms": Long = "604800000", Any, High, ReadOnly, Honoured;
    /// How often an idle controller writes a record that does nothing, so that the log's end moves;
    /// 0 for never.
    "metadata.max.idle.interval.ms": Int = "500", AtLeast(0), Low, ReadOnly, NoEffect;
    /// How many bytes of metadata log and snapshots are kept beyond what is needed to start.
    "metadata.max.retention.bytes": Long = "104857600", Any, High, ReadOnly, Honoured;
    /// How long segments of the metadata log and snapshots are kept beyond what is needed to start.
    "metadata.max.retention.ms": Long = "604800000", Any, High, ReadOnly, Honoured;
    /// Where metrics (`/metrics`, in Prometheus' format) and the node's state (`/healthz`, `/readyz`)
    /// are served over HTTP, to whoever can reach it; nowhere where it is not set.
    "millrace.admin.listener": String, Endpoint, Low, ReadOnly, Honoured;
    /// How many cores the node runs on; where it is not set, all that the process may use. Each
    /// core is a thread with its own partitions and connections.
    "millrace.cores": Int, Between(1, 1_024), Low, ReadOnly, Honoured;
    /// The memory of the whole node; where it is not set, 1 GiB for each core, but no more than a
    /// quarter of what the host has.
    "millrace.memory.bytes": Long, AtLeast(1), Low, ReadOnly, Honoured;
    /// The number of this node in its cluster. It is written to the log directories and cannot be
    /// changed afterwards.
    "node.id": Int, AtLeast(0), High, ReadOnly, Honoured;
    /// What this process is: `broker`, `controller`, or both. Only the combined role
    /// `broker,controller` is implemented.
    "process.roles": List, SubsetOf(&["broker", "controller"]), High, ReadOnly, Honoured;
};
