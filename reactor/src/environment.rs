//! Which world the running task belongs to: a thread-local that the executor of either world sets.

use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone)]
pub(crate) enum Environment {
    Real(Rc<crate::real::core::RealCore>),
    Sim(Rc<crate::sim::core::SimCore>),
}

thread_local! {
    static CURRENT: RefCell<Option<Environment>> = const { RefCell::new(None) };
}

/// The world of the running task. Panics outside of a core: such a call is a bug of the caller.
pub(crate) fn current() -> Environment {
    CURRENT.with_borrow(|current| current.clone()).expect("called on a core of the reactor")
}

/// The world of the running task; `None` outside of a core.
pub(crate) fn current_if_any() -> Option<Environment> {
    CURRENT.with_borrow(|current| current.clone())
}

/// Sets the world for what runs next on this thread, and returns what was there before.
pub(crate) fn enter(environment: Option<Environment>) -> Option<Environment> {
    CURRENT.with_borrow_mut(|current| std::mem::replace(current, environment))
}
