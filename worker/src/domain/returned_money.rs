//! The money of one payment that went back to the customer: refunds, refunds that failed, and
//! disputes.

use super::{
    fact::{Fact, FactBody, Seconds},
    ids::EventId,
};
use std::collections::{BTreeMap, BTreeSet};

/// The money that went back so far, in minor units.
#[derive(Debug, Default)]
pub(super) struct ReturnedMoney<'a> {
    /// What was charged in total. A refund names it.
    charged: Option<i64>,
    /// The currency of the charge.
    currency: Option<&'a str>,
    /// What was refunded in total, by the latest event of the charge.
    refunded: i64,
    /// Refunds that failed since that event, by refund id.
    failed: BTreeMap<&'a str, i64>,
    /// All refunds that ever failed. Several events tell of one.
    ever_failed: BTreeSet<&'a str>,
    /// What open disputes withdrew, by dispute id; `None` in another currency.
    disputed: BTreeMap<&'a str, Option<i64>>,
    /// The disputes that gave the money back.
    ended: BTreeSet<&'a str>,
}

impl<'a> ReturnedMoney<'a> {
    /// Nothing has gone back of this charge yet. Its amount and currency are `None` if they
    /// are not known.
    pub(super) fn of(charged: Option<i64>, currency: Option<&'a str>) -> Self {
        Self {
            charged,
            currency,
            ..Self::default()
        }
    }

    /// Takes the next fact in the order of [`order`].
    pub(super) fn apply(&mut self, body: &'a FactBody) {
        match body {
            FactBody::ChargeRefunded(charge) => {
                self.charged = Some(charge.amount);
                // `amount_refunded` leaves out the refunds that failed before it.
                self.refunded = charge.amount_refunded;
                self.failed.clear();
            }
            FactBody::RefundFailed(refund) if self.ever_failed.insert(&refund.refund) => {
                self.failed.insert(&refund.refund, refund.amount);
            }
            // It is over already.
            FactBody::Dispute(dispute) if dispute.withdrawn && self.ended.contains(dispute.dispute.as_str()) => {}
            FactBody::Dispute(dispute) if dispute.withdrawn => {
                let charged_in = |currency: &str| self.currency.is_none_or(|own| own == currency);
                let is_same = dispute.currency.as_deref().is_none_or(charged_in);
                let amount = is_same.then_some(dispute.amount);
                self.disputed.insert(&dispute.dispute, amount);
            }
            FactBody::Dispute(dispute) => {
                self.ended.insert(&dispute.dispute);
                self.disputed.remove(dispute.dispute.as_str());
            }
            _ => {}
        }
    }

    /// Whether refunds returned all of it, or a dispute took it.
    pub(super) fn is_all(&self) -> bool {
        let refunded = self.refunded();
        !self.disputed.is_empty() || refunded > 0 && self.charged.is_none_or(|all| refunded >= i128::from(all))
    }

    /// The part of `whole` that went back, in proportion to the money, rounded down. All of
    /// it, if the share cannot be computed.
    pub(super) fn share_of(&self, whole: i64) -> i64 {
        let disputed: Option<i128> = self.disputed.values().map(|a| a.map(i128::from)).sum();
        let Some(disputed) = disputed else {
            return whole;
        };
        let returned = self.refunded().max(0) + disputed;
        let part = match self.charged {
            Some(charged) if charged > 0 => i128::from(whole) * returned.min(i128::from(charged)) / i128::from(charged),
            _ if returned > 0 => i128::from(whole),
            _ => 0,
        };
        i64::try_from(part).unwrap_or(whole)
    }

    /// Without the refunds that failed.
    fn refunded(&self) -> i128 {
        let failed: i128 = self.failed.values().map(|a| i128::from(*a)).sum();
        i128::from(self.refunded) - failed
    }
}

/// The payment intent and the charge that a refund or a dispute names.
pub(super) fn payment_ids(body: &FactBody) -> [Option<&str>; 2] {
    match body {
        FactBody::ChargeRefunded(fact) => [fact.payment_intent.as_deref(), Some(&fact.charge)],
        FactBody::RefundFailed(fact) => [fact.payment_intent.as_deref(), fact.charge.as_deref()],
        FactBody::Dispute(fact) => [fact.payment_intent.as_deref(), fact.charge.as_deref()],
        _ => [None, None],
    }
}

/// The order of refunds and disputes. Within one second a refund comes before its failure,
/// and the begin of a dispute before its end. `amount_refunded` only grows, so the lower
/// amount came first.
pub(super) fn order(fact: &Fact) -> (Seconds, u8, i64, &EventId) {
    let (rank, amount) = match &fact.body {
        FactBody::ChargeRefunded(charge) => (0, charge.amount_refunded),
        FactBody::Dispute(dispute) if dispute.withdrawn => (1, 0),
        FactBody::RefundFailed(_) => (2, 0),
        _ => (3, 0),
    };
    (fact.created, rank, amount, &fact.event_id)
}
