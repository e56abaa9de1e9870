//! A core from start to stop: what `reactor::launch` runs on each, and the simulator too.

use std::rc::Rc;
use std::sync::Arc;

use controller::config::NodeLayers;
use reactor::CoreIndex;
use reactor::mesh::{self, Port};
use reactor::outside;
use reactor::sync::Event;
use reactor::task::Group;
use storage::{LogOffsets, TopicPartition};

use super::checkpoints::write_checkpoints;
use super::compaction;
use super::core::{Core, Node};
use super::inbox::{self, InboxTargets};
use super::message::{Closed, ClosedPartition, CoreReply, CoreRequest};
use super::prepare::Preparer;
use super::together::together;
use super::upkeep;
use crate::config::{BrokerConfig, ConnectionLimits, MemoryShares};
use crate::controller_core::{ControllerCore, Publisher};
use crate::metrics::{Question, answer_questions};
use crate::net::{Acceptor, ConnectionCounts};
use crate::process::{Fatal, Stop};
use crate::replica::Partition;

/// Requests that one core may have waiting at another before its connections stop reading. A request
/// holds its frame's memory, which has its own bound; this one keeps a slow core's backlog short.
const MESH_CREDITS: usize = 128;

/// What one core is started with.
pub struct CoreSeed {
    node: Arc<Node>,
    port: Port<CoreRequest, CoreReply>,
    /// On the controller core: the word to stop, from outside.
    stop: Option<Stop>,
    fatal: Fatal,
    /// From a thread that looks at this core, if there is one.
    questions: Option<outside::Receiver<Question>>,
}

impl CoreSeed {
    /// The core will answer these.
    pub fn take_questions(&mut self, questions: outside::Receiver<Question>) {
        self.questions = Some(questions);
    }
}

/// Seeds for `core_count` cores of one node. They get the memory that `config` names, at least what works.
pub fn seeds(config: BrokerConfig, core_count: usize, stop: Stop, fatal: Fatal) -> Vec<CoreSeed> {
    let memory_size_bytes = config.memory_size_bytes.unwrap_or_default();
    let node = Arc::new(Node {
        memory: MemoryShares::new(memory_size_bytes, core_count, &config),
        config,
        // The last core shares its CPU with the controller.
        controller_core: CoreIndex(core_count - 1),
        accepting_core: CoreIndex(0),
    });
    let mut stop = Some(stop);
    mesh::connect(core_count, MESH_CREDITS)
        .into_iter()
        .enumerate()
        .map(|(index, port)| CoreSeed {
            node: node.clone(),
            port,
            stop: if node.controller_core == CoreIndex(index) { stop.take() } else { None },
            fatal: fatal.clone(),
            questions: None,
        })
        .collect()
}

/// Runs one core until the node stops.
pub async fn run(index: CoreIndex, seed: CoreSeed) {
    let CoreSeed { node, port, stop, fatal, questions } = seed;
    let (mesh, inbox) = port.attach();
    let core = Core::new(index, node, mesh);
    // From the first turn on: a start may take long, and is to be seen.
    let _answering =
        questions.map(|questions| reactor::spawn(answer_questions(core.clone(), questions)));
    let preparer = Preparer::new(core.clone());
    let is_controller = index == core.node.controller_core;
    let is_accepting = index == core.node.accepting_core;
    let publisher = is_controller.then(|| Publisher::new(core.clone()));
    let config = &core.node.config;
    let counts = is_accepting.then(|| {
        let layers = NodeLayers::of_file(config.properties.entries());
        let limits = ConnectionLimits::new(&layers, &config.host_addresses);
        Rc::new(ConnectionCounts::new(core.mesh.core_count(), limits, config.quota_windows))
    });
    let (serve, stop_word) = (Event::new(), Event::new());
    let inbox_task = reactor::spawn(inbox::run(
        core.clone(),
        inbox,
        InboxTargets {
            preparer: preparer.clone(),
            publisher: publisher.clone(),
            connection_counts: counts.clone(),
            serve: serve.clone(),
            stop: stop_word.clone(),
        },
    ));
    let background = Group::new();
    let deadlines_end = Event::new();
    background.spawn({
        let (deadlines, end) = (core.deadlines.clone(), deadlines_end.clone());
        async move { deadlines.run(&end).await }
    });
    background.spawn(preparer.run());
    background.spawn(upkeep::run(core.clone()));
    background.spawn(compaction::run(core.clone()));
    if let Some(counts) = counts {
        background.spawn(accept(core.clone(), counts, serve, fatal.clone()));
    }
    let controller = publisher.zip(stop).map(|(publisher, stop)| {
        reactor::spawn(ControllerCore::run(core.clone(), publisher, stop, fatal))
    });
    stop_word.wait().await;
    let closed = end(&core).await;
    core.mesh.control(core.node.controller_core, CoreRequest::Stopped(closed));
    if let Some(controller) = controller {
        controller.await;
    }
    deadlines_end.set();
    background.ended().await;
    drop(inbox_task);
}

