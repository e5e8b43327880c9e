//! Settles balances under lock: subtracts usage, and replays the timeline of a user
//! whose grants Stripe's events changed.

use crate::{
    domain::{
        balance::{
            ledger::{LedgerLine, RecordedLines},
            replay::{ReplayedMeter, replay},
            timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry},
            usage::Usage,
            waterfall::Overflow,
        },
        fact::{Fact, Seconds},
        ids::{AccountId, EventId, UserId},
        subscription::{account, ranks::Ranks},
    },
    store::{
        self,
        balance::{ByMeter, NewLedgerRow},
    },
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// What changes the balances of some users. The users are locked.
#[derive(Debug, Default)]
pub struct BalanceChanges<'a> {
    /// Users with events that change their balances, each with the first of these events.
    pub caused_by: BTreeMap<UserId, String>,
    /// New usage reports, sorted by user and time.
    pub usage: Vec<&'a Usage>,
    /// Users that were known before this batch.
    pub known_users: HashSet<UserId>,
    /// New users, each with all of their facts.
    pub new_users: BTreeMap<UserId, Vec<&'a Fact>>,
}

/// The balances of these users while they change.
struct Settlement<'a> {
    balances: ByMeter<MeterBalance>,
    /// Users that had balances before.
    had: BTreeSet<UserId>,
    timelines: BTreeMap<UserId, Timeline>,
    lines: Vec<NewLedgerRow<'a>>,
    changed: BTreeSet<(&'a UserId, String)>,
    /// Balances that neither an event nor usage explains any more.
    ceased: Vec<(&'a UserId, String)>,
}

/// Settles the changes.
///
/// # Errors
/// An error of PostgreSQL's or the network's, or a balance beyond 64 bits.
pub async fn settle(
    connection: &mut PgConnection,
    changes: &BalanceChanges<'_>,
    ranks: &Ranks,
) -> Result<(), sqlx::Error> {
    let users: BTreeSet<&UserId> = changes
        .caused_by
        .keys()
        .chain(changes.usage.iter().map(|u| &u.user))
        .collect();
    let known: Vec<UserId> = users
        .iter()
        .copied()
        .filter(|u| changes.known_users.contains(*u))
        .cloned()
        .collect();
    let balances = if known.is_empty() {
        ByMeter::new()
    } else {
        store::balance::load(connection, &known).await?
    };
    let mut settlement = Settlement {
        had: balances.keys().cloned().collect(),
        balances,
        timelines: BTreeMap::new(),
        lines: Vec::new(),
        changed: BTreeSet::new(),
        ceased: Vec::new(),
    };
    let mut caused_by = changes.caused_by.clone();
    for usage in settlement.late(&changes.usage, &changes.known_users) {
        caused_by.entry(usage.user.clone()).or_insert_with(|| usage.key.clone());
    }
    settlement.timelines = timelines(connection, &caused_by, changes, ranks).await?;
    settlement.spend(&changes.usage).map_err(overflow_error)?;
    if !caused_by.is_empty() {
        settlement.replay_users(connection, &caused_by, changes).await?;
    }
    settlement.write(connection).await
}

fn overflow_error(overflow: Overflow) -> sqlx::Error {
    sqlx::Error::Encode(overflow.into())
}

/// The timelines of the users in `caused_by`.
async fn timelines(
    connection: &mut PgConnection,
    caused_by: &BTreeMap<UserId, String>,
    changes: &BalanceChanges<'_>,
    ranks: &Ranks,
) -> Result<BTreeMap<UserId, Timeline>, sqlx::Error> {
    let is_new = |user: &&UserId| changes.new_users.contains_key(*user);
    let stored: Vec<UserId> = caused_by.keys().filter(|u| !is_new(u)).cloned().collect();
    let mut timelines = load_timelines(connection, &stored, ranks).await?;
    for (user, facts) in changes
        .new_users
        .iter()
        .filter(|(user, _)| caused_by.contains_key(*user))
    {
        timelines.insert(user.clone(), Timeline::of(user, facts.iter().copied()));
    }
    Ok(timelines)
}

/// Loads the timelines of users, from all facts of their accounts and payments.
///
/// # Errors
/// An error of PostgreSQL's or the network's.
pub async fn load_timelines(
    connection: &mut PgConnection,
    users: &[UserId],
    ranks: &Ranks,
) -> Result<BTreeMap<UserId, Timeline>, sqlx::Error> {
    if users.is_empty() {
        return Ok(BTreeMap::new());
    }
    let accounts = store::pack::accounts_of(connection, users).await?;
    let ids: BTreeSet<&AccountId> = accounts.iter().map(|(_, account)| account).collect();
    let ids: Vec<AccountId> = ids.into_iter().cloned().collect();
    let facts = store::fact::of_accounts(connection, &ids, ranks).await?;
    let payments: BTreeSet<&str> = facts.iter().filter_map(|f| f.body.payment()).collect();
    let payments: Vec<&str> = payments.into_iter().collect();
    let elsewhere = if payments.is_empty() {
        Vec::new()
    } else {
        store::fact::of_payments(connection, &payments, &ids, ranks).await?
    };
    let by_account = account::by_account(&facts);
    let mut by_payment: BTreeMap<&str, Vec<&Fact>> = BTreeMap::new();
    for fact in facts.iter().chain(&elsewhere) {
        if let Some(payment) = fact.body.payment() {
            by_payment.entry(payment).or_default().push(fact);
        }
    }
    let timeline = |user: &UserId| {
        let own: BTreeSet<&AccountId> = accounts.iter().filter(|(of, _)| of == user).map(|(_, id)| id).collect();
        let mut known: Vec<&Fact> = own
            .iter()
            .filter_map(|id| by_account.get(id))
            .flatten()
            .copied()
            .collect();
        let paid: BTreeSet<&str> = known.iter().filter_map(|f| f.body.payment()).collect();
        let paid = paid.into_iter().filter_map(|p| by_payment.get(p)).flatten();
        let ids: BTreeSet<&EventId> = known.iter().map(|f| &f.event_id).collect();
        known.extend(paid.filter(|f| !ids.contains(&f.event_id)));
        Timeline::of(user, known)
    };
    Ok(users.iter().map(|user| (user.clone(), timeline(user))).collect())
}

impl<'a> Settlement<'a> {
    fn balance(&self, user: &UserId, meter: &str) -> Option<&MeterBalance> {
        self.balances.get(user)?.get(meter)
    }

    /// Usage that needs a replay: it is older than the start of its balance, or it is the
    /// first of its meter for a known user.
    fn late<'u>(&self, usage: &[&'u Usage], known: &HashSet<UserId>) -> Vec<&'u Usage> {
        let late = |u: &&&Usage| match self.balance(&u.user, &u.meter) {
            Some(balance) => u.time < balance.since,
            None => known.contains(&u.user),
        };
        usage.iter().filter(late).copied().collect()
    }

    /// Takes usage from the present balances. A replay corrects late usage afterwards.
    fn spend(&mut self, usage: &[&'a Usage]) -> Result<(), Overflow> {
        for usage in usage {
            let at = self
                .timelines
                .get(&usage.user)
                .map_or(usage.time, |s| s.counts_at(usage.time));
            let by_meter = self.balances.entry(usage.user.clone()).or_default();
            let balance = by_meter.entry(usage.meter.clone()).or_default();
            let change = balance.spend(at, usage.amount)?;
            let line = LedgerLine {
                entry: TimelineEntry {
                    at,
                    kind: EntryKind::Usage,
                    cause: usage.key.clone(),
                    amount: usage.amount,
                    change,
                },
                window: balance.window.clone(),
            };
            self.changed.insert((&usage.user, usage.meter.clone()));
            self.lines.push(NewLedgerRow {
                user: &usage.user,
                meter: usage.meter.clone(),
                line,
            });
        }
        Ok(())
    }

    /// Replays the timelines of the users in `caused_by`, and notes what changes.
    async fn replay_users(
        &mut self,
        connection: &mut PgConnection,
        caused_by: &'a BTreeMap<UserId, String>,
        changes: &BalanceChanges<'_>,
    ) -> Result<(), sqlx::Error> {
        let known: Vec<UserId> = caused_by
            .keys()
            .filter(|u| changes.known_users.contains(*u))
            .cloned()
            .collect();
        let mut recorded = ByMeter::new();
        if !known.is_empty() {
            let cuts = |user| self.timelines.get(user).map(Timeline::boundaries).unwrap_or_default();
            let cuts: Vec<(&UserId, Seconds)> = known
                .iter()
                .flat_map(|u| cuts(u).into_iter().map(move |c| (u, c)))
                .collect();
            recorded = store::balance::recorded(connection, &known, &cuts).await?;
        }
        for written in self.lines.iter().filter(|l| caused_by.contains_key(l.user)) {
            let by_meter = recorded.entry(written.user.clone()).or_default();
            by_meter
                .entry(written.meter.clone())
                .or_default()
                .add(&written.line)
                .map_err(overflow_error)?;
        }
        for (user, cause) in caused_by {
            let recorded = recorded.remove(user).unwrap_or_default();
            self.replay_user(user, cause, recorded).map_err(overflow_error)?;
        }
        Ok(())
    }

    fn replay_user(
        &mut self,
        user: &'a UserId,
        cause: &str,
        mut recorded: BTreeMap<String, RecordedLines>,
    ) -> Result<(), Overflow> {
        let timeline = self.timelines.remove(user).unwrap_or_default();
        let balances = self.balances.entry(user.clone()).or_default();
        let given = timeline.meters();
        let mut meters = given.clone();
        meters.extend(recorded.keys().cloned().chain(balances.keys().cloned()));
        let at = timeline.boundaries().last().copied().unwrap_or_default();
        for meter in meters {
            let recorded = recorded.remove(&meter).unwrap_or_default();
            let recorded_nothing = recorded.usage.is_empty();
            let replayed: ReplayedMeter = replay(&timeline, &meter, &recorded.usage)?;
            let lines = recorded.missing(&replayed, cause, at)?;
            // What turned out to be another user's leaves no balance behind.
            if recorded_nothing && !given.contains(&meter) {
                if balances.remove(&meter).is_some() {
                    self.ceased.push((user, meter.clone()));
                }
            } else if balances.get(&meter) != Some(&replayed.balance) {
                self.changed.insert((user, meter.clone()));
                balances.insert(meter.clone(), replayed.balance);
            }
            self.lines.extend(lines.into_iter().map(|line| NewLedgerRow {
                user,
                meter: meter.clone(),
                line,
            }));
        }
        Ok(())
    }

    async fn write(self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        if !self.lines.is_empty() {
            store::balance::enter(connection, &self.lines).await?;
        }
        let balance = |(user, meter): &(&'a UserId, String)| self.balance(user, meter);
        let changed: Vec<_> = self
            .changed
            .iter()
            .filter_map(|c| Some((c.0, c.1.as_str(), balance(c)?)))
            .collect();
        if !changed.is_empty() {
            store::balance::write(connection, &changed).await?;
        }
        if !self.ceased.is_empty() {
            store::balance::remove(connection, &self.ceased).await?;
            let users: BTreeSet<&UserId> = self.ceased.iter().map(|(user, _)| *user).collect();
            let users: Vec<UserId> = users.into_iter().cloned().collect();
            store::user::forget_without_balance(connection, &users).await?;
        }
        let new: BTreeSet<&UserId> = self
            .changed
            .iter()
            .map(|c| c.0)
            .filter(|u| !self.had.contains(*u))
            .collect();
        if !new.is_empty() {
            store::user::known_by_balance(connection, &new.into_iter().cloned().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}
