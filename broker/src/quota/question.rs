//! The question "how long has whoever shares this quota to wait", to the core that keeps its count.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use std::time::Duration;

use controller::quota::{Limited, QuotaKind};
use reactor::CoreIndex;

use super::sensors::SensorKey;
use crate::cores::{Ask, Core, CoreReply, CoreRequest, ReplyTo};

/// So much more of a quota is used. Each who shares one has one core, whichever cores serve its connections:
/// the rate is one, and so is the wait.
#[derive(Debug)]
pub struct QuotaQuestion {
    key: SensorKey,
    quota: f64,
    value: f64,
    unless_over: bool,
}

impl QuotaQuestion {
    /// With `unless_over` the value does not count where it would be too much.
    pub fn new(kind: QuotaKind, limited: &Limited<'_>, value: f64, unless_over: bool) -> Self {
        let Limited { user, client_id, quota } = *limited;
        QuotaQuestion { key: (kind, user.into(), client_id.into()), quota, value, unless_over }
    }

    /// The core that keeps count of who is asked about; the same on every core.
    pub fn keeper(&self, core_count: usize) -> CoreIndex {
        let mut hasher = DefaultHasher::new();
        self.key.hash(&mut hasher);
        CoreIndex((hasher.finish() % core_count as u64) as usize)
    }
}

impl Ask for QuotaQuestion {
    type Answer = Option<Duration>;

    fn serve(self, core: &Rc<Core>, reply: ReplyTo<Self::Answer>) {
        let QuotaQuestion { key, quota, value, unless_over } = self;
        reply.send(core.quotas.record(reactor::now(), key, value, quota, unless_over));
    }

    fn into_request(self) -> CoreRequest {
        CoreRequest::Quota(self)
    }

    fn into_reply(answer: Self::Answer) -> CoreReply {
        CoreReply::Quota(answer)
    }

    fn from_reply(reply: CoreReply) -> Option<Self::Answer> {
        match reply {
            CoreReply::Quota(answer) => Some(answer),
            _ => None,
        }
    }
}
