//! Quotas: how fast clients are, and how long who is too fast has to wait. Sources: KIP-13, KIP-124,
//! KIP-219, KIP-546.

mod client;
mod question;
mod rate;
mod sensors;
mod throttle;
mod work_time;

pub use client::QuotaClient;
pub use question::QuotaQuestion;
pub use rate::Windows;
pub use sensors::Sensors;
pub use throttle::Throttle;
pub use work_time::{WorkTime, Working};
