//! Balances: how many units of each meter a user may still use.
//!
//! Facts become a [`timeline`]: the limits over time ([`terms`]), the paid
//! renewals ([`closing`]) and the purchased credits ([`grants`]). [`replay`] goes
//! through it together with the reported usage. The [`waterfall`] decides which
//! bucket pays for each unit. [`ledger`] compares the result with what is
//! recorded and says which lines are missing.

pub mod closing;
pub mod grants;
pub mod ledger;
pub mod replay;
pub mod terms;
pub mod timeline;
pub mod usage;
pub mod waterfall;
