//! The state of one subscription, as the facts so far make it.

use super::{
    grace::Grace,
    invoices::{FailedInvoice, ReturnedInvoice},
    link::{NamedUser, OwnerClaim},
    order::LastSeen,
};
use crate::domain::{
    fact::{Period, Plan, Seconds, Snapshot},
    ids::{SubscriptionId, UserId},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The version of [`Subscription`]'s fields and of the rules that compute them.
/// Raise it with every change of either: `worker migrate` folds states of another
/// version again.
pub const VERSION: i32 = 4;

/// Seconds after a scheduled end at which it counts without an event. Until then Stripe's
/// event may be under way.
pub const UNTOLD_END_S: Seconds = 3_600;

/// The state of a subscription. It depends on the set of its facts only, not on
/// their order of arrival.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// [`VERSION`] when the state was folded.
    #[serde(default)]
    pub version: i32,
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The best claim of a fact of this subscription that a user owns it.
    pub claim: Option<OwnerClaim>,
    /// The user that owns it; `None` until a fact names one.
    pub user: Option<UserId>,
    /// The users that owned it one after the other, the present one last; empty if it was
    /// never handed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<NamedUser>,
    /// The latest snapshot; `None` if only invoices or a session are known.
    pub latest: Option<Snapshot>,
    /// The digest of the whole object in the latest snapshot, if known.
    pub digest: Option<i64>,
    /// The latest known plan. It stays after the subscription ends.
    pub plan: Option<Plan>,
    /// The latest known period. It stays after the subscription ends.
    pub period: Option<Period>,
    /// The change that does not count, because its payment failed.
    pub suspended: Option<SuspendedChange>,
    /// The grace after a downgrade. Its time may be over.
    pub grace: Option<Grace>,
    /// Whether an invoice with a total above zero was ever paid.
    pub ever_paid: bool,
    /// The plan with the highest rank that it ever had. Trials count; a plan whose
    /// first payment never came does not.
    pub highest: Option<Plan>,
    /// The invoices with a failed payment that were not paid since.
    pub failed: Vec<FailedInvoice>,
    /// The failed invoices that a later paid invoice of the plan settled. Their changes count,
    /// but their periods were not paid.
    pub settled: Vec<FailedInvoice>,
    /// The paid invoices of the plan whose money was returned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returned: Vec<ReturnedInvoice>,
    /// The grace during which a renewal was paid, until that grace would be over anyway. A
    /// plan item that is known later may show that the renewal was not about the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed_in: Option<Grace>,
    /// Whether an event of an invoice had only the first page of its lines. Then the known
    /// periods of the plan say what the invoice was about.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lines_cut: bool,
    /// The time of the last change of the price or the quantity.
    pub last_change: Option<Seconds>,
    /// The time of the last proration that gave money back.
    pub last_credit: Option<Seconds>,
    /// The `created` of the newest snapshot, invoice or invoice item.
    pub newest: Option<Seconds>,
    /// The number of seconds with several changes whose order no evidence decides.
    pub undecided: u32,
    /// Whether it was canceled. No later fact revives it.
    pub ended: bool,
}

/// A change of price or quantity whose payment failed. Until its invoice is paid, or that of
/// a later period of the plan, the state before the change counts.
///
/// Example: Basic, an upgrade to Max on day 10, whose invoice `in_1` fails. The
/// latest snapshot shows Max; tier, grace and limits follow Basic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedChange {
    /// The id of the failed invoice.
    pub invoice: String,
    /// The state before the change.
    pub base: BaseState,
}

/// The plan, period and status that decide about tier and grace. They are those of
/// the latest snapshot, or those before a suspended change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseState {
    /// The plan.
    pub plan: Plan,
    /// The billing period.
    pub period: Period,
    /// Stripe's status.
    pub status: String,
}

impl Subscription {
    /// The state without any fact.
    #[must_use]
    pub fn unknown(id: SubscriptionId) -> Self {
        Self {
            version: VERSION,
            id,
            claim: None,
            user: None,
            owners: Vec::new(),
            latest: None,
            digest: None,
            plan: None,
            period: None,
            suspended: None,
            grace: None,
            ever_paid: false,
            highest: None,
            failed: Vec::new(),
            settled: Vec::new(),
            returned: Vec::new(),
            renewed_in: None,
            lines_cut: false,
            last_change: None,
            last_credit: None,
            newest: None,
            undecided: 0,
            ended: false,
        }
    }

    /// All users that own it or owned it.
    pub fn all_users(&self) -> impl Iterator<Item = &UserId> {
        self.user.iter().chain(self.owners.iter().map(|o| &o.user))
    }

    /// The users that owned it before the present one; sorted.
    #[must_use]
    pub fn past_users(&self) -> BTreeSet<&UserId> {
        let others = self.owners.iter().map(|o| &o.user);
        others.filter(|u| Some(*u) != self.user.as_ref()).collect()
    }

    /// Whether it gives access.
    #[must_use]
    pub fn entitled(&self) -> bool {
        !self.ended && self.latest.as_ref().is_some_and(Snapshot::entitled)
    }

    /// When a scheduled end counts although no event told of it; `None` if no end is
    /// scheduled.
    #[must_use]
    pub fn ends_untold_at(&self) -> Option<Seconds> {
        let latest = self.latest.as_ref().filter(|_| self.entitled())?;
        let with_period = self.period.filter(|_| latest.cancel_at_period_end).map(|p| p.end);
        let end = with_period.into_iter().chain(latest.cancel_at).min()?;
        Some(end + UNTOLD_END_S)
    }

    /// Whether it gives access at a moment, if no event comes until then.
    #[must_use]
    pub fn entitled_at(&self, at: Seconds) -> bool {
        self.entitled() && self.ends_untold_at().is_none_or(|end| at < end)
    }

    /// The plan that decides about the tier: the latest one, or the one before a
    /// suspended change.
    #[must_use]
    pub fn base_plan(&self) -> Option<&Plan> {
        match &self.suspended {
            Some(suspended) => Some(&suspended.base.plan),
            None => self.plan.as_ref(),
        }
    }

    /// The state that decides about tier and grace; `None` until a plan, a period
    /// and a snapshot are known.
    pub(in crate::domain) fn base_state(&self) -> Option<BaseState> {
        if let Some(suspended) = &self.suspended {
            return Some(suspended.base.clone());
        }
        Some(BaseState {
            plan: self.plan.clone()?,
            period: self.period?,
            status: self.latest.as_ref()?.status.clone(),
        })
    }

    /// The state as a starting point for the order of later facts.
    pub(super) fn last_seen(&self) -> Option<LastSeen<'_>> {
        self.latest.as_ref().map(|now| LastSeen {
            now,
            digest: self.digest,
            ended: self.ended,
        })
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
