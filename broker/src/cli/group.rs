//! `millrace group`: what `kafka-consumer-groups` does, by the same requests.

mod committed;
mod coordinator;
mod delete;
mod describe;
mod lag;
mod list;
mod members;
mod plan;
mod reset_offsets;

use anyhow::Result;
use clap::Subcommand;

/// List, describe and delete groups, and reset their offsets.
#[derive(Subcommand)]
pub enum Group {
    List(list::List),
    Describe(describe::Describe),
    ResetOffsets(reset_offsets::ResetOffsets),
    Delete(delete::Delete),
}

impl Group {
    pub fn run(&self) -> Result<()> {
        match self {
            Group::List(list) => list.run(),
            Group::Describe(describe) => describe.run(),
            Group::ResetOffsets(reset_offsets) => reset_offsets.run(),
            Group::Delete(delete) => delete.run(),
        }
    }
}
