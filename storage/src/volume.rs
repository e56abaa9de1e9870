//! One core's part of one log directory: what the logs that the core has there share.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::chunk::ChunkPool;
use crate::settings::Settings;

/// What the logs of one core in one log directory share. A directory fails alone; so nothing here is
/// shared between directories but memory.
pub struct Volume {
    path: PathBuf,
    settings: Settings,
    chunks: Rc<ChunkPool>,
}

impl Volume {
    /// `chunks` is the core's, for all its directories.
    pub fn new(path: &Path, settings: Settings, chunks: Rc<ChunkPool>) -> Rc<Volume> {
        Rc::new(Volume { path: path.to_owned(), settings, chunks })
    }

    /// The log directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    pub fn chunks(&self) -> &Rc<ChunkPool> {
        &self.chunks
    }
}
