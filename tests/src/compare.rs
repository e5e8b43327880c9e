//! Compares the tables with the merchant's expected rows, for many lives at once.

use crate::fixtures::Event;
use crate::harness::{Balance, Balances, Entitlement, recorded};
use crate::merchant::Life;
use anyhow::{Result, ensure};
use sqlx::{PgPool, Row};
use std::collections::BTreeSet;

/// The number of lives or events that a failure shows in full.
const SHOWN_MAX: usize = 3;

/// Compares all tables with `lives`. No other events may have arrived.
///
/// # Errors
/// When an event is lost, counted twice or dead, or a row differs; the message names the users.
pub async fn all(pool: &PgPool, lives: &[Life]) -> Result<OutcomeCounts> {
    rows(pool, lives).await?;
    let counted = events(pool, lives).await?;
    let counts = sqlx::query(
        "SELECT (SELECT count(*) FROM billing.event), (SELECT count(*) FROM billing.payload), \
         (SELECT count(*) FROM billing.fact), (SELECT count(*) FROM billing.entitlements), \
         (SELECT count(*) FROM billing.dead_letter), \
         (SELECT coalesce(sum((state->>'undecided')::int), 0) FROM billing.subscription)",
    );
    let counts = counts.fetch_one(pool).await?;
    let mut seen = [0; 6];
    for (place, count) in seen.iter_mut().enumerate() {
        *count = counts.try_get(place)?;
    }
    let events = counted.applied + counted.ignored;
    let rows = lives.iter().flat_map(|life| &life.rows);
    let rows = rows.filter(|row| row.entitlement.is_some()).count();
    // The merchant makes no ties whose order stays undecided.
    let expected = [events, events, counted.applied, rows, 0, 0];
    let expected = expected.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    ensure!(
        seen == expected,
        "events, payloads, facts, entitlements, dead letters, undecided ties: {seen:?}, not {expected:?}"
    );
    Ok(counted)
}

/// Compares the row of each user of each life with the expected row.
///
/// # Errors
/// When a row differs; the message shows the lives and the differences.
pub async fn rows(pool: &PgPool, lives: &[Life]) -> Result<()> {
    compare(pool, lives.iter().map(|life| (life, life.entitlement.as_ref()))).await?;
    let others = lives
        .iter()
        .flat_map(|life| life.rows.iter().map(move |row| (life, row)));
    let others: Vec<_> = others.filter(|(life, row)| row.user_id != life.user_id).collect();
    let users: Vec<&str> = others.iter().map(|(_, row)| row.user_id.as_str()).collect();
    let shown = Entitlement::load_all(pool, &users).await?;
    let failures = others.iter().filter_map(|(life, row)| {
        let differences = differences(shown.get(&row.user_id), row.entitlement.as_ref());
        failure(life, &row.user_id, &differences)
    });
    report(&failures.collect::<Vec<_>>(), others.len())
}

/// Compares the balances of each user of each life with the expected ones, where the rules decide them.
/// Returns the number of users whose balances were compared.
///
/// # Errors
/// As [`rows`].
pub async fn balances(pool: &PgPool, lives: &[Life]) -> Result<usize> {
    let shown = Balance::load_all(pool).await?;
    let (none, mut compared, mut failures) = (Balances::new(), 0, Vec::new());
    for (life, row) in lives
        .iter()
        .flat_map(|life| life.rows.iter().map(move |row| (life, row)))
    {
        let Some(expected) = &row.balances else { continue };
        compared += 1;
        let shown = shown.get(&row.user_id).unwrap_or(&none);
        let meters: BTreeSet<&String> = shown.keys().chain(expected.keys()).collect();
        let unlike = meters
            .into_iter()
            .filter(|meter| shown.get(*meter) != expected.get(*meter))
            .map(|meter| format!("{meter}: {:?}, not {:?}", shown.get(meter), expected.get(meter)));
        failures.extend(failure(life, &row.user_id, &unlike.collect::<Vec<_>>()));
    }
    report(&failures, compared)?;
    Ok(compared)
}

