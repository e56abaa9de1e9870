//! What a parked core waits for, and what another core rings it with, in either world.

use crate::environment::{Environment, current};
use crate::{real, sim};

pub(super) enum Bell {
    Real(real::bell::Bell),
    Sim(sim::bell::Bell),
    #[cfg(test)]
    Plain(super::tests::PlainBell),
}

impl Bell {
    /// A bell that wakes the calling core.
    pub(super) fn of_this_core() -> Self {
        match current() {
            Environment::Real(core) => Bell::Real(real::bell::Bell::new(&core)),
            Environment::Sim(core) => Bell::Sim(sim::bell::Bell::new(&core)),
        }
    }

    /// Resolves once it has been rung since the last wait.
    pub(super) async fn wait(&self) {
        match self {
            Bell::Real(bell) => bell.wait().await,
            Bell::Sim(bell) => bell.wait().await,
            #[cfg(test)]
            Bell::Plain(bell) => bell.wait().await,
        }
    }

    pub(super) fn ringer(&self) -> Ringer {
        match self {
            Bell::Real(bell) => Ringer::Real(bell.ringer()),
            Bell::Sim(bell) => Ringer::Sim(bell.ringer()),
            #[cfg(test)]
            Bell::Plain(bell) => Ringer::Plain(bell.clone()),
        }
    }
}

pub(super) enum Ringer {
    Real(real::bell::BellRinger),
    Sim(sim::bell::BellRinger),
    #[cfg(test)]
    Plain(super::tests::PlainBell),
}

impl Ringer {
    pub(super) fn ring(&self) {
        match self {
            Ringer::Real(ringer) => ringer.ring(),
            Ringer::Sim(ringer) => ringer.ring(),
            #[cfg(test)]
            Ringer::Plain(bell) => bell.ring(),
        }
    }
}
