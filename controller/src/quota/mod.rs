//! Quotas of clients: the keys there are, and which quota limits whom.

mod keys;
mod mutations;
mod table;

pub use keys::{ADDRESS_KEYS, CLIENT_KEYS, QuotaKey, QuotaKind, ValueKind};
pub use mutations::{Mutations, Mutator, Permits};
pub use table::{Limited, QuotaTable};
