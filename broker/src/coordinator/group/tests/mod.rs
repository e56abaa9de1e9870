//! The machine by itself.

mod members;
mod offsets;
mod roulette;
mod world;
