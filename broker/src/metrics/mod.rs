//! What can be seen of a node: counts that each core keeps in plain cells, gathered when somebody asks,
//! and the table of metrics that they are shown as.

mod core_counts;
mod core_report;
mod exposition;
mod families;
mod node_report;
mod observer;
mod process_use;

pub use core_counts::{ApiCounts, CoreCounts, Count};
pub use core_report::{CoreReport, CoreState};
pub use exposition::{CONTENT_TYPE, Exposition};
pub use node_report::NodeReport;
pub use observer::{Observer, Question, answer_questions};
pub use process_use::ProcessUse;
