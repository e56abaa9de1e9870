//! What the tests of the real world share.

use std::future::Future;
use std::sync::mpsc;

use reactor::{Settings, launch};

/// Runs `body` on one real core and returns its value.
pub fn on_core<T, F, Fut>(body: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = T> + 'static,
{
    let (sender, receiver) = mpsc::channel();
    let cores = launch(Settings::default(), vec![(body, sender)], |_, (body, sender)| async move {
        sender.send(body().await).expect("the test waits for its result");
    });
    cores.expect("a core").join();
    receiver.recv().expect("the core sent its result")
}
