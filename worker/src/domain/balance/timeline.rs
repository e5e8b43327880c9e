//! The timeline of a user: everything in Stripe's events that concerns their
//! balances, sorted by the time at which it counts.
//!
//! It has terms ([limits over time](super::terms)), closings ([paid renewals](super::closing),
//! after which unused units roll over), [cuts](super::cuts::Cut) (periods that a change or a
//! hand-over ended early) and purchases ([packs](super::grants)). It is a function
//! of the set of facts: the order in which they arrive, and facts that arrive twice, change
//! nothing.
//!
//! Usage is placed at its own time. But usage that is reported after its period
//! was closed counts in the current period, because the unused units of its own
//! period have rolled over. Example: March is closed on 1 April at 01:00. A report that arrives
//! on 2 April for 20 March counts on 1 April at 01:00.
//!
//! [`replay`](super::replay) applies the timeline and the usage in the order of time.
//! [`MeterBalance::spend`] is the fast way for usage that is newer than
//! everything else. Its result is the same.

use super::{
    closing::{self, Closing},
    cuts::{self, Cut},
    grants::{self, Purchase},
    ownership, periods, stages,
    terms::{self, Term, Window},
    waterfall::{BalanceChange, CarriedBalance, MeterLimits, Overflow},
};
use crate::domain::{
    fact::{Fact, Seconds},
    ids::{AccountId, UserId},
    subscription::{
        account::{self, Account},
        billed,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Everything in a user's facts that concerns their balances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Limits over time, sorted.
    pub terms: Vec<Term>,
    /// Closed periods, sorted by time.
    pub closings: Vec<Closing>,
    /// Periods that a change cut short, or in which the user handed a subscription over; sorted
    /// by time.
    pub cuts: Vec<Cut>,
    /// Purchased credits, sorted by time.
    pub purchases: Vec<Purchase>,
}

/// Why a balance changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// Unused units of a closed period rolled over; the cause is the renewal's invoice.
    Rollover,
    /// A change that gave nothing back cut a period short, and what was left of it is kept; the
    /// cause is the change's event.
    Carried,
    /// A change that gave money back cut a period short, or the user handed the subscription
    /// over, and more than it had sold by then was used; the cause is the change's event.
    Overused,
    /// Credits were purchased; the cause is the checkout session.
    Grant,
    /// A refund or dispute took credits back; the cause is its event.
    TakenBack,
    /// A failed refund or a won dispute returned credits; the cause is its event.
    Returned,
    /// Usage was reported; the cause is the report's source and id.
    Usage,
    /// A late event changed how earlier entries count; the cause is that event.
    Correction,
}

impl EntryKind {
    /// The kind's name in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollover => "rollover",
            Self::Carried => "carried",
            Self::Overused => "overused",
            Self::Grant => "grant",
            Self::TakenBack => "taken_back",
            Self::Returned => "returned",
            Self::Usage => "usage",
            Self::Correction => "correction",
        }
    }
}

/// One change of a balance, and its cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimelineEntry {
    /// When it counts.
    pub at: Seconds,
    /// Why the balance changed.
    pub kind: EntryKind,
    /// The invoice, session, event or report that caused it; unique for one kind,
    /// user and meter.
    pub cause: String,
    /// The units that were used, purchased, taken back, returned or left unused.
    pub amount: i64,
    /// What it adds to the balance.
    pub change: BalanceChange,
}

/// Usage between two neighbouring boundaries of a timeline, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UsageSum {
    /// Any moment between the two boundaries.
    pub at: Seconds,
    /// Units.
    pub amount: i64,
}

/// Most units that one meter of a user accepts in total. More is refused on
/// arrival, so that no order of replay overflows.
const REPORTED_UNITS_MAX: i64 = 1 << 62;

/// The balance of one user and meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeterBalance {
    /// The period in which usage is counted; none before a subscription is known.
    pub window: Option<Window>,
    /// The limits of the meter.
    pub limits: MeterLimits,
    /// Units that count against the limit, in this period.
    pub used: i64,
    /// Rollover and purchased units.
    pub carried: CarriedBalance,
    /// Units of all usage that was ever reported.
    pub reported: i64,
    /// Usage from this moment on can be paid at once. Earlier usage needs a replay.
    pub since: Seconds,
}

impl Default for MeterBalance {
    fn default() -> Self {
        Self {
            window: None,
            limits: MeterLimits::NONE,
            used: 0,
            carried: CarriedBalance::default(),
            reported: 0,
            since: Seconds::MIN,
        }
    }
}

