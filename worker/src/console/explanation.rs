//! The explanation of a user for pages. It is the one of `worker explain`, with
//! older usage summed up.

use super::{database::PageSnapshot, page_error::PageError};
use crate::{
    domain::{
        balance::timeline,
        explain::{ExplainRequest, Explanation, explain},
        fact::Fact,
        ids::UserId,
    },
    store::explain::{accounts_of, facts_of, recorded_in_short},
};
use shared::catalog::FREE_TIER;
use std::sync::Arc;

/// The newest usage reports, shown one by one. Older ones are summed up.
const USAGES_MAX: i64 = 200;

/// The explanation of a user at `now`, in seconds. None if no event names the user.
pub(super) async fn of_user(
    snapshot: &mut PageSnapshot,
    user: &UserId,
    now: i64,
) -> Result<Option<Explanation>, PageError> {
    let accounts = accounts_of(snapshot, user).await?;
    let (facts, types) = facts_of(snapshot, &accounts).await?;
    let facts = Arc::new(facts);
    let cuts = {
        let (facts, user) = (Arc::clone(&facts), user.clone());
        compute(move || cuts(&facts, &user, now)).await?
    };
    let recorded = recorded_in_short(snapshot, user, &cuts, USAGES_MAX).await?;
    let user = user.clone();
    compute(move || {
        let request = ExplainRequest {
            user: &user,
            at: now,
            is_past: false,
            free_tier: FREE_TIER,
            types: &types,
        };
        explain(&facts, &recorded, &request)
    })
    .await
}

/// The times between which usage may be summed up.
fn cuts(facts: &[Fact], user: &UserId, now: i64) -> Vec<i64> {
    timeline::Timeline::of(user, facts.iter().filter(|f| f.created <= now)).boundaries()
}

/// Computes on a thread of its own: a long history must not hold up the lanes.
async fn compute<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, PageError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        tracing::error!(%error, "the explanation of a user could not be computed");
        PageError::Bug
    })
}
