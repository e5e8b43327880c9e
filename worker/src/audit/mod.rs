//! `worker audit`: recomputes what is stored from the facts, and reports each row
//! that differs. It changes nothing. Workers may run meanwhile, because each page is
//! read at one moment.

mod accounts;
mod auditor;
mod balances;
pub mod compare;
pub mod credits;
pub mod difference;
mod events;
mod figures;
pub mod sums;
pub mod textfile;

use auditor::Auditor;
use sqlx::PgPool;
use std::{io::Write, path::Path, time::Instant};

/// Compares all that is stored with what the facts say, and prints a line for each
/// difference. With `metrics`, the figures are written to that file for Prometheus.
///
/// # Errors
/// PostgreSQL's, the network's or the file's, or that something differs.
pub async fn audit(pool: &PgPool, metrics: Option<&Path>, out: &mut impl Write) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut auditor = Auditor::new(pool, out);
    auditor.accounts().await?;
    auditor.users_without_subscription().await?;
    auditor.balances().await?;
    auditor.events().await?;
    auditor.usage().await?;
    if let Some(path) = metrics {
        textfile::write(path, &auditor.figures, began.elapsed())?;
    }
    auditor.finish()
}
