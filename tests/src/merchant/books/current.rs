//! Whether a subscription gives access, and which of several is the current one.

use super::Record;
use super::record::is_entitling;
use super::walk::Walk;
use crate::merchant::PaidTier;

/// How long after its end a subscription counts as ended, even if nobody told of it.
pub(super) const UNTOLD_END_SECONDS: i64 = 3_600;

/// Which tier decides what subscription of several is the current one. The rules do not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TierOf {
    /// Stripe's.
    Shown,
    /// Without an unpaid change.
    Counted,
    /// With a grace, at this time.
    WithGrace(i64),
}

/// Whether the record entitles at `now`: an end that passed an hour ago is one, told or not.
pub(super) fn is_entitled(record: &Record, now: i64) -> bool {
    record.shown().is_some_and(|shown| {
        let by_flag = shown.cancel_at_period_end.then_some(shown.period.end);
        let ends = [shown.cancel_at, by_flag];
        let has_ended = ends.into_iter().flatten().any(|end| end + UNTOLD_END_SECONDS < now);
        is_entitling(shown.status) && !has_ended
    })
}

pub(super) fn is_canceling(record: &Record, now: i64) -> bool {
    is_entitled(record, now)
        && record
            .shown()
            .is_some_and(|shown| shown.cancel_at_period_end || shown.cancel_at.is_some_and(|at| at <= shown.period.end))
}

fn tier_of(record: &Record, by: TierOf) -> Option<PaidTier> {
    let walk = Walk::of(record);
    match by {
        TierOf::Shown => record.shown().map(|shown| shown.plan.tier()),
        TierOf::Counted => walk.tier(),
        TierOf::WithGrace(at) => walk.tier().max(walk.grace(at).map(|grace| grace.tier())),
    }
}

/// The number of the current one of `records`, as they are at `now`.
pub(super) fn current(records: &[Record], now: i64, by: TierOf) -> Option<usize> {
    let known = records
        .iter()
        .enumerate()
        .filter(|(_, record)| record.shown().is_some());
    let best = known.max_by_key(|(number, record)| {
        let is_entitled = is_entitled(record, now);
        let tier = is_entitled.then(|| tier_of(record, by));
        let stays = is_entitled && !is_canceling(record, now);
        (is_entitled, tier, stays, record.created, *number)
    });
    best.map(|(number, _)| number)
}
