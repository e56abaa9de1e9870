//! The mesh: requests and replies between cores, with credits.
//!
//! From each core to each other core there is a bounded lane of requests. A sender that finds it full
//! waits; a place comes free when the owner dequeues, not when it replies. Replies and controls have
//! lanes of their own that requests cannot fill: a reply's slot is reserved with its request.
//! Messages of one lane arrive in order. Source: DESIGN.md section 3.
//!
//! Who does what on one core: the [`Outbox`](outbox) fills lanes to others and holds back what finds
//! no place; [`Inbox`] empties the lanes to this core; [`answers`] pairs replies with who waits for
//! them; one [`driver`] task hears the core's bell and wakes the three. The way of a wake-up from
//! core to core is the hand-shake of [`doorbell`].

mod answers;
mod bell;
mod doorbell;
mod driver;
mod fabric;
mod inbox;
mod lane;
mod outbox;
mod port;
#[cfg(test)]
mod tests;

pub use answers::{Abandoned, Pending, Reply};
pub use inbox::{Inbox, Incoming};
pub use outbox::Enqueue;
pub use port::{Mesh, Port, connect};
