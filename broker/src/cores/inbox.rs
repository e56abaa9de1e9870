//! What a core does with messages from others: serve, or take note. It never awaits another core here.

use std::rc::Rc;

use reactor::mesh::{Inbox, Incoming};
use reactor::net::Accepted;
use reactor::sync::Event;

use storage::StorageError;

use super::ask::serve_remote;
use super::core::Core;
use super::message::{CoreReply, CoreRequest};
use super::prepare::Preparer;
use crate::config::ConnectionLimits;
use crate::controller_core::Publisher;
use crate::memory::Patience;
use crate::net::{self, ConnectionCounts};

/// Who hears of what comes through the control lane.
pub struct InboxTargets {
    pub preparer: Rc<Preparer>,
    /// On the controller core: who collects what cores report.
    pub publisher: Option<Rc<Publisher>>,
    /// On the accepting core: connections by core, and the word to begin.
    pub connection_counts: Option<Rc<ConnectionCounts>>,
    pub serve: Event,
    /// The word to end.
    pub stop: Event,
}

/// Serves messages until it is dropped.
pub async fn run(core: Rc<Core>, mut inbox: Inbox<CoreRequest, CoreReply>, targets: InboxTargets) {
    loop {
        let Incoming { from, message, reply } = inbox.next().await;
        core.check_memory();
        if from != core.index {
            core.counts.messages.add(1);
        }
        match (message, reply) {
            (CoreRequest::Produce(question), Some(reply)) => serve_remote(&core, question, reply),
            (CoreRequest::Fetch(question), Some(reply)) => serve_remote(&core, question, reply),
            (CoreRequest::ListOffsets(question), Some(reply)) => {
                serve_remote(&core, question, reply);
            }
            (CoreRequest::DeleteRecords(question), Some(reply)) => {
                serve_remote(&core, question, reply);
            }
            (CoreRequest::EpochEnds(question), Some(reply)) => {
                serve_remote(&core, question, reply);
            }
            (CoreRequest::Producers(question), Some(reply)) => {
                serve_remote(&core, question, reply);
            }
            (CoreRequest::LogSizes(question), Some(reply)) => {
                serve_remote(&core, question, reply);
            }
            (CoreRequest::Controller(question), Some(reply)) => {
                serve_remote(&core, question, reply);
            }
            (CoreRequest::Quota(question), Some(reply)) => serve_remote(&core, question, reply),
            (CoreRequest::Group(question), Some(reply)) => serve_remote(&core, *question, reply),
            (CoreRequest::FinishFetch(key), Some(_)) => core.finish_fetch(key),
            (control, None) => take_note(&core, &targets, control),
            (_, Some(_)) => unreachable!("core {from} sent a control as a request"),
        }
    }
}

fn take_note(core: &Rc<Core>, targets: &InboxTargets, control: CoreRequest) {
    let publisher = || targets.publisher.as_ref().expect("reports go to the controller core");
    match control {
        CoreRequest::Adopt(accepted) => adopt(core, accepted),
        CoreRequest::Released { from, address } => {
            let counts = targets.connection_counts.as_ref();
            counts.expect("releases go to the accepting core").release(from, address);
        }
        CoreRequest::EndParkedFetches { asker, count } => core.end_parked_fetches_of(asker, count),
        CoreRequest::EndFetchSession { id } => core.fetch_sessions.end(id),
        CoreRequest::AnswerMemoryFreed => core.answers.look_again(),
        CoreRequest::EndStuckSends => drop(core.sends.end_stuck(Patience::MayPark)),
        CoreRequest::Prepare(preparation) => targets.preparer.enqueue(preparation),
        CoreRequest::Prepared { from, version } => publisher().prepared(from, version),
        CoreRequest::Show { version } => {
            targets.preparer.show(version);
            if let Some(counts) = &targets.connection_counts {
                let view = core.view();
                let layers = view.defaults.layers(&view.image);
                let limits = ConnectionLimits::new(&layers, &core.node.config.host_addresses);
                counts.limit(limits, &view.quotas);
            }
        }
        CoreRequest::Shown { from, version } => publisher().shown(from, version),
        CoreRequest::DirectoryFailed { directory, reason } => {
            // A controller that is not up any more stops the node anyway.
            if let Some(controller) = core.controller() {
                controller.directory_failed(directory, &reason);
            }
        }
        CoreRequest::FailDirectory { directory, reason } => {
            let volume = &core.volumes[directory];
            let path = volume.path().to_owned();
            volume.fail(StorageError::DirectoryFailed { path, reason });
        }
        CoreRequest::Serve => targets.serve.set(),
        CoreRequest::Stop => targets.stop.set(),
        CoreRequest::Stopped(closed) => publisher().stopped(closed),
        CoreRequest::Produce(_)
        | CoreRequest::Fetch(_)
        | CoreRequest::ListOffsets(_)
        | CoreRequest::DeleteRecords(_)
        | CoreRequest::EpochEnds(_)
        | CoreRequest::Producers(_)
        | CoreRequest::LogSizes(_)
        | CoreRequest::Controller(_)
        | CoreRequest::Quota(_)
        | CoreRequest::Group(_)
        | CoreRequest::FinishFetch(_) => unreachable!("a question needs a reply slot"),
    }
}

/// Makes a new connection this core's, for the rest of its life.
fn adopt(core: &Rc<Core>, accepted: Accepted) {
    core.counts.connections.add(1);
    let owner = core.clone();
    let address = accepted.peer_address().ip();
    let serving = async move {
        match accepted.into_stream() {
            Ok(stream) if !owner.stop.is_set() => net::serve(owner.clone(), stream).await,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "cannot take over a connection"),
        }
        let released = CoreRequest::Released { from: owner.index, address };
        owner.mesh.control(owner.node.accepting_core, released);
    };
    core.connections.spawn(serving);
}
