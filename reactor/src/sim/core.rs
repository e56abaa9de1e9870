use std::future::Future;

use crate::time::Instant;

pub(crate) struct SimCore {}

impl SimCore {
    pub(crate) fn now(&self) -> Instant {
        todo!()
    }
    pub(crate) fn wall_clock(&self) -> i64 {
        todo!()
    }
    pub(crate) async fn sleep_until(&self, _deadline: Instant) {
        todo!()
    }
    pub(crate) fn random_fill(&self, _bytes: &mut [u8]) {
        todo!()
    }
    pub(crate) fn spawn<T: 'static>(
        &self,
        _future: impl Future<Output = T> + 'static,
    ) -> super::task::SimTask<T> {
        todo!()
    }
}
