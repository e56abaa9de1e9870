//! The crate's public behaviour, on real disks and in the simulated world.

mod checkpoint;
mod compaction;
mod directory;
mod failing_disk;
mod full_disk;
mod group_commit;
mod handover;
mod journal;
mod journal_crash;
mod journal_damage;
mod journal_faults;
mod log;
mod memory;
mod power_loss;
mod recovery;
mod replay;
mod retention;
mod support;
mod swap;
mod transactions;
