//! A user's balances: a function of what Stripe told of them and of the usage
//! that was reported, whatever order either came in.
//!
//! What Stripe tells makes a **story**: terms (limits over time), closings
//! (periods whose next one was paid: what is left of them rolls over) and
//! grants. Usage lies in it at its own time; one that comes once its period is
//! closed lies in the current one. [`replay`](super::replay) goes through both in
//! the order of time. [`Balance::spend`] is the same for usage that is newer than
//! all of the story.

use super::{
    closing::{self, Closing},
    grants::{self, Bought},
    terms::{self, Term, Window},
    waterfall::{BalanceChange, CarriedBalance, Limits, Overflow},
};
use crate::domain::{
    fact::{Fact, Seconds},
    ids::{AccountId, UserId},
    subscription::account::Account,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All that Stripe told of a user's balances.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Limits over time, sorted.
    pub terms: Vec<Term>,
    /// Periods that are over, sorted by time.
    pub closings: Vec<Closing>,
    /// What was bought, sorted by time.
    pub bought: Vec<Bought>,
}

/// Why a balance changed, other than by usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryKind {
    /// What a period left over came in; the cause is the cycle invoice.
    Rollover,
    /// Credits were bought; the cause is the session.
    Grant,
    /// A refund or dispute took credits back; the cause is the event.
    TakenBack,
    /// A failed refund or a dispute that was won returned them; the cause is the event.
    Returned,
    /// Usage was reported; the cause is its source and id.
    Usage,
    /// An event that came late changed what had been decided; the cause is that event.
    Correction,
}

impl EntryKind {
    /// The word for it in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rollover => "rollover",
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
    /// When.
    pub at: Seconds,
    /// Why.
    pub kind: EntryKind,
    /// Which; unique among the entries of its kind, user and meter.
    pub cause: String,
    /// What it was about, in units: what was bought, used, taken back, left over.
    pub amount: i64,
    /// What it changed.
    pub change: BalanceChange,
}

/// Usage between two moments of a story, summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// Any moment between them.
    pub at: Seconds,
    /// Units.
    pub amount: i64,
}

/// Usage of one meter may be no more in all, however it is dealt to periods:
/// more is refused when it is reported. So what was taken never keeps an event
/// of Stripe's from being settled with it: in whatever order it is paid for, it
/// makes no use and no debt that is greater.
const REPORTED_MOST: i64 = 1 << 62;

/// The balance of one meter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Balance {
    /// The period in which use is counted; none before a subscription is known.
    pub window: Option<Window>,
    /// What it includes.
    pub limits: Limits,
    /// Units counted against it.
    pub used: i64,
    /// What is left beside it.
    pub purse: CarriedBalance,
    /// Units of all usage there was.
    pub reported: i64,
    /// Usage from this moment on comes after all that is decided.
    pub since: Seconds,
}

impl Default for Balance {
    fn default() -> Self {
        Self {
            window: None,
            limits: Limits::NONE,
            used: 0,
            purse: CarriedBalance::default(),
            reported: 0,
            since: Seconds::MIN,
        }
    }
}

impl Balance {
    /// Pays for usage at a moment that is not before `since`, and takes it in.
    ///
    /// # Errors
    /// [`Overflow`]; then nothing has changed.
    pub fn spend(&mut self, at: Seconds, amount: i64) -> Result<BalanceChange, Overflow> {
        let reported = self.reported.checked_add(amount).filter(|all| *all <= REPORTED_MOST);
        let reported = reported.ok_or(Overflow)?;
        let change = self.purse.spend(amount, self.limits.at(at), self.used)?;
        self.purse = self.purse.after(change)?;
        self.used += change.used;
        self.reported = reported;
        if let Some((_, until)) = self.limits.lifted.filter(|(_, until)| *until <= at) {
            self.since = self.since.max(until);
        }
        Ok(change)
    }
}

impl Timeline {
    /// The story of a user in these facts: all those of the accounts that may be
    /// theirs, and of the payments of these, in any order.
    #[must_use]
    pub fn of<'a>(user: &UserId, facts: impl IntoIterator<Item = &'a Fact>) -> Self {
        let facts: Vec<&Fact> = facts.into_iter().collect();
        let mut accounts: BTreeMap<&AccountId, Vec<&Fact>> = BTreeMap::new();
        for fact in &facts {
            accounts.entry(&fact.account).or_default().push(fact);
        }
        let folded: BTreeMap<&AccountId, Account> = accounts.iter().map(|(id, f)| (*id, Account::fold(f))).collect();
        let mut lives = Vec::new();
        let mut closings = Vec::new();
        for (id, account) in &folded {
            for subscription in account.subscriptions.iter().filter(|s| s.user.as_ref() == Some(user)) {
                let about = |f: &&&Fact| f.body.subscription() == Some(&subscription.id);
                let own: Vec<&Fact> = accounts[id].iter().filter(about).copied().collect();
                let life = terms::of_subscription(&subscription.id, &own);
                closings.extend(closing::of_subscription(subscription, &own, &life));
                lives.push(life);
            }
        }
        closings.sort_by(|a, b| (a.at, &a.invoice).cmp(&(b.at, &b.invoice)));
        let customer = |fact: &Fact| Some(&folded.get(&fact.account)?.claim.as_ref()?.user);
        let bought = grants::of_user(user, &facts, customer);
        Self {
            terms: terms::of_user(&lives),
            closings,
            bought,
        }
    }

    /// Whether nothing in it concerns balances.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty() && self.bought.is_empty()
    }

    /// The meters that it tells of.
    #[must_use]
    pub fn meters(&self) -> BTreeSet<String> {
        let included = self.terms.iter().flat_map(|t| t.limits.keys().cloned());
        included.chain(self.bought.iter().map(|b| b.meter.clone())).collect()
    }

    /// The moments at which the story changes how usage is paid, sorted: usage
    /// between two of them may be summed up.
    #[must_use]
    pub fn cuts(&self) -> Vec<Seconds> {
        let lifted = |t: &Term| t.limits.values().filter_map(|l| Some(l.lifted?.1)).collect::<Vec<_>>();
        let mut cuts: Vec<Seconds> = self.told().chain(self.terms.iter().flat_map(lifted)).collect();
        cuts.sort_unstable();
        cuts.dedup();
        cuts
    }

    /// The moments at which something was told.
    pub(super) fn told(&self) -> impl Iterator<Item = Seconds> {
        let terms = self.terms.iter().map(|t| t.since);
        let closings = self.closings.iter().map(|c| c.at);
        let bought = self
            .bought
            .iter()
            .flat_map(|b| std::iter::once(b.at).chain(b.taken.iter().map(|t| t.at)));
        terms.chain(closings).chain(bought)
    }

    /// Where usage lies that is reported now for `time`: there, or if that
    /// period is closed by a paid renewal, in the current one.
    #[must_use]
    pub fn counts_at(&self, time: Seconds) -> Seconds {
        let counted = self.terms.iter().rev().find(|t| t.since <= time);
        let closed = |c: &&Closing| {
            let own = counted.is_none_or(|t| t.subscription == c.subscription);
            own && c.ended.start <= time && time < c.ended.end
        };
        let current = self.terms.last().map_or(Seconds::MIN, |t| t.since);
        match self.closings.iter().rev().find(closed) {
            Some(_) => self.closings.last().map_or(time, |c| c.at).max(current).max(time),
            None => time,
        }
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