fn failure(life: &Life, user_id: &str, differences: &[String]) -> Option<String> {
    let usages = life.usages.iter();
    let usages = usages.map(|usage| {
        format!(
            "\n  {} used {} {} at {}",
            usage.user_id,
            usage.amount,
            usage.meter.name(),
            usage.at
        )
    });
    let usages: String = usages.collect();
    let shown = format!(
        "{}{usages}\n  -> {user_id}: {}",
        life.description(),
        differences.join("\n  -> ")
    );
    (!differences.is_empty()).then_some(shown)
}

/// An error with the first of `failures`, if there is one.
fn report(failures: &[String], count: usize) -> Result<()> {
    ensure!(
        failures.is_empty(),
        "{} of {count} differ:\n{}",
        failures.len(),
        failures[..failures.len().min(SHOWN_MAX)].join("\n")
    );
    Ok(())
}

/// Compares the row of each life with the given one; `None`: the life must have no row.
///
/// # Errors
/// As [`rows`].
pub async fn compare<'a>(
    pool: &PgPool,
    expected: impl IntoIterator<Item = (&'a Life, Option<&'a Entitlement>)>,
) -> Result<()> {
    let expected: Vec<_> = expected.into_iter().collect();
    let users: Vec<&str> = expected.iter().map(|(life, _)| life.user_id.as_str()).collect();
    let rows = Entitlement::load_all(pool, &users).await?;
    let failures = expected.iter().filter_map(|(life, expected)| {
        let differences = differences(rows.get(&life.user_id), *expected);
        failure(life, &life.user_id, &differences)
    });
    report(&failures.collect::<Vec<_>>(), expected.len())
}

/// The differences between a row and the expected one, as `column: ACTUAL, not EXPECTED`.
#[must_use]
pub fn differences(row: Option<&Entitlement>, expected: Option<&Entitlement>) -> Vec<String> {
    match (row, expected) {
        (Some(row), Some(expected)) => row.differences(expected),
        (None, None) => Vec::new(),
        (Some(row), None) => vec![format!("a row, where none is expected: {row:?}")],
        (None, Some(expected)) => vec![format!("no row, where one is expected: {expected:?}")],
    }
}

/// The number of events by outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutcomeCounts {
    /// Events with a fact.
    pub applied: usize,
    /// Events without a fact.
    pub ignored: usize,
}

/// Checks the recorded outcome of each event of `lives`.
///
/// # Errors
/// When an event is lost, or its outcome is not the expected one.
pub async fn events(pool: &PgPool, lives: &[Life]) -> Result<OutcomeCounts> {
    let events: Vec<(&Life, &Event)> = lives
        .iter()
        .flat_map(|life| life.events.iter().map(move |event| (life, event)))
        .collect();
    let ids: Vec<String> = events.iter().map(|(_, event)| event.id.clone()).collect();
    let mut wrong = Vec::new();
    let mut ignored = 0;
    for ((life, event), record) in events.iter().zip(recorded(pool, &ids).await?) {
        let is_ignored = life.ignored.contains(&event.id);
        ignored += usize::from(is_ignored);
        let expected = if is_ignored { "ignored" } else { "applied" };
        if record.as_ref().is_none_or(|record| record.outcome != expected) {
            let Event { id, kind, .. } = event;
            wrong.push(format!(
                "{kind} {id}: {record:?}, not {expected}\n{}",
                life.description()
            ));
        }
    }
    ensure!(
        wrong.is_empty(),
        "of {} events {} are wrong:\n{}",
        ids.len(),
        wrong.len(),
        wrong[..wrong.len().min(SHOWN_MAX)].join("\n")
    );
    Ok(OutcomeCounts {
        applied: ids.len() - ignored,
        ignored,
    })
}
