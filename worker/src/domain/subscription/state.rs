//! The state of one subscription, as the facts so far make it.

use super::{grace::Grace, invoices::FailedInvoice, link::OwnerClaim, order::LastSeen};
use crate::domain::{
    fact::{Period, Plan, Seconds, Snapshot},
    ids::{SubscriptionId, UserId},
};
use serde::{Deserialize, Serialize};

/// The version of [`Subscription`]'s fields and of the rules that compute them.
/// Raise it with every change of either: `worker migrate` folds states of another
/// version again.
pub const VERSION: i32 = 2;

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
    /// The latest snapshot; `None` if only invoices or a session are known.
    pub latest: Option<Snapshot>,
    /// The digest of the whole object in the latest snapshot, if known.
    pub digest: Option<i64>,
    /// The latest known plan. It stays after the subscription ends.
    pub plan: Option<Plan>,
    /// The latest known period. It stays after the subscription ends.
    pub period: Option<Period>,
    /// The upgrade that does not count, because its payment failed.
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
    /// The ids of failed invoices that a later cycle settled.
    pub settled: Vec<String>,
    /// The time of the last change of the price.
    pub last_change: Option<Seconds>,
    /// The time of the last proration that gave money back.
    pub last_credit: Option<Seconds>,
    /// The `created` of the newest fact, without checkout sessions.
    pub newest: Option<Seconds>,
    /// The number of seconds with several changes whose order no evidence decides.
    pub undecided: u32,
    /// Whether it was canceled. No later fact revives it.
    pub ended: bool,
}

/// An upgrade whose payment failed. Until its invoice or a later cycle is paid, the
/// state before the upgrade counts.
///
/// Example: Basic, an upgrade to Max on day 10, whose invoice `in_1` fails. The
/// latest snapshot shows Max; tier, grace and limits follow Basic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspendedChange {
    /// The id of the failed invoice.
    pub invoice: String,
    /// The state before the upgrade.
    pub base: BaseState,
}

/// The plan, period and status that decide about tier and grace. They are those of
/// the latest snapshot, or those before a suspended upgrade.
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
            last_change: None,
            last_credit: None,
            newest: None,
            undecided: 0,
            ended: false,
        }
    }

    /// Whether it gives access.
    #[must_use]
    pub fn entitled(&self) -> bool {
        !self.ended && self.latest.as_ref().is_some_and(Snapshot::entitled)
    }

    /// The plan that decides about the tier: the latest one, or the one before a
    /// suspended upgrade.
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
