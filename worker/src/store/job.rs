//! The jobs that one worker does for all workers: backfill and reconcile.

use super::convert::{to_json, unreadable};
use serde::{Serialize, de::DeserializeOwned};
use sqlx::PgConnection;

/// Takes the lead of a job. The session keeps it until the session ends. False if
/// another session has it.
pub async fn lead(session: &mut PgConnection, job: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT pg_try_advisory_lock(hashtextextended('tollbridge job ' || $1, 0)) AS "taken!""#,
        job,
    )
    .fetch_one(session)
    .await
}

/// The latest start of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastStart {
    /// Seconds since the start, or since the failure if it failed.
    pub ago_s: i64,
    /// The run was successful.
    pub ended: bool,
}

/// The latest start of a job; `None` if it never ran.
pub async fn begun(connection: &mut PgConnection, job: &str) -> Result<Option<LastStart>, sqlx::Error> {
    sqlx::query_as!(
        LastStart,
        r#"SELECT extract(epoch FROM now() - greatest(began_at, failed_at))::bigint AS "ago_s!", coalesce(ended_at >= began_at, false) AS "ended!"
           FROM billing.stripe_job WHERE job = $1 AND began_at IS NOT NULL"#,
        job,
    )
    .fetch_optional(connection)
    .await
}

/// Records that a run begins.
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

/// Records that the run was successful, with its report. Nothing is left to resume.
pub async fn end<T: Serialize>(connection: &mut PgConnection, job: &str, report: &T) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_job SET ended_at = now(), report = $2::text::json, cursor = NULL WHERE job = $1",
        job,
        to_json(report)?,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Records that the run failed, with its report. The next run resumes it.
pub async fn fail<T: Serialize>(connection: &mut PgConnection, job: &str, report: &T) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_job SET failed_at = now(), report = $2::text::json WHERE job = $1",
        job,
        to_json(report)?,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// Records how far the run is. The next run resumes there if this one is cut off.
pub async fn reach<T: Serialize>(connection: &mut PgConnection, job: &str, cursor: &T) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.stripe_job SET cursor = $2::text::json WHERE job = $1",
        job,
        to_json(cursor)?,
    )
    .execute(connection)
    .await
    .map(|_| ())
}

/// The report of the latest run.
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

/// How far a run came that was cut off.
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

/// The latest successful run of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobStatus {
    /// The job's name.
    pub job: String,
    /// When it ended, in seconds since 1970. If no run was successful yet, when the
    /// first one began.
    pub ended_at: i64,
    /// The report of the latest run, successful or not, as JSON.
    pub report: String,
}

/// The status of each job.
pub async fn last(connection: &mut PgConnection) -> Result<Vec<JobStatus>, sqlx::Error> {
    sqlx::query_as!(
        JobStatus,
        r#"SELECT job, extract(epoch FROM coalesce(ended_at, first_at))::bigint AS "ended_at!", coalesce(report::text, '{}') AS "report!"
           FROM billing.stripe_job"#
    )
    .fetch_all(connection)
    .await
}
