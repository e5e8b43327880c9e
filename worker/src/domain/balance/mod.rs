//! Balances: what a user may still use of each meter.

pub mod closing;
pub mod grants;
pub mod ledger;
pub mod replay;
pub mod terms;
pub mod timeline;
pub mod usage;
pub mod waterfall;
