//! The server: an ordinary thread with hyper on a runtime of its own. Whoever comes costs that thread a
//! little, for a while, and no core anything: connections have a number and an end, requests a size, and
//! what is asked of the cores a pace (see `rounds`).

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::answer;
use super::shown::{NodeFacts, Shown};
use crate::metrics::Observer;

/// Connections that are open together.
const CONNECTIONS_MAX: usize = 128;

/// How long one that has asked stays at least, however many come.
const ANSWER_TIME_MIN: Duration = Duration::from_secs(3);

/// How long a request's head may take to come, and all of a connection with its one request and answer.
const HEAD_WAIT_MAX: Duration = Duration::from_secs(5);
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(60);

/// The largest head of a request.
const HEAD_SIZE_BYTES_MAX: usize = 16 << 10;

/// Between two attempts to accept where that fails: out of descriptors, most likely.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// An address that is taken, and nobody served yet.
pub struct AdminServer {
    runtime: Runtime,
    listener: TcpListener,
}

#[derive(Debug, thiserror::Error)]
pub enum BindError {
    #[error(
        "cannot listen on {address} for metrics: another process does; stop it, or set another port in \
         millrace.admin.listener"
    )]
    InUse { address: SocketAddr },
    #[error("cannot listen on {address}, which millrace.admin.listener names: {source}")]
    Io { address: SocketAddr, source: io::Error },
}

impl AdminServer {
    /// Takes the address.
    pub fn bind(address: SocketAddr) -> Result<Self, BindError> {
        let bound =
            runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
                let listener = runtime.block_on(TcpListener::bind(address))?;
                Ok(AdminServer { runtime, listener })
            });
        bound.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse { address },
            _ => BindError::Io { address, source },
        })
    }

    /// Serves on a thread of its own for as long as the process lives.
    pub fn run(self, observer: Observer, facts: NodeFacts) -> io::Result<()> {
        let address = self.listener.local_addr()?;
        thread::Builder::new().name("admin".to_owned()).spawn(move || {
            reactor::outside::stand_back();
            let shown = Arc::new(Shown::new(observer, facts));
            self.runtime.block_on(accept(self.listener, shown));
        })?;
        tracing::info!(%address, "serving /metrics, /healthz and /readyz");
        Ok(())
    }
}

async fn accept(listener: TcpListener, shown: Arc<Shown>) {
    let mut open = OpenConnections::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) if open.make_place() => {
                let has_asked = Arc::new(AtomicBool::new(false));
                let serving = tokio::spawn(serve(stream, shown.clone(), has_asked.clone()));
                open.add(serving.abort_handle(), has_asked);
            }
            // None can go for it: it is closed at once.
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "cannot accept a connection of the admin port");
                tokio::time::sleep(ACCEPT_RETRY).await;
            }
        }
        // Who asks at once is heard before the next one comes.
        tokio::task::yield_now().await;
    }
}

/// Connections that are open, the oldest first.
#[derive(Default)]
struct OpenConnections(VecDeque<OpenConnection>);

struct OpenConnection {
    serving: AbortHandle,
    has_asked: Arc<AtomicBool>,
    since: Instant,
}

impl OpenConnections {
    /// Whether there is a place for one more. For want of one, the oldest goes that has not asked yet, else
    /// the oldest one if it has had its time.
    fn make_place(&mut self) -> bool {
        self.0.retain(|connection| !connection.serving.is_finished());
        if self.0.len() < CONNECTIONS_MAX {
            return true;
        }
        let mute = self.0.iter().position(|it| !it.has_asked.load(Ordering::Relaxed));
        let goes = mute.or_else(|| {
            let oldest = self.0.front()?;
            (oldest.since.elapsed() >= ANSWER_TIME_MIN).then_some(0)
        });
        let gone = goes.and_then(|index| self.0.remove(index));
        gone.is_some_and(|connection| {
            connection.serving.abort();
            true
        })
    }

    fn add(&mut self, serving: AbortHandle, has_asked: Arc<AtomicBool>) {
        self.0.push_back(OpenConnection { serving, has_asked, since: Instant::now() });
    }
}

/// One request and its answer. What goes wrong is the client's.
async fn serve(stream: TcpStream, shown: Arc<Shown>, has_asked: Arc<AtomicBool>) {
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        let shown = shown.clone();
        async move { Ok::<_, Infallible>(answer::to(&request, &shown).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT_MAX)
        .max_buf_size(HEAD_SIZE_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_TIME_MAX, connection).await {
        tracing::debug!(%error, "a connection of the admin port broke");
    }
}
