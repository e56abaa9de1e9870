use std::path::Path;

use crate::host::{HostError, HostReport};

pub(crate) fn check(_core_count: usize, _directories: &[&Path]) -> Result<HostReport, HostError> {
    todo!()
}

pub(crate) fn cpu_count() -> usize {
    todo!()
}
