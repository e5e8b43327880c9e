//! All SQL. Functions run on the caller's connection and mostly take and return
//! whole batches.
//!
//! A transaction that locks several kinds of rows always takes them in this order,
//! each kind sorted by its key, so that two transactions cannot deadlock:
//! payments, invoices, accounts, events, dead letters, users. A statement that updates
//! several dead letters locks them first, in the order of their ids.

pub mod account;
pub mod action;
pub mod audit;
pub mod balance;
pub mod catalog;
pub mod claim;
pub mod console;
mod convert;
pub mod dead_letter;
pub mod dead_letter_queries;
pub mod explain;
pub mod fact;
pub mod job;
mod ledger;
pub mod pack;
pub mod payment;
pub mod pool;
pub mod question;
pub mod reconcile;
pub mod settings;
pub mod snapshot;
pub mod subscription;
pub mod user;
