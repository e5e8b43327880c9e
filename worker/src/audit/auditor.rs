//! An audit under way: what it has printed and counted so far.

use super::{difference::Difference, figures::AuditFigures};
use shared::terminal::printable;
use sqlx::PgPool;
use std::{
    io::Write,
    time::{Duration, Instant},
};

/// Accounts or users in one transaction.
pub(super) const PAGE: i64 = 500;
/// How often the progress is logged.
const LOG_EVERY: Duration = Duration::from_secs(5);

/// An audit under way.
pub(super) struct Auditor<'a, W> {
    pub(super) pool: &'a PgPool,
    pub(super) figures: AuditFigures,
    out: &'a mut W,
    logged: Instant,
}

impl<'a, W: Write> Auditor<'a, W> {
    pub(super) fn new(pool: &'a PgPool, out: &'a mut W) -> Self {
        Self {
            pool,
            figures: AuditFigures::default(),
            out,
            logged: Instant::now(),
        }
    }

    /// Prints differences, and logs the progress now and then.
    pub(super) fn report(&mut self, found: &[Difference]) -> anyhow::Result<()> {
        for difference in found {
            writeln!(self.out, "{}", printable(&difference.to_string()))?;
        }
        self.figures.differences += found.len();
        if self.logged.elapsed() >= LOG_EVERY {
            let AuditFigures {
                accounts,
                users,
                balances,
                facts,
                differences,
                ..
            } = self.figures;
            tracing::info!(accounts, users, balances, facts, differences, "auditing");
            self.logged = Instant::now();
        }
        Ok(())
    }

    /// Prints the figures. Fails if anything differs.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let AuditFigures {
            users,
            subscriptions,
            balances,
            facts,
            differences,
            ..
        } = self.figures;
        let result = match differences {
            0 => "no difference".to_owned(),
            1 => "1 difference".to_owned(),
            many => format!("{many} differences"),
        };
        writeln!(
            self.out,
            "audited {users} users, {subscriptions} subscriptions, {balances} balances, {facts} facts: {result}"
        )?;
        anyhow::ensure!(
            differences == 0,
            "what is stored differs from what the events say ({result}); nothing was changed. If a state is of another \
             version, run `worker migrate`. Any other row was changed by hand, or there is a bug: `worker explain USER` \
             shows what the events say; please report it"
        );
        Ok(())
    }
}
