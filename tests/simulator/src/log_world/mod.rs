//! Storage alone, without a broker above it: logs of one directory are appended to, cut, begun later,
//! deleted and made again on two cores, while the process is killed and the power fails. A broker on
//! one node never cuts a log; here what it would do as a follower is done.

mod batches;
mod compacted;
mod life;
mod model;
mod raw;
mod rot;
mod run;

pub use run::{LogOutcome, LogScenario, any_disk_failure, run};
