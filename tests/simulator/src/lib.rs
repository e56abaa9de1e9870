//! Whole brokers on the reactor's twin, under faults, from one seed.
//!
//! A run ([`run::run`]) draws a world from its seed, starts the shipped broker in it, lets producers and
//! consumers of this crate's own work while it is crashed, cut off, paused and slowed down (safety), then
//! heals everything and demands that all is accepted, read and still there after one more crash
//! (liveness). What clients see is checked against DESIGN.md section 13 as they see it. Beside it,
//! [`log_world`] works on storage alone, where it can do what no client can ask for.

pub mod administrator;
pub mod alterations;
pub mod broker_node;
pub mod campaign;
pub mod client;
pub mod clients;
pub mod command;
pub mod consumer;
pub mod faults;
pub mod group;
pub mod history;
pub mod hunt;
pub mod log_world;
pub mod member;
pub mod operator;
pub mod planted;
pub mod producer;
pub mod record;
pub mod run;
pub mod scenario;
pub mod settings;
pub mod topic;
pub mod totals;
pub mod verdict;
pub mod workload;
pub mod world;