/// Takes the address, and accepts once the broker is part of its cluster.
async fn accept(core: Rc<Core>, counts: Rc<ConnectionCounts>, serve: Event, fatal: Fatal) {
    let config = &core.node.config;
    let Some(address) = config.listen_address else {
        return fatal.raise(format!("{}: no address", config.listener));
    };
    let acceptor = match Acceptor::bind(address, config.socket_listen_backlog).await {
        Ok(acceptor) => acceptor,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            return fatal.raise(format!(
                "cannot listen on {}: another process does; stop it, or set another port in \
                 listeners",
                config.listener
            ));
        }
        Err(error) => {
            return fatal.raise(format!("cannot listen on {}: {error}", config.listener));
        }
    };
    futures_lite::future::or(serve.wait(), core.stop.wait()).await;
    if !core.stop.is_set() {
        tracing::info!(listener = %config.listener, "accepting connections");
        core.counts.is_accepting.set(true);
        acceptor.run(core.clone(), counts).await;
    }
}

/// Ends connections, then closes the logs: what was read is still answered.
async fn end(core: &Rc<Core>) -> Closed {
    core.stop.set();
    core.finish_all_fetches();
    core.connections.ended().await;
    core.tasks.ended().await;
    let partitions = core.partitions();
    for (_, partition) in &partitions {
        // Another core may still ask, until the word to stop has reached it too.
        partition.withdraw();
    }
    let mut closed = Closed::default();
    for outcome in together(partitions.clone(), |(_, partition)| close(partition)).await {
        match outcome {
            Ok(partition) => closed.partitions.push(partition),
            Err(directory) => drop(closed.unclean.insert(directory)),
        }
    }
    for (directory, volume) in core.volumes.iter().enumerate() {
        let had_failed = volume.failure().is_some();
        if let Err(error) = volume.close().await {
            // A failure was told of when it came.
            if !had_failed {
                let path = volume.path().display();
                tracing::error!(directory = %path, %error, "cannot empty the journal");
            }
            closed.unclean.insert(directory);
        }
    }
    // Without them the next start takes longer.
    write_checkpoints(core).await;
    closed
}

/// Errors: the partition's directory, whose stop is not clean.
async fn close(partition: Rc<Partition>) -> Result<ClosedPartition, usize> {
    let log = partition.log();
    if let Err(error) = log.close().await {
        let (topic, directory) = (&partition.topic, partition.directory);
        let partition = partition.index;
        tracing::error!(%topic, %partition, %error, "cannot close the log cleanly");
        return Err(directory);
    }
    let name = TopicPartition { topic: partition.topic.to_string(), partition: partition.index };
    Ok(ClosedPartition {
        directory: partition.directory,
        log: LogOffsets {
            name,
            recovery_point: log.recovery_point(),
            log_start_offset: log.log_start_offset(),
            first_dirty_offset: log.first_dirty_offset(),
            high_watermark: partition.high_watermark(),
        },
    })
}
