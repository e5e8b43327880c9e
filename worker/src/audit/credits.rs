//! Balances, ledgers and packs as they are stored, beside what the facts say and
//! the usage that was reported: pure functions of both.

use super::compare::{Difference, differing};
use crate::{
    domain::{
        balance::{
            grants::{PackSale, sales},
            ledger::RecordedLines,
            replay::{ReplayedMeter, replay},
            terms::Window,
            timeline::{EntryKind, MeterBalance, Timeline},
            waterfall::{BalanceChange, UnitLimit},
        },
        explain::Moment,
        fact::Fact,
        ids::{AccountId, UserId},
        subscription::account::Account,
    },
    store::audit::credits::{Bare, OddLine, StoredPack, Untold},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A row of `billing.balance`, by the names of its columns.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Row {
    subscription_id: Option<String>,
    period_start: Option<Moment>,
    plan_limit: UnitLimit,
    lifted_limit: UnitLimit,
    lifted_until: Option<Moment>,
    used: i64,
    rollover: i64,
    purchased: i64,
    reported: i64,
    since: Option<Moment>,
}

impl Row {
    fn of(balance: &MeterBalance) -> Self {
        Self {
            subscription_id: balance.window.as_ref().map(|w| w.subscription.to_string()),
            period_start: balance.window.as_ref().map(|w| Moment(w.start)),
            plan_limit: balance.limits.own,
            lifted_limit: balance.limits.lifted.and_then(|l| l.0),
            lifted_until: balance.limits.lifted.map(|l| Moment(l.1)),
            used: balance.used,
            rollover: balance.carried.rollover,
            purchased: balance.carried.purchased,
            reported: balance.reported,
            since: (balance.since > i64::MIN).then_some(Moment(balance.since)),
        }
    }
}

/// Compares the balances of a user, and what the ledger holds of them, with the
/// story replayed. Second, the entries of the ledger that this does not tell of.
#[must_use]
pub fn balances(
    user: &UserId,
    story: &Timeline,
    stored: &BTreeMap<String, MeterBalance>,
    held: &BTreeMap<String, RecordedLines>,
) -> (Vec<Difference>, Vec<Untold>) {
    let (mut found, mut untold) = (Vec::new(), Vec::new());
    let told = story.meters();
    let meters: BTreeSet<&String> = told.iter().chain(held.keys()).chain(stored.keys()).collect();
    for meter in meters {
        let none = RecordedLines::default();
        let name = format!("{user} {meter}");
        let row = stored.get(meter);
        let own = held.get(meter);
        let Ok(replayed) = replay(story, meter, &own.unwrap_or(&none).usage) else {
            let what = "what the events say of it is beyond what 64 bits hold";
            found.push(Difference::of(format!("balance of {name}"), what));
            continue;
        };
        found.extend(balance(
            &format!("balance of {name}"),
            row,
            &replayed.balance,
            own.is_some() || told.contains(meter),
        ));
        let Some(own) = own else {
            found.extend(ledger(&format!("ledger of {name}"), &none, &replayed));
            continue;
        };
        found.extend(ledger(&format!("ledger of {name}"), own, &replayed));
        let unknown = |(kind, cause): &&(EntryKind, String)| {
            let is_said = replayed.entries.iter().any(|e| (e.kind, &e.cause) == (*kind, cause));
            // A period of which nothing is left to come in any more.
            let is_closed = *kind == EntryKind::Rollover && story.closings.iter().any(|c| c.invoice == *cause);
            !is_said && !is_closed
        };
        untold.extend(own.causes.iter().filter(unknown).map(|(kind, cause)| Untold {
            user: user.clone(),
            meter: meter.clone(),
            kind: *kind,
            cause: cause.clone(),
        }));
    }
    (found, untold)
}

fn balance(name: &str, stored: Option<&MeterBalance>, said: &MeterBalance, is_told: bool) -> Vec<Difference> {
    match stored {
        None if is_told => vec![Difference::of(name, "there is no row, the events tell of it")],
        None => Vec::new(),
        // It was another's once, and all of it was taken back.
        Some(stored) if stored == said => Vec::new(),
        Some(_) if !is_told => vec![Difference::of(name, "there is a row, no event tells of it")],
        Some(stored) => differing(name, "", &Row::of(stored), &Row::of(said)),
    }
}

fn ledger(name: &str, held: &RecordedLines, said: &ReplayedMeter) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |what: &str, sum: i64, said: i64| {
        if sum != said {
            let what = format!("{what} sums up to {sum}, the events say {said}");
            found.push(Difference::of(name, what));
        }
    };
    let windows: BTreeSet<&Option<Window>> = held.sums.keys().chain(said.used.keys()).collect();
    for window in windows {
        let what = match window {
            Some(Window { subscription, start }) => {
                format!("used in the period of {subscription} from {}", Moment(*start))
            }
            None => "used outside of any period".to_owned(),
        };
        let sum = held.sums.get(window).map_or(0, |sum| sum.used);
        differs(&what, sum, said.used.get(window).copied().unwrap_or_default());
    }
    let mut sums = held.sums.values();
    let total = sums.try_fold(BalanceChange::default(), |total, sum| {
        total.plus(BalanceChange { used: 0, ..*sum })
    });
    if let Ok(total) = total {
        differs("rollover", total.rollover, said.balance.carried.rollover);
        differs("purchased", total.purchased, said.balance.carried.purchased);
    } else {
        found.push(Difference::of(name, "it sums up to more than 64 bits hold"));
    }
    let missing = said
        .entries
        .iter()
        .filter(|e| !held.causes.contains(&(e.kind, e.cause.clone())));
    found.extend(missing.map(|e| {
        let what = format!("there is no {} of {}, the events tell of it", e.kind.as_str(), e.cause);
        Difference::of(name, what)
    }));
    found
}

