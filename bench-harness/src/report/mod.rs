//! What comes of a run: one JSON file, and a table for people.

mod figures;
mod spread;
mod table;

pub use figures::{LoadFigures, Report, ServerFigures, Setting};
pub use table::table;
