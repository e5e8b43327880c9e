//! A user's story for pages: that of `worker explain`, of any number of usages.

use super::{problem::Problem, reader::Look};
use crate::{
    domain::{
        balance::timeline,
        explain::{ExplainRequest, Explanation, explain},
        fact::Fact,
        ids::UserId,
    },
    store::explain::{accounts_of, recorded_in_short, told_of},
};
use shared::catalog::FREE_TIER;
use std::sync::Arc;

/// The newest usages, told one by one; what was before is summed up.
const USAGES_MOST: i64 = 200;

/// The story of a user as of `now`, in seconds; none if nothing tells of them.
pub(super) async fn of_user(look: &mut Look, user: &UserId, now: i64) -> Result<Option<Explanation>, Problem> {
    let accounts = accounts_of(look, user).await?;
    let (facts, types) = told_of(look, &accounts).await?;
    let facts = Arc::new(facts);
    let cuts = {
        let (facts, user) = (Arc::clone(&facts), user.clone());
        think(move || cuts(&facts, &user, now)).await?
    };
    let recorded = recorded_in_short(look, user, &cuts, USAGES_MOST).await?;
    let user = user.clone();
    think(move || {
        let question = ExplainRequest {
            user: &user,
            at: now,
            is_past: false,
            free_tier: FREE_TIER,
            types: &types,
        };
        explain(&facts, &recorded, &question)
    })
    .await
}

/// The moments between which the story allows usage to be summed up.
fn cuts(facts: &[Fact], user: &UserId, now: i64) -> Vec<i64> {
    timeline::Timeline::of(user, facts.iter().filter(|f| f.created <= now)).boundaries()
}

/// A long story takes its time, which is not that of the lanes.
async fn think<T: Send + 'static>(about: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
    tokio::task::spawn_blocking(about).await.map_err(|error| {
        tracing::error!(%error, "a story cannot be told");
        Problem::Broken
    })
}
