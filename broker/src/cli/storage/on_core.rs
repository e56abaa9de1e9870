//! Work on log directories runs on a core of its own, like a broker's.

use std::future::Future;
use std::path::Path;
use std::sync::mpsc;

use anyhow::{Context, Result};

/// Runs `work` on one core to its end. `directories` are those that it will touch.
pub fn run_on_core<T, F, Fut>(directories: &[&Path], work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    reactor::host::check(1, directories)?;
    let (sender, receiver) = mpsc::channel();
    let seed = (work, sender);
    let cores = reactor::launch(reactor::Settings::default(), vec![seed], |_, (work, sender)| {
        async move {
            // The receiver below outlives the core.
            let _ = sender.send(work().await);
        }
    })?;
    cores.join();
    receiver.recv().context("the work ended before its time")
}
