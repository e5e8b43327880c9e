//! All SQL, on the caller's connection: set-based statements that take and
//! return whole batches. Locks are taken in one order everywhere: accounts,
//! then events, then payments, then users, each sorted by its key.

pub mod account;
pub mod action;
pub mod audit;
pub mod balance;
pub mod catalog;
pub mod claim;
pub mod console;
pub mod dead_letter;
pub mod dead_letter_queries;
pub mod explain;
pub mod fact;
pub mod job;
pub mod pack;
pub mod pool;
pub mod question;
pub mod reconcile;
pub mod settings;
pub mod snapshot;
pub mod subscription;
pub mod user;

use crate::domain::ids::{AccountId, UserId};

/// A stored value that this program wrote and cannot read any more.
fn unreadable(what: &'static str, key: &str, error: &serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(format!("the stored {what} of {key} cannot be read: {error}").into())
}

fn written<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|e| sqlx::Error::Encode(e.into()))
}

/// A column of rows: UNNEST takes one array for each.
fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

fn accounts_as_text(accounts: &[AccountId]) -> Vec<String> {
    accounts.iter().map(ToString::to_string).collect()
}

fn users_as_text(users: &[UserId]) -> Vec<String> {
    users.iter().map(ToString::to_string).collect()
}
