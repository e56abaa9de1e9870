//! The one way in for threads that are not cores: a bounded channel, and the stop signal. The way back is
//! an answer to what came in.

use crate::environment::{Environment, current};

/// The sending end, for any thread. Clones share the channel.
pub struct Sender<T>(flume::Sender<T>);

/// The receiving end, for one task of a core.
pub struct Receiver<T>(flume::Receiver<T>);

/// The other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the core has ended")]
pub struct Closed;

/// The channel is full, or the other end is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the core takes no message")]
pub struct NotSent;

pub fn channel<T: Send + 'static>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = flume::bounded(capacity);
    (Sender(sender), Receiver(receiver))
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Sender(self.0.clone())
    }
}

impl<T> Sender<T> {
    /// Sends, waiting while the channel is full. Not for tasks of a core.
    pub fn send(&self, message: T) -> Result<(), Closed> {
        self.0.send(message).map_err(|_| Closed)
    }

    /// Sends if there is a place. Errors: the channel is full, or the core has ended.
    pub fn try_send(&self, message: T) -> Result<(), NotSent> {
        self.0.try_send(message).map_err(|_| NotSent)
    }
}

impl<T> Receiver<T> {
    /// The next message; [`Closed`] when every sender is gone and nothing is left.
    pub async fn recv(&self) -> Result<T, Closed> {
        let received = match current() {
            Environment::Real(core) => core.foreign().wait_for(self.0.recv_async()).await,
            // Whoever sends there is a part of the simulation, and on its thread.
            Environment::Sim(_) => self.0.recv_async().await,
        };
        received.map_err(|_| Closed)
    }
}

/// A core's way to answer a thread that is no core.
pub struct Answer<T>(flume::Sender<T>);

/// An answer that is to come, for a thread that is no core.
pub struct Awaited<T>(flume::Receiver<T>);

pub fn answer<T: Send + 'static>() -> (Answer<T>, Awaited<T>) {
    let (sender, receiver) = flume::bounded(1);
    (Answer(sender), Awaited(receiver))
}

impl<T> Answer<T> {
    /// Never waits. Who asked may be gone.
    pub fn give(self, answer: T) {
        // There is one place, and one answer.
        let _ = self.0.try_send(answer);
    }
}

impl<T> Awaited<T> {
    /// On any executor. Errors: the core has dropped the question: it ends.
    pub async fn get(self) -> Result<T, Closed> {
        self.0.into_recv_async().await.map_err(|_| Closed)
    }
}

/// Where cores and the calling thread want the same CPU, nearly all of it is the cores' from now on.
pub fn stand_back() {
    crate::real::host::lower_priority();
}

/// Blocks SIGINT and SIGTERM for this thread and those it starts. Call first in `main`.
pub fn block_stop_signals() {
    crate::real::signal::block_stop_signals();
}

/// Waits on an ordinary thread for SIGINT or SIGTERM; returns the signal's name.
pub fn wait_for_stop_signal() -> &'static str {
    crate::real::signal::wait_for_stop_signal()
}
