//! The rules, each named after what it keeps true.

mod adr;
mod crate_graph;
mod generated;
mod marks;
mod names;
mod seam;
mod sizes;
mod words;

pub use adr::decisions_are_numbered_once;
pub use crate_graph::crates_depend_one_way;
pub use generated::generated_files_say_so;
pub use marks::{mark_names, marks_have_their_test, planted_bugs_are_listed};
pub use names::{files_are_named_after_the_domain, module_roots_only_list};
pub use seam::{the_world_is_reached_through_reactor, unsafe_stays_in_reactor};
pub use sizes::{files_stay_readable, large_files};
pub use words::{nothing_is_left_undone, nothing_names_the_machine};

use crate::{Finding, Tree};

/// A rule: from the tree to what breaks it.
pub type Rule = fn(&Tree) -> Vec<Finding>;

/// Every rule with the name under which it reports.
pub const ALL: &[(&str, Rule)] = &[
    ("crates depend one way", crates_depend_one_way),
    ("the world is reached through reactor", the_world_is_reached_through_reactor),
    ("unsafe stays in reactor", unsafe_stays_in_reactor),
    ("files are named after the domain", files_are_named_after_the_domain),
    ("module roots only list", module_roots_only_list),
    ("nothing is left undone", nothing_is_left_undone),
    ("nothing names the machine", nothing_names_the_machine),
    ("generated files say so", generated_files_say_so),
    ("marks have their test", marks_have_their_test),
    ("planted bugs are listed", planted_bugs_are_listed),
    ("decisions are numbered once", decisions_are_numbered_once),
    ("files stay readable", files_stay_readable),
];
