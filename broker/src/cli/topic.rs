//! `millrace topic`: what `kafka-topics` does, by the same requests.

mod alter;
mod create;
mod delete;
mod describe;
mod list;

use anyhow::Result;
use clap::Subcommand;

/// Create, list, describe, alter and delete topics.
#[derive(Subcommand)]
pub enum Topic {
    Create(create::Create),
    List(list::List),
    Describe(describe::Describe),
    Alter(alter::Alter),
    Delete(delete::Delete),
}

impl Topic {
    pub fn run(&self) -> Result<()> {
        match self {
            Topic::Create(create) => create.run(),
            Topic::List(list) => list.run(),
            Topic::Describe(describe) => describe.run(),
            Topic::Alter(alter) => alter.run(),
            Topic::Delete(delete) => delete.run(),
        }
    }
}
