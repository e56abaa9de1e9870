//! What is deleted lies here for a while: under a name that is no log's, until its delay is over.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;

use reactor::Instant;
use reactor::sync::Notify;
use reactor::task::Task;

/// Something to remove. Its name alone tells that it is deleted, so that a start finishes what a stop
/// has left: nothing here must survive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Discarded {
    File(PathBuf),
    Directory(PathBuf),
}

/// What one core is to remove in one log directory, each when it is due. One task removes, while there
/// is something.
pub(crate) struct Trash {
    /// By the time it is due, in the order of the calls.
    waiting: RefCell<BTreeMap<(Instant, u64), Discarded>>,
    next_number: Cell<u64>,
    changed: Notify,
    remover: RefCell<Option<Task<()>>>,
    remover_runs: Cell<bool>,
}

impl Trash {
    pub(crate) fn new() -> Rc<Self> {
        Rc::new(Trash {
            waiting: RefCell::default(),
            next_number: Cell::new(0),
            changed: Notify::new(),
            remover: RefCell::default(),
            remover_runs: Cell::new(false),
        })
    }

    /// Removes `discarded` after `delay_ms`. Where that fails it stays until the next start.
    pub(crate) fn discard(self: &Rc<Self>, discarded: Vec<Discarded>, delay_ms: u64) {
        let due = reactor::now() + Duration::from_millis(delay_ms);
        for one in discarded {
            let number = self.next_number.get();
            self.next_number.set(number + 1);
            self.waiting.borrow_mut().insert((due, number), one);
        }
        self.changed.notify_all();
        if !self.remover_runs.replace(true) {
            let trash = Rc::downgrade(self);
            *self.remover.borrow_mut() = Some(reactor::spawn(remove_when_due(trash)));
        }
    }

    /// Removes nothing more: what waits is left to the next start.
    pub(crate) fn close(&self) {
        self.remover.borrow_mut().take();
        self.remover_runs.set(true);
    }

    fn next(&self) -> Next {
        let mut waiting = self.waiting.borrow_mut();
        match waiting.first_entry() {
            None => {
                self.remover_runs.set(false);
                Next::Nothing
            }
            Some(first) if first.key().0 <= reactor::now() => Next::Remove(first.remove()),
            Some(first) => Next::Wait(first.key().0),
        }
    }
}

enum Next {
    Nothing,
    Wait(Instant),
    Remove(Discarded),
}

/// Never holds the trash across an await: whoever drops it ends this.
async fn remove_when_due(trash: Weak<Trash>) {
    loop {
        let Some((next, changed)) = trash.upgrade().map(|it| (it.next(), it.changed.notified()))
        else {
            return;
        };
        match next {
            Next::Nothing => return,
            Next::Wait(due) => {
                futures_lite::future::or(reactor::time::sleep_until(due), changed).await;
            }
            Next::Remove(discarded) => remove(discarded).await,
        }
    }
}

async fn remove(discarded: Discarded) {
    let (path, removed) = match discarded {
        Discarded::File(path) => {
            let removed = reactor::directory::remove_file(&path).await;
            (path, removed)
        }
        Discarded::Directory(path) => {
            let removed = reactor::directory::remove_all(&path).await;
            (path, removed)
        }
    };
    match removed {
        // A file of a log whose directory is deleted meanwhile goes with it.
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(path = %path.display(), %error, "cannot remove: left to the next start");
        }
        Ok(()) | Err(_) => {}
    }
}
