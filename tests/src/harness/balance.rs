//! Reports usage and reads balances, as an application does.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sqlx::{PgPool, Row};
use std::collections::BTreeMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The columns of a row of `billing.balances` after its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns are described in docs/integrate.md")]
pub struct Balance {
    pub plan_limit: Option<i64>,
    pub used: i64,
    pub rollover: i64,
    pub purchased: i64,
    pub available: Option<i64>,
}

/// By meter.
pub type Balances = BTreeMap<String, Balance>;

impl Balance {
    /// All columns in their order.
    #[must_use]
    pub const fn new(plan_limit: i64, used: i64, rollover: i64, purchased: i64, available: i64) -> Self {
        Self {
            plan_limit: Some(plan_limit),
            used,
            rollover,
            purchased,
            available: Some(available),
        }
    }

    /// A meter without a limit, rollover and packs.
    #[must_use]
    pub const fn unlimited(used: i64) -> Self {
        Self {
            plan_limit: None,
            used,
            rollover: 0,
            purchased: 0,
            available: None,
        }
    }

    /// The rows of `user_id`.
    ///
    /// # Errors
    /// When the database does not answer, or the view has other columns.
    pub async fn load(pool: &PgPool, user_id: &str) -> Result<Balances> {
        Ok(Self::load_all(pool).await?.remove(user_id).unwrap_or_default())
    }

    /// All rows, by user.
    ///
    /// # Errors
    /// As [`Balance::load`].
    pub async fn load_all(pool: &PgPool) -> Result<BTreeMap<String, Balances>> {
        let rows = sqlx::query(
            "SELECT user_id, meter, plan_limit, used, rollover, purchased, available FROM billing.balances",
        );
        let mut all = BTreeMap::<String, Balances>::new();
        for row in rows.fetch_all(pool).await? {
            let balance = Self {
                plan_limit: row.try_get("plan_limit")?,
                used: row.try_get("used")?,
                rollover: row.try_get("rollover")?,
                purchased: row.try_get("purchased")?,
                available: row.try_get("available")?,
            };
            let own = all.entry(row.try_get("user_id")?).or_default();
            let twice = own.insert(row.try_get("meter")?, balance);
            ensure!(twice.is_none(), "two rows of one user and meter: {row:?}");
        }
        Ok(all)
    }

    /// Checks that the rows of `user_id` are these and no others.
    ///
    /// # Errors
    /// When they are not; says how they differ.
    pub async fn expect(pool: &PgPool, user_id: &str, expected: &[(&str, Self)]) -> Result<()> {
        let seen = Self::load(pool, user_id).await?;
        let expected = expected.iter().map(|(meter, row)| ((*meter).to_owned(), *row));
        let expected: Balances = expected.collect();
        ensure!(seen == expected, "{user_id}: {seen:#?}\nnot {expected:#?}");
        Ok(())
    }
}

/// Checks that every balance is the sum of its ledger: `rollover` and `purchased` over all rows, `used` over
/// the current period.
///
/// # Errors
/// When a balance is not; the message names the first one.
pub async fn every_balance_is_the_sum_of_its_ledger(pool: &PgPool) -> Result<()> {
    let wrong = sqlx::query_scalar(
        "WITH sums AS (
             SELECT user_id, meter, sum(rollover) AS rollover, sum(purchased) AS purchased
             FROM billing.ledger GROUP BY 1, 2
         ), used AS (
             SELECT user_id, meter, period, sum(used) AS used FROM billing.ledger GROUP BY 1, 2, 3
         )
         SELECT coalesce(b.user_id, s.user_id) || ' ' || coalesce(b.meter, s.meter)
         FROM billing.balance b
         FULL JOIN sums s USING (user_id, meter)
         LEFT JOIN used u ON u.user_id = b.user_id AND u.meter = b.meter
              AND u.period = coalesce(b.subscription_id || ' ' || b.period_start, '')
         -- A row that ceased to be, such as after a hand-over, has entries that add up to nothing.
         WHERE (coalesce(b.rollover, 0), coalesce(b.purchased, 0), coalesce(b.used, 0))
               IS DISTINCT FROM (coalesce(s.rollover, 0), coalesce(s.purchased, 0), coalesce(u.used, 0))
         ORDER BY 1",
    );
    let wrong: Vec<String> = wrong.fetch_all(pool).await?;
    let first = wrong.first();
    ensure!(
        first.is_none(),
        "{} balances are not the sums of their ledgers, first {first:?}",
        wrong.len()
    );
    Ok(())
}

/// A usage report: `user_id` used `amount` units of `meter` at `time` (Unix time).
///
/// # Errors
/// When `time` is out of range.
pub fn report(id: &str, user_id: &str, meter: &str, amount: i64, time: i64) -> Result<Value> {
    let time = OffsetDateTime::from_unix_timestamp(time)?.format(&Rfc3339)?;
    Ok(json!({
        "specversion": "1.0",
        "type": "usage",
        "source": "/app",
        "id": id,
        "subject": user_id,
        "time": time,
        "data": { "meter": meter, "amount": amount },
    }))
}

/// The id of a usage report in `billing.events`.
///
/// # Errors
/// When it is not a usage report.
pub fn report_key(report: &Value) -> Result<String> {
    let text = |name| report[name].as_str().context("a report has a source and an id");
    Ok(format!("{} {}", text("source")?, text("id")?))
}
