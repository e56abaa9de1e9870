//! One acceptor for the whole broker: it hands each new connection to the core that has the fewest.
//! `SO_REUSEPORT` would hash few connections badly and let a second broker take half of them.

use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use reactor::net::{Accepted, SocketAddr, TcpListener};
use reactor::sync::Budget;

use super::connection_counts::{ConnectionCounts, NotLetIn};
use crate::cores::{Core, CoreRequest};

/// How long an address may stay in use before another broker must be the reason: long beside the 10 ms
/// that a killed broker's takes on an idle host, short beside a person's patience.
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(2);
const ADDRESS_RETRY: Duration = Duration::from_millis(5);

/// Connections that are held before they are closed; each takes a descriptor.
const HELD_COUNT_MAX: usize = 1_000;

/// How often refused connections are told of: a flood of them is no flood of lines.
const REFUSALS_EVERY: Duration = Duration::from_secs(1);

/// Before it is tried again to accept, where that has failed.
const TROUBLE_PAUSE: Duration = Duration::from_millis(100);

/// How often it is told that no connection can be accepted: for hours, perhaps.
const TROUBLES_EVERY: Duration = Duration::from_secs(60);

pub struct Acceptor {
    listener: TcpListener,
}

impl Acceptor {
    /// Takes the address; connections wait in the kernel's queue until [`Acceptor::run`].
    ///
    /// A broker that was killed holds its address for some milliseconds after its process is gone: until
    /// the kernel has taken its io_urings apart. So an address in use is asked for again for a while.
    pub async fn bind(address: SocketAddr, backlog: usize) -> std::io::Result<Self> {
        let deadline = reactor::now() + ADDRESS_WAIT_MAX;
        loop {
            match TcpListener::bind(address, backlog) {
                Ok(listener) => return Ok(Acceptor { listener }),
                Err(error) if error.kind() != ErrorKind::AddrInUse => return Err(error),
                Err(error) if reactor::now() >= deadline => return Err(error),
                Err(_) => reactor::sleep(ADDRESS_RETRY).await,
            }
        }
    }

    /// Accepts until the core stops.
    pub async fn run(self, core: Rc<Core>, counts: Rc<ConnectionCounts>) {
        let mut refusals = Refusals::default();
        let mut troubles = Troubles::default();
        let held = Budget::new(HELD_COUNT_MAX);
        loop {
            let accepting = async {
                counts.wait_for_next().await;
                Some(self.listener.accept().await)
            };
            let stopping = async {
                core.stop.wait().await;
                None
            };
            match futures_lite::future::or(accepting, stopping).await {
                None => return,
                Some(Ok(connection)) => {
                    let address = connection.peer_address().ip();
                    match counts.place(address, reactor::now()) {
                        Ok(to) => core.mesh.control(to, CoreRequest::Adopt(connection)),
                        Err(refusal) => {
                            core.counts.refused_connections.add(1);
                            refusals.tell(&refusal);
                            if let NotLetIn::TooFast { pause, .. } = refusal {
                                hold(&core, connection, pause, &held);
                            }
                        }
                    }
                }
                Some(Err(error)) => {
                    // Out of descriptors, most likely: those that are open go on, and a pause keeps
                    // this from spinning.
                    troubles.tell(&error);
                    reactor::sleep(TROUBLE_PAUSE).await;
                }
            }
        }
    }
}

/// Closes `connection` after `pause`, or at once where many are held already. Source: KIP-612.
fn hold(core: &Core, connection: Accepted, pause: Duration, held: &Budget) {
    let Some(place) = held.try_take(1) else { return };
    core.deadlines.schedule(reactor::now() + pause, move || drop((connection, place)));
}

/// Connections that were closed at once, since they were last told of.
#[derive(Default)]
struct Refusals {
    untold_count: u64,
    told: Option<reactor::Instant>,
}

impl Refusals {
    fn tell(&mut self, refusal: &NotLetIn) {
        if let NotLetIn::TooMany { .. } = refusal {
            reactor::mark!(address_has_too_many_connections);
        }
        self.untold_count += 1;
        let now = reactor::now();
        if self.told.is_none_or(|told| now - told >= REFUSALS_EVERY) {
            tracing::info!(%refusal, count = self.untold_count, "connections refused");
            *self = Refusals { untold_count: 0, told: Some(now) };
        }
    }
}

/// Connections that could not be accepted: when that was told last.
#[derive(Default)]
struct Troubles {
    told: Option<reactor::Instant>,
}

impl Troubles {
    fn tell(&mut self, error: &std::io::Error) {
        let now = reactor::now();
        if self.told.is_none_or(|told| now - told >= TROUBLES_EVERY) {
            tracing::warn!(
                %error,
                "cannot accept connections: new ones wait, the others go on; where too many files are \
                 open, raise the limit with `ulimit -n` or LimitNOFILE="
            );
            self.told = Some(now);
        }
    }
}
