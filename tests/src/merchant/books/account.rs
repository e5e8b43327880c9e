//! Whom what belongs to, and the rows of each user.

use super::current::{TierOf, UNTOLD_END_SECONDS, current, is_canceling, is_entitled};
use super::record::is_entitling;
use super::replay::{Holding, Replay};
use super::walk::Walk;
use super::{PriceList, Purchase, Reading, Record, Usage};
use crate::harness::{Balances, Entitlement};
use crate::merchant::PaidTier;
use std::collections::{BTreeMap, BTreeSet};

/// All that the merchant knows.
#[derive(Clone, Debug, Default)]
pub struct Books {
    /// The price lists in the order in which they came into force.
    pub lists: Vec<PriceList>,
    /// The subscriptions in the order of their creation.
    pub records: Vec<Record>,
    /// The packs.
    pub purchases: Vec<Purchase>,
    /// The usage reports.
    pub usages: Vec<Usage>,
    /// The users that each subscription names itself, one after the other, by its number. Each with the time
    /// from which on it does (Unix time).
    named: BTreeMap<usize, Vec<(i64, String)>>,
    /// The user of each customer, where another thing than the subscription names one.
    customers: BTreeMap<String, String>,
    /// Every user that was named at any time.
    users: BTreeSet<String>,
}

/// The rows of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserRows {
    /// The user's id.
    pub user_id: String,
    /// The row of `billing.entitlements`, if there is one.
    pub entitlement: Option<Entitlement>,
    /// The rows of `billing.balances`; `None` if the rules can be read in more than one way.
    pub balances: Option<Balances>,
}

impl Books {
    /// Empty books with one price list.
    #[must_use]
    pub fn new(list: PriceList) -> Self {
        Self {
            lists: vec![list],
            ..Self::default()
        }
    }

    /// The subscription `which` itself names `user_id`, from `at` (Unix time) on.
    pub fn name(&mut self, which: usize, user_id: &str, at: i64) {
        let names = self.named.entry(which).or_default();
        if names.last().is_none_or(|(_, last)| last != user_id) {
            names.push((at, user_id.to_owned()));
        }
        self.users.insert(user_id.to_owned());
    }

    /// `customer` is `user_id`, unless something older said otherwise.
    pub fn link_customer(&mut self, customer: &str, user_id: &str) {
        self.customers
            .entry(customer.to_owned())
            .or_insert_with(|| user_id.to_owned());
        self.users.insert(user_id.to_owned());
    }

    /// The user of the subscription `which`, if anybody names one.
    #[must_use]
    pub fn owner(&self, which: usize) -> Option<&str> {
        let customer = &self.records[which].customer;
        let of_customer = || {
            let same = self
                .named
                .iter()
                .find(|(other, _)| self.records[**other].customer == *customer);
            self.customers
                .get(customer)
                .or(same.and_then(|(which, _)| self.last_named(*which)))
        };
        self.last_named(which).or_else(of_customer).map(String::as_str)
    }

    fn last_named(&self, which: usize) -> Option<&String> {
        Some(&self.named.get(&which)?.last()?.1)
    }

    /// Everybody who had the subscription `which`, each once.
    #[must_use]
    pub fn users_of(&self, which: usize) -> BTreeSet<String> {
        let named = self.named.get(&which).into_iter().flatten();
        let owner = self.owner(which).map(str::to_owned);
        named.map(|(_, user_id)| user_id.clone()).chain(owner).collect()
    }

    /// Whether the subscription `which` names its user itself.
    #[must_use]
    pub fn is_named(&self, which: usize) -> bool {
        self.named.contains_key(&which)
    }

    /// From when until when the subscription `which` was the user's (Unix time), once for each time.
    #[must_use]
    pub fn held_by(&self, which: usize, user_id: &str) -> Vec<(i64, i64)> {
        let Some(names) = self.named.get(&which) else {
            let is_theirs = self.owner(which) == Some(user_id);
            return if is_theirs {
                vec![(i64::MIN, i64::MAX)]
            } else {
                Vec::new()
            };
        };
        let mut held = Vec::new();
        for (number, (at, name)) in names.iter().enumerate() {
            let from = if number == 0 { i64::MIN } else { *at };
            let until = names.get(number + 1).map_or(i64::MAX, |(next, _)| *next);
            if name == user_id && until > from.max(self.records[which].created) {
                held.push((from, until));
            }
        }
        held
    }

    /// The subscriptions of `user_id`, as they were at `now`.
    fn records_of(&self, user_id: &str, now: i64) -> Vec<Record> {
        let own = (0..self.records.len()).filter(|which| self.owner(*which) == Some(user_id));
        own.map(|which| self.records[which].as_of(now)).collect()
    }

    /// The rows of every user that was ever named, at `now` (Unix time).
    #[must_use]
    pub fn rows(&self, now: i64) -> Vec<UserRows> {
        let mut users = self.users.clone();
        users.extend(self.purchases.iter().map(|purchase| purchase.user_id.clone()));
        users.extend(self.usages.iter().map(|usage| usage.user_id.clone()));
        let rows = users.into_iter().map(|user_id| UserRows {
            entitlement: self.entitlement(&user_id, now),
            balances: self.balances(&user_id, now),
            user_id,
        });
        rows.collect()
    }

