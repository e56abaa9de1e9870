//! The helper thread of a core: system calls on paths and sizes that would block the core.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::thread;

use super::foreign::Foreign;
use super::host;
use crate::core::CoreIndex;

type Job = Box<dyn FnOnce() + Send>;

/// Runs jobs in the order in which they were given, one at a time. It ends with the core.
pub(crate) struct HelperThread {
    jobs: flume::Sender<Job>,
    foreign: Rc<Foreign>,
}

impl HelperThread {
    /// Panics where the thread cannot be started: no core can work without. It may run on all of
    /// `cpus`: on the CPU of its core alone it would take turns with it.
    pub(crate) fn start(core: CoreIndex, cpus: Vec<usize>, foreign: Rc<Foreign>) -> Self {
        // Unbounded: each job has a task of the core that waits for it, or was bounded by one.
        let (jobs, queue) = flume::unbounded::<Job>();
        thread::Builder::new()
            .name(format!("core-{core}-files"))
            .spawn(move || {
                // Where it cannot be moved it still works.
                let _ = host::pin_to(&cpus);
                for job in queue {
                    job();
                }
            })
            .expect("a thread for blocking calls");
        HelperThread { jobs, foreign }
    }

    /// Runs `job` on the helper thread and returns its result. Where the future is dropped, the job
    /// still runs. A job that panics fails with an error: the thread lives on.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let (reply, result) = flume::bounded(1);
        let run = move || {
            let outcome = catch_unwind(AssertUnwindSafe(job)).unwrap_or_else(|_| {
                Err(io::Error::other("a blocking call panicked; see the message above"))
            });
            // Nobody waits where the future was dropped.
            let _ = reply.send(outcome);
        };
        self.jobs.send(Box::new(run)).expect("the helper thread lives as long as its core");
        self.foreign.wait_for(result.recv_async()).await.expect("every job replies")
    }
}
