//! How a new view reaches every core: all prepare it, then all show it, then who asked is answered.
//! So nobody is told of a topic that one of its cores does not serve yet.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use protocol::model::Offset;
use reactor::CoreIndex;
use reactor::sync::Notify;

use crate::cores::{Closed, Core, CoreRequest, Preparation};

/// Collects what cores report to the controller core.
pub struct Publisher {
    core: Rc<Core>,
    /// What is being waited for, and how many cores have reported it.
    awaited: Cell<Option<(Stage, Offset)>>,
    report_count: Cell<usize>,
    closed: RefCell<Closed>,
    stopped_count: Cell<usize>,
    reported: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Prepared,
    Shown,
}

impl Publisher {
    pub fn new(core: Rc<Core>) -> Rc<Self> {
        Rc::new(Publisher {
            core,
            awaited: Cell::new(None),
            report_count: Cell::new(0),
            closed: RefCell::default(),
            stopped_count: Cell::new(0),
            reported: Notify::new(),
        })
    }

    /// Brings every core to the view of `preparation`. On return all show it. One call at a time.
    pub async fn publish(&self, preparation: Arc<Preparation>) {
        let version = preparation.view.version();
        self.prepare(preparation).await;
        self.all(Stage::Shown, version, || CoreRequest::Show { version }).await;
    }

    /// Has every core prepare, and nothing shown. On return all have.
    pub async fn prepare(&self, preparation: Arc<Preparation>) {
        let version = preparation.view.version();
        self.all(Stage::Prepared, version, || CoreRequest::Prepare(preparation.clone())).await;
    }

    /// Sends to every core, and waits until every one has reported.
    async fn all(&self, stage: Stage, version: Offset, request: impl Fn() -> CoreRequest) {
        assert_eq!(self.awaited.get(), None, "one publication at a time");
        self.awaited.set(Some((stage, version)));
        self.report_count.set(0);
        let core_count = self.core.mesh.core_count();
        self.to_all(request);
        while self.report_count.get() < core_count {
            self.reported.notified().await;
        }
        self.awaited.set(None);
    }

    /// Ends every core. On return all have closed their logs, as far as they could.
    pub async fn stop_all(&self) -> Closed {
        self.to_all(|| CoreRequest::Stop);
        while self.stopped_count.get() < self.core.mesh.core_count() {
            self.reported.notified().await;
        }
        self.closed.take()
    }

    fn to_all(&self, request: impl Fn() -> CoreRequest) {
        for index in 0..self.core.mesh.core_count() {
            self.core.mesh.control(CoreIndex(index), request());
        }
    }

    pub fn prepared(&self, from: CoreIndex, version: Offset) {
        self.report(Stage::Prepared, from, version);
    }

    pub fn shown(&self, from: CoreIndex, version: Offset) {
        self.report(Stage::Shown, from, version);
    }

    fn report(&self, stage: Stage, from: CoreIndex, version: Offset) {
        let awaited = self.awaited.get();
        assert_eq!(awaited, Some((stage, version)), "core {from} reports out of turn");
        self.report_count.set(self.report_count.get() + 1);
        self.reported.notify_all();
    }

    pub fn stopped(&self, closed: Closed) {
        let mut all = self.closed.borrow_mut();
        all.partitions.extend(closed.partitions);
        all.unclean.extend(closed.unclean);
        drop(all);
        self.stopped_count.set(self.stopped_count.get() + 1);
        self.reported.notify_all();
    }
}