    /// The row of `user_id` in `billing.entitlements` at `now`, if there is one.
    #[must_use]
    pub fn entitlement(&self, user_id: &str, now: i64) -> Option<Entitlement> {
        let records = self.records_of(user_id, now);
        let Some(number) = current(&records, now, TierOf::Counted) else {
            return self.has_balance(user_id, now).then(|| Entitlement {
                user_id: user_id.to_owned(),
                status: "none".to_owned(),
                tier: "free".to_owned(),
                effective_tier: "free".to_owned(),
                ..Entitlement::default()
            });
        };
        let record = &records[number];
        let shown = record.shown()?;
        let is_entitled = is_entitled(record, now);
        let walk = Walk::of(record);
        let grace = walk.grace(now).filter(|_| is_entitled);
        let effective = walk.tier().max(grace.map(|grace| grace.tier())).filter(|_| is_entitled);
        let paid = |record: &Record| {
            record
                .invoices
                .iter()
                .any(|invoice| invoice.paid_at.is_some() && invoice.total > 0)
        };
        Some(Entitlement {
            user_id: user_id.to_owned(),
            entitled: is_entitled,
            status: shown.status.to_owned(),
            tier: shown.plan.tier().name().to_owned(),
            effective_tier: effective.map_or("free", PaidTier::name).to_owned(),
            grace_tier: grace.map(|grace| grace.tier().name().to_owned()),
            grace_until: grace.map(|grace| grace.until),
            current_period_start: Some(shown.period.start),
            current_period_end: Some(shown.period.end),
            trial_end: shown.trial_end,
            is_canceling: is_canceling(record, now),
            cancel_at: shown.cancel_at,
            canceled_at: shown.canceled_at,
            ever_paid: records.iter().any(paid),
            highest_tier_subscribed: highest(&records).map(|tier| tier.name().to_owned()),
            stripe_customer_id: Some(record.customer.clone()),
            stripe_subscription_id: Some(record.id.clone()),
        })
    }

    fn has_balance(&self, user_id: &str, now: i64) -> bool {
        self.purchases
            .iter()
            .any(|pack| pack.user_id == user_id && pack.at <= now)
            || self.usages.iter().any(|usage| usage.user_id == user_id)
            || (0..self.records.len()).any(|which| !self.held_by(which, user_id).is_empty())
    }

    /// The rows of `user_id` in `billing.balances` at `now`; `None` if another reading of the rules gives
    /// others.
    #[must_use]
    pub fn balances(&self, user_id: &str, now: i64) -> Option<Balances> {
        let taken = self.balances_read(user_id, now, Reading::Taken);
        let mut others = Reading::OTHERS.into_iter();
        others
            .all(|reading| self.balances_read(user_id, now, reading) == taken)
            .then_some(taken)
    }

    /// The rows of `user_id` in `billing.balances` at `now`, by one reading of the rules.
    #[must_use]
    pub fn balances_read(&self, user_id: &str, now: i64, reading: Reading) -> Balances {
        let past: Vec<Record> = self.records.iter().map(|record| record.as_of(now)).collect();
        let holdings = past.iter().enumerate().flat_map(|(which, record)| {
            let held = self.held_by(which, user_id).into_iter();
            held.map(move |(from, until)| Holding { record, from, until })
        });
        let holdings: Vec<Holding<'_>> = holdings.collect();
        let purchases = self.purchases.iter();
        let purchases: Vec<&Purchase> = purchases
            .filter(|pack| pack.user_id == user_id && pack.at <= now)
            .collect();
        let usages: Vec<&Usage> = self.usages.iter().filter(|usage| usage.user_id == user_id).collect();
        let replay = Replay {
            holdings: &holdings,
            purchases: &purchases,
            usages: &usages,
            lists: &self.lists,
            reading,
        };
        replay.balances(now)
    }

    /// When each requested end that was ever shown counts as one, if nobody tells of it (Unix time).
    #[must_use]
    pub fn untold_ends(&self) -> Vec<i64> {
        let snapshots = self.records.iter().flat_map(|record| &record.snapshots);
        let ends =
            snapshots.flat_map(|shown| [shown.cancel_at, shown.cancel_at_period_end.then_some(shown.period.end)]);
        ends.flatten().map(|end| end + UNTOLD_END_SECONDS).collect()
    }

    /// Whether each user's current subscription is the same with each meaning of "the higher tier".
    #[must_use]
    pub fn is_decided(&self, now: i64) -> bool {
        self.users.iter().all(|user_id| {
            let records = self.records_of(user_id, now);
            let taken = current(&records, now, TierOf::Counted);
            [TierOf::Shown, TierOf::WithGrace(now), TierOf::WithGrace(i64::MIN)]
                .into_iter()
                .all(|by| current(&records, now, by) == taken)
        })
    }
}

/// The highest tier that was shown with access.
fn highest(records: &[Record]) -> Option<PaidTier> {
    let snapshots = records.iter().flat_map(|record| &record.snapshots);
    let entitling = snapshots.filter(|snapshot| is_entitling(snapshot.status));
    entitling.map(|snapshot| snapshot.plan.tier()).max()
}
