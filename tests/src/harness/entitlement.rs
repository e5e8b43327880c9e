//! Reads rows of `billing.entitlements` and `billing.events`, the views for applications.

use anyhow::Result;
use sqlx::postgres::{PgPool, PgRow};
use sqlx::{FromRow, Row};
use std::collections::BTreeMap;

/// A row of `billing.entitlements`; times in Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in docs/integrate.md")]
pub struct Entitlement {
    pub user_id: String,
    pub entitled: bool,
    pub status: String,
    pub tier: String,
    pub effective_tier: String,
    pub grace_tier: Option<String>,
    pub grace_until: Option<i64>,
    pub current_period_start: Option<i64>,
    pub current_period_end: Option<i64>,
    pub trial_end: Option<i64>,
    pub is_canceling: bool,
    pub cancel_at: Option<i64>,
    pub canceled_at: Option<i64>,
    pub ever_paid: bool,
    pub highest_tier_subscribed: Option<String>,
    pub stripe_customer_id: Option<String>,
    pub stripe_subscription_id: Option<String>,
}

const SELECT: &str = "SELECT user_id, entitled, status, tier, effective_tier, grace_tier, \
    extract(epoch FROM grace_until)::bigint AS grace_until, \
    extract(epoch FROM current_period_start)::bigint AS current_period_start, \
    extract(epoch FROM current_period_end)::bigint AS current_period_end, \
    extract(epoch FROM trial_end)::bigint AS trial_end, \
    is_canceling, \
    extract(epoch FROM cancel_at)::bigint AS cancel_at, \
    extract(epoch FROM canceled_at)::bigint AS canceled_at, \
    ever_paid, highest_tier_subscribed, stripe_customer_id, stripe_subscription_id \
    FROM billing.entitlements WHERE user_id = ANY($1)";

impl FromRow<'_, PgRow> for Entitlement {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            user_id: row.try_get("user_id")?,
            entitled: row.try_get("entitled")?,
            status: row.try_get("status")?,
            tier: row.try_get("tier")?,
            effective_tier: row.try_get("effective_tier")?,
            grace_tier: row.try_get("grace_tier")?,
            grace_until: row.try_get("grace_until")?,
            current_period_start: row.try_get("current_period_start")?,
            current_period_end: row.try_get("current_period_end")?,
            trial_end: row.try_get("trial_end")?,
            is_canceling: row.try_get("is_canceling")?,
            cancel_at: row.try_get("cancel_at")?,
            canceled_at: row.try_get("canceled_at")?,
            ever_paid: row.try_get("ever_paid")?,
            highest_tier_subscribed: row.try_get("highest_tier_subscribed")?,
            stripe_customer_id: row.try_get("stripe_customer_id")?,
            stripe_subscription_id: row.try_get("stripe_subscription_id")?,
        })
    }
}

impl Entitlement {
    /// The row of `user_id`, if there is one.
    ///
    /// # Errors
    /// When the database does not answer, or the view has other columns.
    pub async fn load(pool: &PgPool, user_id: &str) -> Result<Option<Self>> {
        Ok(Self::load_all(pool, &[user_id]).await?.remove(user_id))
    }

    /// The existing rows of `users`, by user id.
    ///
    /// # Errors
    /// As [`Entitlement::load`].
    pub async fn load_all(pool: &PgPool, users: &[&str]) -> Result<BTreeMap<String, Self>> {
        let rows: Vec<Self> = sqlx::query_as(SELECT).bind(users).fetch_all(pool).await?;
        Ok(rows.into_iter().map(|row| (row.user_id.clone(), row)).collect())
    }

    /// The name and the value of each column, for people.
    #[must_use]
    pub fn columns(&self) -> Vec<(&'static str, String)> {
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        let time = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), instant);
        let flag = |value: bool| if value { "yes" } else { "no" }.to_owned();
        vec![
            ("user_id", self.user_id.clone()),
            ("entitled", flag(self.entitled)),
            ("status", self.status.clone()),
            ("tier", self.tier.clone()),
            ("effective_tier", self.effective_tier.clone()),
            ("grace_tier", text(&self.grace_tier)),
            ("grace_until", time(self.grace_until)),
            ("current_period_start", time(self.current_period_start)),
            ("current_period_end", time(self.current_period_end)),
            ("trial_end", time(self.trial_end)),
            ("is_canceling", flag(self.is_canceling)),
            ("cancel_at", time(self.cancel_at)),
            ("canceled_at", time(self.canceled_at)),
            ("ever_paid", flag(self.ever_paid)),
            ("highest_tier_subscribed", text(&self.highest_tier_subscribed)),
            ("stripe_customer_id", text(&self.stripe_customer_id)),
            ("stripe_subscription_id", text(&self.stripe_subscription_id)),
        ]
    }

    /// The columns in which `other` differs, as `column: OURS, not THEIRS`.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let pairs = self.columns().into_iter().zip(other.columns());
        pairs
            .filter(|(ours, theirs)| ours != theirs)
            .map(|((column, ours), (_, theirs))| format!("{column}: {ours}, not {theirs}"))
            .collect()
    }
}

/// A Unix time as `2026-11-23 15:31`, in UTC.
fn instant(unix: i64) -> String {
    match time::OffsetDateTime::from_unix_timestamp(unix) {
        Ok(at) => format!("{} {:02}:{:02}:{:02}", at.date(), at.hour(), at.minute(), at.second()),
        Err(_) => unix.to_string(),
    }
}

/// A row of `billing.events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// `applied`, `ignored` or `dead`.
    pub outcome: String,
    /// The reason, if it is not applied.
    pub reason: Option<String>,
}

/// The rows of the events `ids` in `billing.events`, in their order; `None` for a missing one.
///
/// # Errors
/// When the database does not answer, or the view has other columns.
pub async fn recorded(pool: &PgPool, ids: &[String]) -> Result<Vec<Option<Recorded>>> {
    let rows = sqlx::query(
        "SELECT e.outcome, e.reason \
         FROM unnest($1::text[]) WITH ORDINALITY AS asked (id, place) \
         LEFT JOIN billing.events e ON e.event_id = asked.id \
         ORDER BY asked.place",
    );
    let rows = rows.bind(ids).fetch_all(pool).await?;
    let recorded = rows.iter().map(|row| {
        let outcome: Option<String> = row.try_get(0)?;
        let reason = row.try_get(1)?;
        Ok(outcome.map(|outcome| Recorded { outcome, reason }))
    });
    recorded.collect()
}
