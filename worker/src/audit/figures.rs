//! The figures of an audit.

/// How much was audited so far, and how many rows differ.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct AuditFigures {
    pub(super) accounts: usize,
    pub(super) users: usize,
    pub(super) subscriptions: usize,
    pub(super) balances: usize,
    pub(super) facts: usize,
    pub(super) differences: usize,
}
