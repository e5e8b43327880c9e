//! Compares events with what they leave behind: a fact, or usage in the ledger.

use super::{auditor::Auditor, difference::Difference};
use crate::store::{
    audit::{
        credits,
        stored::{self, UnmatchedPage},
    },
    snapshot,
};
use std::io::Write;
use stripe_api::HANDLED;

/// Events or facts in one query.
const EVENTS_PAGE: i64 = 5_000;
/// Applied usage without a row in the ledger, in one query.
const USAGE_PAGE: i64 = 1_000;

impl<W: Write> Auditor<'_, W> {
    /// Finds applied events without a fact, and facts without an applied event.
    pub(super) async fn events(&mut self) -> anyhow::Result<()> {
        let unmatched = |row: &str, found: UnmatchedPage, what: &str| -> Vec<Difference> {
            let ids = found.unmatched.into_iter();
            ids.map(|id| Difference::of(format!("{row} {id}"), what)).collect()
        };
        let mut connection = self.pool.acquire().await?;
        let mut after = Some(String::new());
        while let Some(last) = &after {
            let found = stored::events_after(&mut connection, last, EVENTS_PAGE, &HANDLED).await?;
            after.clone_from(&found.last);
            self.report(&unmatched("event", found, "it is applied, but its fact is missing"))?;
        }
        let mut after = Some(String::new());
        while let Some(last) = &after {
            let found = stored::facts_after(&mut connection, last, EVENTS_PAGE).await?;
            after.clone_from(&found.last);
            self.report(&unmatched("fact of", found, "no event of that id is applied"))?;
        }
        Ok(())
    }

    /// Finds applied usage that is not in the ledger.
    pub(super) async fn usage(&mut self) -> anyhow::Result<()> {
        let mut after = String::new();
        loop {
            let mut moment = snapshot::begin(self.pool).await?;
            let events = credits::missing_usage_after(&mut moment, &after, USAGE_PAGE).await?;
            moment.commit().await?;
            let Some(last) = events.last() else { return Ok(()) };
            after.clone_from(last);
            let what = "it is applied, but its usage is not in the ledger";
            let found = events.iter().map(|id| Difference::of(format!("event {id}"), what));
            self.report(&found.collect::<Vec<_>>())?;
        }
    }
}
