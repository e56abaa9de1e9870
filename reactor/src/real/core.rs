use std::future::Future;

use crate::time::Instant;

pub(crate) struct RealCore {}

impl RealCore {
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
    ) -> super::task::RealTask<T> {
        todo!()
    }
}

impl RealCore {
    pub(crate) fn drain(&self) {
        todo!()
    }
}

pub(crate) struct RunningCores {}

impl RunningCores {
    pub(crate) fn join(self) {
        todo!()
    }
}

pub(crate) fn launch<S, F, Fut>(
    _settings: crate::core::Settings,
    _seeds: Vec<S>,
    _start: F,
) -> Result<RunningCores, crate::core::LaunchError>
where
    S: Send + 'static,
    F: Fn(crate::core::CoreIndex, S) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + 'static,
{
    todo!()
}
