//! The catalog's tiers, for `billing.trial_days` and for comparing tiers.

use crate::domain::subscription::ranks::Ranks;
use shared::catalog::Tier;
use sqlx::{Acquire, PgConnection};

/// The ranks of the catalog in force: the last one that a worker started with.
pub async fn ranks(connection: &mut PgConnection) -> Result<Ranks, sqlx::Error> {
    let rows = sqlx::query!("SELECT name, rank FROM billing.tier")
        .fetch_all(connection)
        .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.rank)).collect())
}

/// Makes `billing.tier` contain exactly these tiers. Returns whether that changes a rank.
pub async fn write_tiers(connection: &mut PgConnection, tiers: &[Tier]) -> Result<bool, sqlx::Error> {
    let names: Vec<&str> = tiers.iter().map(|t| t.name.as_str()).collect();
    let ranks: Vec<i32> = tiers.iter().map(|t| t.rank).collect();
    let days: Vec<i32> = tiers.iter().map(|t| t.trial_days).collect();
    let mut transaction = connection.begin().await?;
    // Workers that start at the same time write one after the other.
    sqlx::query!("LOCK TABLE billing.tier IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await?;
    let before = self::ranks(&mut transaction).await?;
    sqlx::query!("DELETE FROM billing.tier WHERE name <> ALL($1)", &names as &[&str])
        .execute(&mut *transaction)
        .await?;
    sqlx::query!(
        "INSERT INTO billing.tier (name, rank, trial_days)
         SELECT * FROM UNNEST($1::text[], $2::integer[], $3::integer[])
         ON CONFLICT (name) DO UPDATE SET rank = excluded.rank, trial_days = excluded.trial_days",
        &names as &[&str],
        &ranks,
        &days,
    )
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await?;
    let now: Ranks = tiers.iter().map(|t| (t.name.clone(), t.rank)).collect();
    Ok(before != now)
}
