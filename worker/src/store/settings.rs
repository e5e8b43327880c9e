//! How to reach PostgreSQL.

use shared::settings::{
    Fallback, Group, LENGTH_MAX, Length, Number, Secret, SecretText, Setting, SettingError, SettingForm as _, Settings,
};
use std::time::Duration;

/// Connections that a worker needs beside one for each lane: to watch, and to
/// answer `/readyz`.
const FURTHER_CONNECTIONS_MIN: u32 = 2;
/// Further connections if nothing else is set: two more, for the console.
const FURTHER_CONNECTIONS: u32 = 4;

/// Where PostgreSQL is.
pub static DATABASE_URL: Setting<SecretText> = Setting {
    name: "DATABASE_URL",
    group: Group::PostgreSql,
    form: SecretText("a PostgreSQL URL such as postgres://user:password@host:5432/database"),
    default: Fallback::Required,
    meaning: "PostgreSQL 15 or later.",
};
/// Connections to PostgreSQL.
pub static DATABASE_POOL_SIZE: Setting<Number> = Setting {
    name: "DATABASE_POOL_SIZE",
    group: Group::PostgreSql,
    form: Number { min: 3, max: 1_000 },
    default: Fallback::Computed("LANES + 4"),
    meaning: "Connections to PostgreSQL, at most. At least LANES + 2.",
};
/// PostgreSQL's `statement_timeout`.
pub static STATEMENT_TIMEOUT: Setting<Length> = Setting {
    name: "STATEMENT_TIMEOUT",
    group: Group::PostgreSql,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("10s"),
    meaning: "PostgreSQL's statement_timeout: how long one statement may take.",
};
/// PostgreSQL's `lock_timeout`.
pub static LOCK_TIMEOUT: Setting<Length> = Setting {
    name: "LOCK_TIMEOUT",
    group: Group::PostgreSql,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("5s"),
    meaning: "PostgreSQL's lock_timeout: how long a statement may wait for one lock.",
};
/// Batches side by side; here, since each needs a connection.
pub static LANES: Setting<Number> = Setting {
    name: "LANES",
    group: Group::Work,
    form: Number { min: 1, max: 64 },
    default: Fallback::Value("4"),
    meaning: "Batches that are applied side by side, each in a transaction of its own.",
};

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Database {
    /// [`DATABASE_URL`]
    pub url: Secret,
    /// Connections, at most.
    pub pool_size: u32,
    /// PostgreSQL's `statement_timeout`; zero for no limit.
    pub statement_timeout: Duration,
    /// PostgreSQL's `lock_timeout`; zero for no limit.
    pub lock_timeout: Duration,
}

impl Database {
    /// Reads the settings of the database alone.
    ///
    /// # Errors
    /// When one is missing or cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let lanes = settings.get(&LANES)?;
        let size = settings.find(&DATABASE_POOL_SIZE)?;
        let form = Number {
            min: lanes + FURTHER_CONNECTIONS_MIN,
            ..DATABASE_POOL_SIZE.form
        };
        let size = form.check(size.unwrap_or(lanes + FURTHER_CONNECTIONS));
        Ok(Self {
            url: settings.get(&DATABASE_URL)?,
            pool_size: size.map_err(|problem| DATABASE_POOL_SIZE.error(problem))?,
            statement_timeout: settings.get(&STATEMENT_TIMEOUT)?,
            lock_timeout: settings.get(&LOCK_TIMEOUT)?,
        })
    }
}

/// The error of a [`DATABASE_URL`] that cannot be read. It does not repeat the
/// parser's message, which may have the URL, and with it the password.
pub(super) fn unreadable_url() -> SettingError {
    DATABASE_URL.error(format!("is not {}", DATABASE_URL.form.allowed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_has_a_connection_for_each_lane_and_some_more() {
        let url = ("DATABASE_URL", "x");
        let size = |pairs: &[(&str, &str)]| {
            let database = Database::from_settings(&Settings::from_pairs(pairs));
            database.map(|database| database.pool_size).map_err(|e| e.to_string())
        };
        assert_eq!(size(&[url]), Ok(8));
        assert_eq!(size(&[url, ("LANES", "8")]), Ok(12));
        assert_eq!(size(&[url, ("LANES", "8"), ("DATABASE_POOL_SIZE", "10")]), Ok(10));
        let error = "DATABASE_POOL_SIZE: 4 is out of range; allowed is 10 to 1000";
        let small = [url, ("LANES", "8"), ("DATABASE_POOL_SIZE", "4")];
        assert_eq!(size(&small), Err(error.to_owned()));
    }
}
