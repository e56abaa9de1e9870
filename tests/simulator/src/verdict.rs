//! How a run ends.

use std::fmt;

/// What is wrong with a run, as its exit code says it (STYLE.md A.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The broker ended by itself.
    Crash,
    /// After all faults were healed, something did not happen in time.
    Liveness,
    /// A client saw what an invariant forbids.
    Correctness,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Crash => 127,
            Kind::Liveness => 128,
            Kind::Correctness => 129,
        }
    }
}

/// Why a run failed: the invariant by its number in DESIGN.md section 13, where it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub invariant: Option<u8>,
    pub what: String,
}

impl Failure {
    pub fn broken(invariant: u8, what: String) -> Self {
        Failure { kind: Kind::Correctness, invariant: Some(invariant), what }
    }

    pub fn liveness(what: String) -> Self {
        Failure { kind: Kind::Liveness, invariant: Some(14), what }
    }

    pub fn crash(what: String) -> Self {
        Failure { kind: Kind::Crash, invariant: None, what }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.invariant {
            Some(invariant) => write!(f, "FAIL INV-{invariant} {}", self.what),
            None => write!(f, "FAIL {}", self.what),
        }
    }
}

impl std::error::Error for Failure {}
