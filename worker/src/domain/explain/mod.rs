//! Why a user has what they have: each fact of their subscriptions with the change
//! it made, and each change of their balances, in words. It is computed from facts
//! and usage by the same folds as the stored state.

mod balance_words;
mod balances;
mod changes;
mod explain_user;
mod explanation;
mod grace;
mod history;
mod limit_words;
mod meter_history;
mod money;
mod sold;
mod summary;
mod transition;
mod words;

pub use crate::domain::moment::Moment;
pub use explain_user::explain;
pub use explanation::{EntitlementRow, ExplainRequest, Explanation, HistoryEntry, SubscriptionHistory};
pub use meter_history::{BalanceLine, EARLIER_USAGE, LedgerRecord, LineKind, MeterHistory, PaidFrom};
pub use transition::{ChangeKind, ChangeNote};

#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod rules_tests;
