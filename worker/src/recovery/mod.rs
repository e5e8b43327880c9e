//! Recovery: what Stripe knows and this system missed. `backfill` fetches events that
//! never came, `reconcile` finds subscriptions that differ from Stripe's, and `ask`
//! asks about changes of one second whose order the events do not show.
//!
//! Everything that is found goes to the work queue and is folded like any event.
//! Nothing here writes state.

pub mod ask;
pub mod backfill;
mod candidates;
pub mod error;
pub mod jobs;
pub mod page;
pub mod reconcile;
pub mod schedule;
pub mod tools;
