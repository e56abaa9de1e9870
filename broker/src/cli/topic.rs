//! `millrace topic`: what `kafka-topics` does, by the same requests.

mod alter;
mod create;
mod delete;
mod describe;
mod list;

use anyhow::{Result, bail};
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

/// `KEY=VALUE` of an argument. The value may be empty, or have a `=` of its own.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("it has to be KEY=VALUE".to_owned()),
    }
}

/// Of several topics each was tried; says all that failed.
fn all_went_well(failures: Vec<String>) -> Result<()> {
    match failures.as_slice() {
        [] => Ok(()),
        [one] => bail!("{one}"),
        many => bail!("{} failed:\n  {}", many.len(), many.join("\n  ")),
    }
}
