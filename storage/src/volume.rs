//! One core's part of one log directory: what the logs that the core has there share.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::settings::Settings;

/// What the logs of one core in one log directory share. A directory fails alone; so nothing here is
/// shared between directories.
pub struct Volume {
    path: PathBuf,
    settings: Settings,
}

impl Volume {
    pub fn new(path: &Path, settings: Settings) -> Rc<Volume> {
        Rc::new(Volume { path: path.to_owned(), settings })
    }

    /// The log directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}
