//! Writes a batch of deliveries to PostgreSQL: one transaction that claims the
//! event ids, folds the facts, settles the balances and commits.

pub mod balances;
pub mod fold;
mod records;
mod sales;
pub mod transaction;
