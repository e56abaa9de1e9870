//! Operations of a disk that do not come back: said in the log when one takes long, and when it ends
//! after all. Nothing else follows: what is not durable is not acknowledged, however long that takes.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use reactor::{Instant, Task};

/// Longer than any healthy disk takes, also one that writes back a full cache; shorter than a client's
/// patience of 30 s.
const STALLED_AFTER: Duration = Duration::from_secs(5);

/// Watches the operations of one core on one directory. It costs one timer for all of them, and none
/// while the core is idle.
#[derive(Default)]
pub(crate) struct StallWatch {
    in_flight: Rc<InFlight>,
    watcher: RefCell<Option<Task<()>>>,
}

#[derive(Default)]
struct InFlight {
    operations: RefCell<BTreeMap<u64, Operation>>,
    next_id: Cell<u64>,
    is_watched: Cell<bool>,
}

struct Operation {
    began: Instant,
    what: &'static str,
    path: PathBuf,
    is_reported: bool,
}

/// An operation that is under way for as long as this lives.
pub(crate) struct Watched {
    in_flight: Rc<InFlight>,
    id: u64,
}

impl StallWatch {
    /// To be held while `what` is done to the file at `path`.
    pub(crate) fn watch(&self, what: &'static str, path: &Path) -> Watched {
        let in_flight = self.in_flight.clone();
        let id = in_flight.next_id.get();
        in_flight.next_id.set(id + 1);
        let operation =
            Operation { began: reactor::now(), what, path: path.to_owned(), is_reported: false };
        in_flight.operations.borrow_mut().insert(id, operation);
        if !in_flight.is_watched.replace(true) {
            let watching = in_flight.clone().run();
            *self.watcher.borrow_mut() = Some(reactor::spawn(watching));
        }
        Watched { in_flight, id }
    }
}

impl InFlight {
    async fn run(self: Rc<Self>) {
        // Where nothing was in flight at a look, the next operation starts another.
        while !self.operations.borrow().is_empty() {
            reactor::sleep(STALLED_AFTER).await;
            self.report();
        }
        self.is_watched.set(false);
    }

    fn report(&self) {
        let now = reactor::now();
        for operation in self.operations.borrow_mut().values_mut() {
            let waited = now - operation.began;
            if waited >= STALLED_AFTER && !operation.is_reported {
                reactor::mark!(disk_stalled);
                operation.is_reported = true;
                tracing::error!(
                    file = %operation.path.display(), operation = operation.what,
                    waited_s = waited.as_secs(),
                    "the disk does not answer: nothing is acknowledged until it does"
                );
            }
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let operation = self.in_flight.operations.borrow_mut().remove(&self.id);
        if let Some(operation) = operation.filter(|operation| operation.is_reported) {
            tracing::warn!(
                file = %operation.path.display(), operation = operation.what,
                took_s = (reactor::now() - operation.began).as_secs(),
                "the disk has answered again"
            );
        }
    }
}
