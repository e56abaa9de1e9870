//! A disk whose power can be cut: a loop device over a file that a server of ours keeps, with a volatile
//! cache as disks have one. What was written and not flushed is gone after a cut, or a part of it is,
//! sector by sector, in no order.

mod platter;
mod served;
mod socket;

pub use platter::{Kept, Platter};
pub use socket::PoweredDisk;
