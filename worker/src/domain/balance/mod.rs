//! Balances: how many units of each meter a user may still use.
//!
//! Facts become a [`timeline`]. The [`stages`] of a subscription are grouped into its
//! billing [`periods`], whose limits are weighted by time ([`period_limit`]). They give the
//! limits over time ([`terms`]), what rolls over when a renewal is paid ([`closing`]), and
//! what is left when a change cuts a period short ([`cuts`]). A hand-over to another user
//! divides all of that between the two ([`ownership`]). [`grants`] are the purchased credits, of
//! which [`returns`] take some back. [`replay`] goes through all of it together with the reported
//! usage. The [`waterfall`] decides which bucket pays for each unit. [`ledger`] compares the result
//! with what is recorded and says which lines are missing.

pub mod closing;
pub mod cuts;
pub mod grants;
pub mod ledger;
pub mod ownership;
pub mod period_limit;
pub mod periods;
pub mod replay;
pub mod returns;
pub mod stages;
pub mod terms;
pub mod timeline;
pub mod usage;
pub mod waterfall;
