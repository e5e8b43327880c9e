//! Compares stored balances, ledgers and packs with what the facts and the reported
//! usage say: pure functions of both.

use super::difference::{Difference, differing};
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
        fact::Fact,
        ids::{AccountId, UserId},
        moment::Moment,
        subscription::account::Account,
    },
    store::audit::credits::{OddLine, StoredPack, UnexplainedEntry, UserWithoutSubscription},
};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// A row of `billing.balance`, by the names of its columns.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct BalanceColumns {
    subscription_id: Option<String>,
    period_start: Option<Moment>,
    plan_limit: UnitLimit,
    limit_ends_at: Option<Moment>,
    used: i64,
    rollover: i64,
    purchased: i64,
    usage_total: i64,
    settled_until: Option<Moment>,
}

impl BalanceColumns {
    fn of(balance: &MeterBalance) -> Self {
        Self {
            subscription_id: balance.window.as_ref().map(|w| w.subscription.to_string()),
            period_start: balance.window.as_ref().map(|w| Moment(w.start)),
            plan_limit: balance.limits.own,
            limit_ends_at: balance.limits.ends_at.map(Moment),
            used: balance.used,
            rollover: balance.carried.rollover,
            purchased: balance.carried.purchased,
            usage_total: balance.reported,
            settled_until: (balance.since > i64::MIN).then_some(Moment(balance.since)),
        }
    }
}

/// Compares a user's balances and ledger with the replayed timeline. Also returns the
/// entries of the ledger that the timeline does not contain.
#[must_use]
pub fn balances(
    user: &UserId,
    timeline: &Timeline,
    stored: &BTreeMap<String, MeterBalance>,
    recorded: &BTreeMap<String, RecordedLines>,
) -> (Vec<Difference>, Vec<UnexplainedEntry>) {
    let (mut found, mut unexplained) = (Vec::new(), Vec::new());
    let expected = timeline.meters();
    let meters: BTreeSet<&String> = expected.iter().chain(recorded.keys()).chain(stored.keys()).collect();
    for meter in meters {
        let none = RecordedLines::default();
        let name = format!("{user} {meter}");
        let row = stored.get(meter);
        let own = recorded.get(meter);
        let Ok(replayed) = replay(timeline, meter, &own.unwrap_or(&none).usage) else {
            let what = "the events add up to more than 64 bits hold";
            found.push(Difference::of(format!("balance of {name}"), what));
            continue;
        };
        found.extend(balance(
            &format!("balance of {name}"),
            row,
            &replayed.balance,
            own.is_some_and(|own| !own.usage.is_empty()) || expected.contains(meter),
        ));
        let Some(own) = own else {
            found.extend(ledger(&format!("ledger of {name}"), &none, &replayed));
            continue;
        };
        found.extend(ledger(&format!("ledger of {name}"), own, &replayed));
        let unknown = |(kind, cause): &&(EntryKind, String)| {
            let is_expected = replayed.entries.iter().any(|e| (e.kind, &e.cause) == (*kind, cause));
            // A closed period has no rollover entry if nothing is left of it.
            let is_closed = *kind == EntryKind::Rollover && timeline.closings.iter().any(|c| c.invoice == *cause);
            !is_expected && !is_closed
        };
        unexplained.extend(own.causes.iter().filter(unknown).map(|(kind, cause)| UnexplainedEntry {
            user: user.clone(),
            meter: meter.clone(),
            kind: *kind,
            cause: cause.clone(),
        }));
    }
    (found, unexplained)
}

fn balance(name: &str, stored: Option<&MeterBalance>, expected: &MeterBalance, is_expected: bool) -> Vec<Difference> {
    match stored {
        None if is_expected => vec![Difference::of(name, "there is no row, but there are events for it")],
        None => Vec::new(),
        // Such as that of a subscription that turned out to be another user's.
        Some(_) if !is_expected => vec![Difference::of(name, "there is a row, but no event for it")],
        Some(stored) => differing(name, "", &BalanceColumns::of(stored), &BalanceColumns::of(expected)),
    }
}

