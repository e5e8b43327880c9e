//! Why a user has what they have: each fact of their subscriptions and the change
//! it made, and each change of their balances, in words. Computed from facts and
//! usage alone, by the same folds as the state.

mod balance_words;
mod balances;
mod changes;
mod explain_user;
mod explanation;
mod grace;
mod history;
mod meter_history;
mod summary;
mod transition;
mod words;

pub use explain_user::explain;
pub use explanation::{EntitlementRow, ExplainRequest, Explanation, HistoryEntry, SubscriptionHistory};
pub use meter_history::{BalanceLine, EARLIER_USAGE, LedgerRecord, LineKind, MeterHistory, PaidFrom};
pub use transition::{ChangeKind, ChangeNote};
pub use words::Moment;