/// Words for entries that nothing accounts for.
#[must_use]
pub fn unaccounted(entries: &[Untold]) -> Vec<Difference> {
    let told = entries.iter().map(|entry| {
        let what = format!(
            "there is a {} of {}, no event tells of it",
            entry.kind.as_str(),
            entry.cause
        );
        Difference::of(format!("ledger of {} {}", entry.user, entry.meter), what)
    });
    told.collect()
}

/// Words for lines of the ledger that contradict themselves, or their event.
#[must_use]
pub fn odd_lines(lines: &[OddLine]) -> Vec<Difference> {
    let told = lines.iter().map(|line| {
        let name = format!("ledger of {} {}, {} {}", line.user, line.meter, line.kind, line.cause);
        let what = if !line.has_event {
            "no event of that id is applied".to_owned()
        } else if line.is_early {
            "it counts before the time of its event".to_owned()
        } else {
            format!(
                "it is of {}, which cannot change used by {}, rollover by {} and purchased by {}",
                line.amount, line.used, line.rollover, line.purchased
            )
        };
        Difference::of(name, what)
    });
    told.collect()
}

/// Compares the rows of packs: all that these facts tell of, and those that are
/// stored under their accounts; of accounts in `outdated` none.
#[must_use]
pub fn packs(
    folded: &BTreeMap<AccountId, Account>,
    facts: &[Fact],
    rows: &[StoredPack],
    outdated: &BTreeSet<&str>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let facts: Vec<&Fact> = facts.iter().collect();
    let mut said: BTreeMap<&str, PackSale<'_>> = sales(&facts).into_iter().map(|s| (s.session, s)).collect();
    for row in rows {
        let sale = said.remove(row.session.as_str());
        if outdated.contains(row.account.as_str()) {
            continue;
        }
        let name = format!("pack of {}", row.session);
        let Some(sale) = sale else {
            let what = format!(
                "there is a row of account {}, none of its events tells of it",
                row.account
            );
            found.push(Difference::of(name, what));
            continue;
        };
        found.extend(pack(&name, row, &sale, folded));
    }
    found.extend(said.into_iter().map(|(id, sale)| {
        let what = format!("there is no row, events of account {} tell of it", sale.first.account);
        Difference::of(format!("pack of {id}"), what)
    }));
    found
}

fn pack(name: &str, row: &StoredPack, sale: &PackSale<'_>, folded: &BTreeMap<AccountId, Account>) -> Vec<Difference> {
    #[derive(PartialEq, Serialize)]
    struct Columns<'a> {
        account: &'a str,
        payment: Option<&'a str>,
        user_id: Option<&'a str>,
        named: bool,
    }
    let stored = Columns {
        account: &row.account,
        payment: row.payment.as_deref(),
        user_id: row.user.as_deref(),
        named: row.named,
    };
    let account = &sale.first.account;
    let owner = folded.get(account).and_then(|a| a.claim.as_ref());
    let said = Columns {
        account: account.as_str(),
        payment: sale.payment,
        user_id: sale.named.or(owner.map(|claim| &claim.user)).map(UserId::as_str),
        named: sale.named.is_some(),
    };
    differing(name, "", &stored, &said)
}

/// Who has balances but is not known otherwise, as they should be.
#[must_use]
pub fn bare(users: &[Bare]) -> Vec<Difference> {
    let mut found = Vec::new();
    for user in users {
        let id = &user.user;
        if !user.has_entitlement {
            let what = "there is no row, they have balances";
            found.push(Difference::of(format!("entitlement of {id}"), what));
        }
        if !user.has_lock {
            let what = "there is no row, they have balances";
            found.push(Difference::of(format!("app_user {id}"), what));
        }
    }
    found
}

#[cfg(test)]
#[path = "credits_tests.rs"]
mod tests;
