//! Writes a batch of messages to PostgreSQL in one transaction.
//!
//! Begin reading at [`transaction`]: it claims the event ids, records dead letters
//! (`records`), folds the facts ([`fold`]), keeps paid sessions (`sales`), settles the
//! balances ([`balances`]), and commits.

pub mod balances;
pub mod fold;
mod records;
mod sales;
pub mod transaction;
