//! The work that one worker does for all, now and then.

use super::{unreadable, written};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgConnection;

/// Takes the right to do a job; it ends with the session. False if another has it.
pub async fn lead(session: &mut PgConnection, job: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('tollbridge job ' || $1, 0)) AS "taken!""#,
        job,
    )
    .fetch_one(session)
    .await
}

/// The last time that a job was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begun {
    /// So many seconds ago; if it failed, since then.
    pub ago_s: i64,
    /// It came to its end.
    pub ended: bool,
}

/// When a job was begun last; none if it never was.
pub async fn begun(connection: &mut PgConnection, job: &str) -> Result<Option<Begun>, sqlx::Error> {
    sqlx::query_as!(
        Begun,
        r#"SELECT extract(epoch FROM now() - greatest(began_at, failed_at))::bigint AS "ago_s!", coalesce(ended_at >= began_at, false) AS "ended!"
           FROM billing.stripe_job WHERE job = $1 AND began_at IS NOT NULL"#,
        job,
    )
    .fetch_optional(connection)
    .await
}

/// It begins now.
pub async fn begin(connection: &mut PgConnection, job: &str) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.stripe_job (job, began_at) VALUES ($1, now())
         ON CONFLICT (job) DO UPDATE SET began_at = now()",
        job,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// It ended well, with this report; nothing is left to resume.
pub async fn end<T: Serialize>(connection: &mut PgConnection, job: &str, report: &T) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_job SET ended_at = now(), report = $2::text::json, cursor = NULL WHERE job = $1",
        job,
        written(report)?,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// It did not come to its end, and this is what it reports; it is resumed later.
pub async fn fail<T: Serialize>(connection: &mut PgConnection, job: &str, report: &T) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_job SET failed_at = now(), report = $2::text::json WHERE job = $1",
        job,
        written(report)?,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Notes how far it is, to be resumed there if it is cut off.
pub async fn reach<T: Serialize>(connection: &mut PgConnection, job: &str, cursor: &T) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_job SET cursor = $2::text::json WHERE job = $1",
        job,
        written(cursor)?,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// What the last one reported that did.
pub async fn report<T: DeserializeOwned>(connection: &mut PgConnection, job: &str) -> Result<Option<T>, sqlx::Error> {
    let report = sqlx::query_scalar!(
        "SELECT report::text AS report FROM billing.stripe_job WHERE job = $1",
        job
    )
    .fetch_optional(connection)
    .await?;
    let read = |text: String| serde_json::from_str(&text).map_err(|e| unreadable("report", job, &e));
    report.flatten().map(read).transpose()
}

/// How far one got that was cut off.
pub async fn cursor<T: DeserializeOwned>(connection: &mut PgConnection, job: &str) -> Result<Option<T>, sqlx::Error> {
    let cursor = sqlx::query_scalar!(
        "SELECT cursor::text AS cursor FROM billing.stripe_job WHERE job = $1",
        job
    )
    .fetch_optional(connection)
    .await?;
    let read = |text: String| serde_json::from_str(&text).map_err(|e| unreadable("cursor", job, &e));
    cursor.flatten().map(read).transpose()
}

/// What is known of a job's last run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Last {
    /// Which job.
    pub job: String,
    /// When one ended well for the last time, in seconds since 1970; if none did
    /// yet, when the first was begun.
    pub ended_at: i64,
    /// What the last one reported that did, as JSON.
    pub report: String,
}

/// The last run of each job.
pub async fn last(connection: &mut PgConnection) -> Result<Vec<Last>, sqlx::Error> {
    sqlx::query_as!(
        Last,
        r#"SELECT job, extract(epoch FROM coalesce(ended_at, first_at))::bigint AS "ended_at!", coalesce(report::text, '{}') AS "report!"
           FROM billing.stripe_job"#
    )
    .fetch_all(connection)
    .await
}
