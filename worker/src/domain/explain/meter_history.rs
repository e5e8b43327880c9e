//! How the balance of one meter came about, change by change.

use super::words::Moment;
use crate::domain::balance::{timeline::TimelineEntry, waterfall::UnitLimit};
use serde::Serialize;

/// The cause of usage that is a sum of any number of earlier reports.
pub const EARLIER_USAGE: &str = "(earlier reports, summed up)";

/// What the ledger recorded of a meter that no fact tells: usage and corrections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// Of which meter.
    pub meter: String,
    /// The entry.
    pub entry: TimelineEntry,
}

/// A meter; its columns by the names that they have in `billing.balances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are described in the README")]
pub struct MeterHistory {
    pub meter: String,
    /// What is left, in words.
    pub summary: String,
    pub plan_limit: UnitLimit,
    pub used: i64,
    pub rollover: i64,
    pub purchased: i64,
    pub available: Option<i64>,
    /// What happened, in order, as it counts by now: what they changed adds up
    /// to the balance.
    pub lines: Vec<BalanceLine>,
    /// What late events corrected in the ledger; the lines have it in them.
    pub corrections: Vec<BalanceLine>,
}

/// The kinds of lines: those of the ledger, and what decides about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "those of the ledger are described with it")]
pub enum LineKind {
    Usage,
    Rollover,
    Grant,
    TakenBack,
    Returned,
    Correction,
    /// What is included, from here on.
    Limit,
    /// A period is over, and nothing of it came in.
    NoRollover,
}

/// One change, or what decides about later ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BalanceLine {
    /// When it counts.
    pub at: Moment,
    /// What kind.
    pub kind: LineKind,
    /// The invoice, session or event that caused it; of usage its source and id.
    pub cause: String,
    /// What it was about, in units.
    pub amount: i64,
    /// Of usage: which bucket paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<PaidFrom>,
    /// Added to what the period has used.
    pub used: i64,
    /// Added to the rollover.
    pub rollover: i64,
    /// Added to what was purchased.
    pub purchased: i64,
    /// What was left after it; none where that is unlimited, and of corrections.
    pub available: Option<i64>,
    /// The change in words.
    pub words: String,
}

/// Which bucket paid how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PaidFrom {
    /// The period's limit.
    pub limit: i64,
    /// What had rolled over.
    pub rollover: i64,
    /// What was purchased.
    pub purchased: i64,
    /// Nothing: it is owed.
    pub debt: i64,
}