impl MeterBalance {
    /// Pays for usage at a moment that is not before `since`.
    ///
    /// # Errors
    /// [`Overflow`]; then nothing has changed.
    pub fn spend(&mut self, at: Seconds, amount: i64) -> Result<BalanceChange, Overflow> {
        let reported = self.reported.checked_add(amount).ok_or(Overflow)?;
        if reported > REPORTED_UNITS_MAX {
            return Err(Overflow);
        }
        let change = self.carried.spend(amount, self.limits.at(at), self.used)?;
        self.carried = self.carried.after(change)?;
        self.used += change.used;
        self.reported = reported;
        // The end is a boundary too: usage from before it would need the limit.
        if let Some(end) = self.limits.ends_at.filter(|end| *end <= at) {
            self.since = self.since.max(end);
        }
        Ok(change)
    }
}

impl Timeline {
    /// The timeline of a user. `facts` are all facts of the accounts that may be
    /// theirs, and of these accounts' payments, in any order.
    #[must_use]
    pub fn of<'a>(user: &UserId, facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        let facts: Vec<&Fact> = facts.into_iter().collect();
        let by_account = account::by_account(facts.iter().copied());
        let accounts: BTreeMap<&AccountId, Account> =
            by_account.iter().map(|(id, f)| (*id, Account::fold(f))).collect();
        let mut terms_by_subscription = Vec::new();
        let (mut closings, mut cuts) = (Vec::new(), Vec::new());
        for (id, account) in &accounts {
            let own = account::by_subscription(&by_account[id]);
            for subscription in &account.subscriptions {
                let spans = ownership::of_user(subscription, user);
                if spans.is_empty() {
                    continue;
                }
                let (id, own) = (&subscription.id, &own[&subscription.id]);
                let invoices = billed::of_subscription(id, own);
                let stages = stages::of_subscription(id, own);
                let periods = periods::of_subscription(&stages, &invoices);
                let mut terms = Vec::new();
                for span in &spans {
                    closings.extend(closing::of_subscription(id, &invoices, &stages, &periods, span));
                    cuts.extend(cuts::of_subscription(id, &stages, &periods, span));
                    terms.extend(terms::of_subscription(id, &stages, &periods, span));
                }
                terms_by_subscription.push(terms);
            }
        }
        cuts.sort_by(|a, b| (a.at, &a.event).cmp(&(b.at, &b.event)));
        closings.sort_by(|a, b| (a.at, &a.invoice).cmp(&(b.at, &b.invoice)));
        let customer = |fact: &Fact| Some(accounts.get(&fact.account)?.claim.as_ref()?.user_at(fact.created));
        let purchases = grants::of_user(user, &facts, customer);
        Self {
            terms: terms::of_user(&terms_by_subscription),
            closings,
            cuts,
            purchases,
        }
    }

    /// Whether nothing in it gives the user any units.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.purchases.is_empty()
    }

    /// The meters that the terms and purchases name.
    #[must_use]
    pub fn meters(&self) -> BTreeSet<String> {
        let included = self.terms.iter().flat_map(|t| t.limits.keys().cloned());
        let purchased = self.purchases.iter().map(|p| p.meter.clone());
        included.chain(purchased).collect()
    }

    /// The moments at which the rules for paying usage change, sorted. Usage
    /// between two neighbouring boundaries may be summed up.
    #[must_use]
    pub fn boundaries(&self) -> Vec<Seconds> {
        let ends = self.terms.iter().filter_map(|t| t.ends_at);
        let mut boundaries: Vec<Seconds> = self.event_times().chain(ends).collect();
        boundaries.sort_unstable();
        boundaries.dedup();
        boundaries
    }

    /// The moments of all terms, closings, cuts, purchases, refunds and disputes, unsorted.
    pub(super) fn event_times(&self) -> impl Iterator<Item = Seconds> {
        let terms = self.terms.iter().map(|t| t.since);
        let closings = self.closings.iter().map(|c| c.at);
        let cuts = self.cuts.iter().map(|c| c.at);
        let purchases = self
            .purchases
            .iter()
            .flat_map(|p| std::iter::once(p.at).chain(p.taken_back.iter().map(|t| t.at)));
        terms.chain(closings).chain(cuts).chain(purchases)
    }

    /// When usage counts that is reported now for `time`: at `time`, or in the
    /// current period if the period of `time` is closed.
    #[must_use]
    pub fn counts_at(&self, time: Seconds) -> Seconds {
        let term = self.terms.iter().rev().find(|t| t.since <= time);
        let closes_time = |c: &Closing| {
            let is_own = term.is_none_or(|t| t.subscription == c.subscription);
            is_own && c.ended.start <= time && time < c.ended.end
        };
        if !self.closings.iter().any(closes_time) {
            return time;
        }
        let last_closing = self.closings.last().map_or(time, |c| c.at);
        let last_term = self.terms.last().map_or(Seconds::MIN, |t| t.since);
        last_closing.max(last_term).max(time)
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
