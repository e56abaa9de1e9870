//! The client of one request, where requests are limited: what it uses is counted, and it is told to wait.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use controller::quota::{Limited, Mutator, QuotaKind, QuotaTable};
use protocol::wire::WireString;

use super::{QuotaQuestion, Throttle, WorkTime};
use crate::cores::Core;

/// Who asks where nobody is authenticated. Source: `KafkaPrincipal.ANONYMOUS`.
const ANONYMOUS: &str = "ANONYMOUS";

/// Who has asked, how much was sent for it, and for how long a core has worked for it.
pub struct QuotaClient {
    client_id: Option<WireString>,
    request_size_bytes: usize,
    /// Of its connection.
    throttle: Rc<Throttle>,
    pub work: WorkTime,
}

/// A wait of a client, and the quota that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wait {
    pause: Duration,
    kind: QuotaKind,
}

impl QuotaClient {
    pub fn new(
        client_id: Option<WireString>,
        request_size_bytes: usize,
        throttle: &Rc<Throttle>,
    ) -> Rc<Self> {
        let (throttle, work) = (throttle.clone(), WorkTime::default());
        Rc::new(QuotaClient { client_id, request_size_bytes, throttle, work })
    }

    /// A produce request was served, and `is_answered`: how long its client has to wait, in milliseconds for
    /// the answer. From now on its connection is not read for as long.
    pub async fn has_produced(&self, core: &Rc<Core>, is_answered: bool) -> i32 {
        let size_bytes = self.request_size_bytes as f64;
        let of_bytes = self.uses(core, QuotaKind::Produce, size_bytes, false).await;
        // As in Apache Kafka, what nobody is told of takes no time.
        let of_time = if is_answered { self.works(core).await } else { None };
        self.tell(core, longer(of_bytes, of_time))
    }

    /// The same of a fetch whose answer would have `size_bytes`. Where its client has to wait it is to be
    /// answered without records; what it was not given does not count.
    pub async fn has_fetched(&self, core: &Rc<Core>, size_bytes: usize) -> i32 {
        let of_time = self.works(core).await;
        let of_bytes = match of_time {
            // It will not be given them. It may have to wait for longer on account of them.
            Some(_) => None,
            None => self.uses(core, QuotaKind::Fetch, size_bytes as f64, true).await,
        };
        self.tell(core, longer(of_time, of_bytes))
    }

    /// The same of any other request.
    pub async fn has_asked(&self, core: &Rc<Core>) {
        let of_time = self.works(core).await;
        self.tell(core, of_time);
    }

    /// The controller has answered that this client has to wait, in milliseconds.
    pub fn has_mutated(&self, core: &Core, throttle_time_ms: i32) {
        let pause = Duration::from_millis(u64::try_from(throttle_time_ms).unwrap_or(0));
        let kind = QuotaKind::ControllerMutation;
        self.tell(core, (!pause.is_zero()).then_some(Wait { pause, kind }));
    }

    /// As the controller knows it.
    pub fn mutator(&self, strict: bool) -> Box<Mutator> {
        let client_id = self.client_id.as_deref().map(Arc::from);
        Box::new(Mutator { user: Arc::from(ANONYMOUS), client_id, strict })
    }

    /// The most that an answer to a fetch may have if its client is not to wait for ever, in bytes.
    pub fn fetch_size_bytes_max(&self, core: &Core) -> Option<usize> {
        let view = core.view();
        let limited = self.limited(&view.quotas, QuotaKind::Fetch)?;
        Some(core.node.config.quota_windows.burst(limited.quota) as usize)
    }

    fn limited<'a>(&'a self, quotas: &QuotaTable, kind: QuotaKind) -> Option<Limited<'a>> {
        quotas.of_client(kind, ANONYMOUS, self.client_id.as_deref())
    }

    /// A core has worked for the request until now, in percent of its time; one wait for that is as long
    /// as a window at most. Source: KIP-124.
    async fn works(&self, core: &Rc<Core>) -> Option<Wait> {
        let percent = self.work.so_far().as_secs_f64() * 100.0;
        let wait = self.uses(core, QuotaKind::Request, percent, false).await?;
        let pause_max = Duration::from_millis(core.node.config.quota_windows.size_ms);
        Some(Wait { pause: wait.pause.min(pause_max), ..wait })
    }

    /// A quota of `kind` is used up by `value` more, if there is one.
    async fn uses(
        &self,
        core: &Rc<Core>,
        kind: QuotaKind,
        value: f64,
        unless_over: bool,
    ) -> Option<Wait> {
        let view = core.view();
        let limited = self.limited(&view.quotas, kind)?;
        let question = QuotaQuestion::new(kind, &limited, value, unless_over);
        let keeper = question.keeper(core.mesh.core_count());
        // Its core does not answer when the node stops: nobody waits then.
        let pause = core.ask(keeper, question).await.await.ok().flatten()?;
        Some(Wait { pause, kind })
    }

    fn tell(&self, core: &Core, wait: Option<Wait>) -> i32 {
        let Some(Wait { pause, kind }) = wait else { return 0 };
        self.throttle.pause(pause);
        core.counts.throttled(kind, pause);
        i32::try_from(pause.as_millis()).unwrap_or(i32::MAX)
    }
}

fn longer(one: Option<Wait>, other: Option<Wait>) -> Option<Wait> {
    one.into_iter().chain(other).max_by_key(|wait| wait.pause)
}