fn ledger(name: &str, recorded: &RecordedLines, replayed: &ReplayedMeter) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut differs = |what: &str, sum: i64, expected: i64| {
        if sum != expected {
            let what = format!("{what} sums up to {sum}, the events say {expected}");
            found.push(Difference::of(name, what));
        }
    };
    let windows: BTreeSet<&Option<Window>> = recorded.sums.keys().chain(replayed.used.keys()).collect();
    for window in windows {
        let what = match window {
            Some(Window { subscription, start }) => {
                format!("used in the period of {subscription} from {}", Moment(*start))
            }
            None => "used outside of any period".to_owned(),
        };
        let sum = recorded.sums.get(window).map_or(0, |sum| sum.used);
        differs(&what, sum, replayed.used.get(window).copied().unwrap_or_default());
    }
    let mut sums = recorded.sums.values();
    let total = sums.try_fold(BalanceChange::default(), |total, sum| {
        total.plus(BalanceChange { used: 0, ..*sum })
    });
    if let Ok(total) = total {
        differs("rollover", total.rollover, replayed.balance.carried.rollover);
        differs("purchased", total.purchased, replayed.balance.carried.purchased);
    } else {
        found.push(Difference::of(name, "it sums up to more than 64 bits hold"));
    }
    let missing = replayed
        .entries
        .iter()
        .filter(|e| !recorded.causes.contains(&(e.kind, e.cause.clone())));
    found.extend(missing.map(|e| {
        let what = format!(
            "there is no {} of {}, but there are events for it",
            e.kind.as_str(),
            e.cause
        );
        Difference::of(name, what)
    }));
    found
}

/// The differences of entries without a reason.
#[must_use]
pub fn without_reason(entries: &[UnexplainedEntry]) -> Vec<Difference> {
    let differences = entries.iter().map(|entry| {
        let what = format!(
            "there is a {} of {}, but no event for it",
            entry.kind.as_str(),
            entry.cause
        );
        Difference::of(format!("ledger of {} {}", entry.user, entry.meter), what)
    });
    differences.collect()
}

/// The differences of ledger rows that contradict themselves or their event.
#[must_use]
pub fn odd_lines(lines: &[OddLine]) -> Vec<Difference> {
    let differences = lines.iter().map(|line| {
        let name = format!("ledger of {} {}, {} {}", line.user, line.meter, line.kind, line.cause);
        let what = if !line.has_event {
            "no event of that id is applied".to_owned()
        } else if line.is_early {
            "it counts before the time of its event".to_owned()
        } else {
            format!(
                "amount is {}, which does not match used {}, rollover {} and purchased {}",
                line.amount, line.used, line.rollover, line.purchased
            )
        };
        Difference::of(name, what)
    });
    differences.collect()
}

/// Compares the packs of these facts with `rows`: those stored under the same accounts
/// or sales. Packs of accounts in `outdated` are not compared.
#[must_use]
pub fn packs(
    folded: &BTreeMap<AccountId, Account>,
    facts: &[Fact],
    rows: &[StoredPack],
    outdated: &BTreeSet<&str>,
) -> Vec<Difference> {
    let mut found = Vec::new();
    let facts: Vec<&Fact> = facts.iter().collect();
    let mut expected: BTreeMap<&str, PackSale<'_>> = sales(&facts).into_iter().map(|s| (s.sale, s)).collect();
    for row in rows {
        let sale = expected.remove(row.sale.as_str());
        if outdated.contains(row.account.as_str()) {
            continue;
        }
        let name = format!("pack of {}", row.sale);
        let Some(sale) = sale else {
            let what = format!(
                "there is a row of account {}, but that account has no event for it",
                row.account
            );
            found.push(Difference::of(name, what));
            continue;
        };
        found.extend(pack(&name, row, &sale, folded));
    }
    found.extend(expected.into_iter().map(|(id, sale)| {
        let what = format!("there is no row, but account {} has events for it", sale.first.account);
        Difference::of(format!("pack of {id}"), what)
    }));
    found
}

fn pack(name: &str, row: &StoredPack, sale: &PackSale<'_>, folded: &BTreeMap<AccountId, Account>) -> Vec<Difference> {
    #[derive(PartialEq, Serialize)]
    struct PackColumns<'a> {
        account: &'a str,
        payment: Option<&'a str>,
        user_id: Option<&'a str>,
        names_user: bool,
    }
    let stored = PackColumns {
        account: &row.account,
        payment: row.payment.as_deref(),
        user_id: row.user.as_deref(),
        names_user: row.names_user,
    };
    let account = &sale.first.account;
    let owner = folded.get(account).and_then(|a| a.claim.as_ref());
    let expected = PackColumns {
        account: account.as_str(),
        payment: sale.payment,
        user_id: sale
            .named
            .or(owner.map(|claim| claim.user_at(sale.first.created)))
            .map(UserId::as_str),
        names_user: sale.named.is_some(),
    };
    differing(name, "", &stored, &expected)
}

/// The missing rows of users who have balances and no subscription.
#[must_use]
pub fn without_subscription(users: &[UserWithoutSubscription]) -> Vec<Difference> {
    let mut found = Vec::new();
    for user in users {
        let id = &user.user;
        if !user.has_entitlement {
            let what = "there is no row, but the user has balances";
            found.push(Difference::of(format!("entitlement of {id}"), what));
        }
        if !user.has_lock {
            let what = "there is no row, but the user has balances";
            found.push(Difference::of(format!("app_user {id}"), what));
        }
    }
    found
}

#[cfg(test)]
#[path = "credits_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "credits_pack_tests.rs"]
mod pack_tests;
