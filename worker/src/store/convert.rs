//! Converts between the values of this program and the columns of the database.

use crate::domain::ids::{AccountId, UserId};

/// The error for a stored value that cannot be read. This program wrote it, so
/// another version did, or somebody changed the row.
pub(super) fn unreadable(what: &'static str, key: &str, error: &serde_json::Error) -> sqlx::Error {
    sqlx::Error::Decode(format!("the stored {what} of {key} cannot be read: {error}").into())
}

pub(super) fn to_json<T: serde::Serialize>(value: &T) -> Result<String, sqlx::Error> {
    serde_json::to_string(value).map_err(|e| sqlx::Error::Encode(e.into()))
}

/// One column of `rows`. UNNEST takes each column as an array.
pub(super) fn column<'a, R, T>(rows: &'a [R], of: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(of).collect()
}

pub(super) fn accounts_as_text(accounts: &[AccountId]) -> Vec<String> {
    column(accounts, ToString::to_string)
}

pub(super) fn users_as_text(users: &[UserId]) -> Vec<String> {
    column(users, ToString::to_string)
}
