//! The history of one meter's balance: its lines, and the buckets that paid.

use crate::domain::{
    balance::{timeline::TimelineEntry, waterfall::UnitLimit},
    moment::Moment,
};
use serde::Serialize;

/// The cause of a usage line that sums up any number of earlier reports.
pub const EARLIER_USAGE: &str = "(earlier reports, summed up)";

/// A usage or correction line of the ledger. No fact reports these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerRecord {
    /// The meter.
    pub meter: String,
    /// The entry.
    pub entry: TimelineEntry,
}

/// A meter; columns have the names that they have in `billing.balances`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the columns are described in docs/integrate.md")]
pub struct MeterHistory {
    pub meter: String,
    /// What is left, in words.
    pub summary: String,
    pub plan_limit: UnitLimit,
    /// How the limit of the period comes about, in words, if it is more than a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit_reason: Option<String>,
    pub used: i64,
    pub rollover: i64,
    pub purchased: i64,
    pub available: Option<i64>,
    /// What happened, in order, as it counts now. The changes add up to the balance.
    pub lines: Vec<BalanceLine>,
    /// The corrections in the ledger. `lines` already includes their effect.
    pub corrections: Vec<BalanceLine>,
}

/// The kinds of lines: the ledger's kinds, and what decides about later lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the ledger's kinds are described with the ledger")]
pub enum LineKind {
    Usage,
    Rollover,
    Carried,
    Overused,
    Grant,
    TakenBack,
    Returned,
    Correction,
    /// The limit from here on.
    Limit,
    /// A period was closed or cut short, and nothing of it is kept.
    NoRollover,
}

/// One change of a balance, or a limit that decides about later changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BalanceLine {
    /// When it counts.
    pub at: Moment,
    /// The kind of line.
    pub kind: LineKind,
    /// The invoice, session or event that caused it; for usage the report's source and id.
    pub cause: String,
    /// The units that were used, purchased, taken back, returned or left unused.
    pub amount: i64,
    /// For usage: the buckets that paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<PaidFrom>,
    /// Added to the usage of the period.
    pub used: i64,
    /// Added to the rollover.
    pub rollover: i64,
    /// Added to the purchased units.
    pub purchased: i64,
    /// What is available after it; none if that is unlimited, and for corrections.
    pub available: Option<i64>,
    /// The change in words.
    pub words: String,
}

/// How many units each bucket paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PaidFrom {
    /// The period's limit.
    pub limit: i64,
    /// Rollover.
    pub rollover: i64,
    /// Purchased units.
    pub purchased: i64,
    /// No bucket: the user owes them.
    pub debt: i64,
}
