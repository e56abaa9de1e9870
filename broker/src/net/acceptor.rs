//! One acceptor for the whole broker: it hands each new connection to the core that has the fewest.
//! `SO_REUSEPORT` would hash few connections badly and let a second broker take half of them.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::rc::Rc;
use std::time::Duration;

use reactor::CoreIndex;
use reactor::net::{SocketAddr, TcpListener};

use crate::cores::{Core, CoreRequest};

/// How long an address may stay in use before another broker must be the reason: long beside the 10 ms
/// that a killed broker's takes on an idle host, short beside a person's patience.
const ADDRESS_WAIT_MAX: Duration = Duration::from_secs(2);
const ADDRESS_RETRY: Duration = Duration::from_millis(5);

/// Open connections of each core, kept on the accepting core.
pub struct ConnectionCounts {
    open: RefCell<Vec<usize>>,
}

impl ConnectionCounts {
    pub fn new(core_count: usize) -> Self {
        ConnectionCounts { open: RefCell::new(vec![0; core_count]) }
    }

    /// Counts a connection to the core that has the fewest, the first of several, and names it.
    fn place(&self) -> CoreIndex {
        let mut open = self.open.borrow_mut();
        let (index, count) = open
            .iter_mut()
            .enumerate()
            .min_by_key(|(_, count)| **count)
            .expect("a broker has a core");
        *count += 1;
        CoreIndex(index)
    }

    /// A connection of `core` has ended.
    pub fn release(&self, core: CoreIndex) {
        let mut open = self.open.borrow_mut();
        assert!(open[core.0] > 0, "more connections of core {core} ended than began");
        open[core.0] -= 1;
    }
}

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
        loop {
            let accepted =
                futures_lite::future::or(async { Some(self.listener.accept().await) }, async {
                    core.stop.wait().await;
                    None
                })
                .await;
            match accepted {
                None => return,
                Some(Ok(connection)) => {
                    let to = counts.place();
                    core.mesh.control(to, CoreRequest::Adopt(connection));
                }
                Some(Err(error)) => {
                    // Out of descriptors, most likely: those that are open go on, and a pause keeps
                    // this from spinning.
                    tracing::warn!(%error, "cannot accept a connection");
                    reactor::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}
