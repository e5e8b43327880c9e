//! A user whom no new fact concerns keeps their timeline, so their balances need no
//! replay. This holds however the facts are divided into batches.

use super::*;
use crate::domain::{
    subscription::account::Account,
    testkit::{active, renewed, session, sub, user},
};

/// An account that is folded batch by batch, as the worker does.
#[derive(Default)]
struct BatchedAccount {
    known: Vec<Fact>,
    account: Option<Account>,
}

impl BatchedAccount {
    /// Folds a batch. Returns the users whose balances it concerns.
    fn fold(&mut self, batch: &[Fact]) -> BTreeSet<UserId> {
        self.known.extend(batch.iter().cloned());
        let new: Vec<&Fact> = batch.iter().collect();
        let before = self.account.take();
        let next = before
            .as_ref()
            .map_or_else(|| Some(Account::fold(&new)), |known| known.advance(&new));
        let late = next.is_none();
        let after = next.unwrap_or_else(|| Account::fold(&self.known.iter().collect::<Vec<_>>()));
        let concerned = after
            .affected_users(before.as_ref(), &new, late)
            .into_iter()
            .cloned()
            .collect();
        self.account = Some(after);
        concerned
    }

    /// A user's timeline without purchases: the worker finds those by their payment.
    fn timeline(&self, user: &str) -> Timeline {
        Timeline {
            purchases: Vec::new(),
            ..Timeline::of(&UserId::new(user), &self.known)
        }
    }
}

/// The same facts; some of them name another user or none.
fn with_users(facts: Vec<Fact>, users: &[&str]) -> Vec<Fact> {
    let mut facts = facts;
    for (fact, name) in facts.iter_mut().zip(users) {
        match &mut fact.body {
            FactBody::Subscription(s) => s.now.user = user(name),
            FactBody::Session(s) => s.user = user(name),
            _ => {}
        }
    }
    facts
}

fn batches() -> impl Strategy<Value = Vec<Vec<Fact>>> {
    let users = vec(select(vec!["u1", "u1", "u1", "u2", ""]), 40);
    // Most facts are in order: otherwise hardly any batch would take the fast path.
    let late = vec(prop_oneof![6 => Just(0_i64), 1 => 1..60 * DAY], 40);
    (histories(), users, late, vec(1..5_usize, 60)).prop_map(|(facts, users, late, sizes)| {
        let mut arrived: Vec<(Seconds, Fact)> = with_users(facts, &users)
            .into_iter()
            .zip(late.iter().cycle())
            .map(|(fact, late)| (fact.created + late, fact))
            .collect();
        arrived.sort_by_key(|(at, _)| *at);
        let mut rest = arrived.into_iter().map(|(_, fact)| fact);
        let batches = sizes
            .into_iter()
            .map(|size| rest.by_ref().take(size).collect::<Vec<_>>());
        batches.filter(|batch| !batch.is_empty()).collect()
    })
}

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn an_unconcerned_user_keeps_their_timeline(batches in batches()) {
        let mut account = BatchedAccount::default();
        let mut timelines = BTreeMap::new();
        for batch in &batches {
            let concerned = account.fold(batch);
            for user in ["u1", "u2"] {
                let timeline = account.timeline(user);
                let before = timelines.insert(user, timeline.clone()).unwrap_or_default();
                if !concerned.contains(&UserId::new(user)) {
                    prop_assert_eq!(timeline, before, "{} is not concerned by {:#?}", user, batch);
                }
            }
        }
    }
}

/// Folds two batches and checks the users whom the second one concerns.
#[track_caller]
fn check_concerned(before: &[TimedFact], batch: &[TimedFact], expected: &[&str]) {
    let events = [before, batch].concat();
    let facts = facts(&events);
    let (known, new) = facts.split_at(before.len());
    let mut account = BatchedAccount::default();
    account.fold(known);
    let timeline_before = account.timeline("u1");
    let concerned = account.fold(new);
    let names: Vec<&str> = concerned.iter().map(UserId::as_str).collect();
    assert_eq!(names, expected, "{batch:#?}");
    assert!(names.contains(&"u1") || account.timeline("u1") == timeline_before);
}

fn of_u1(status: &str, tier: &str) -> Snapshot {
    Snapshot {
        user: user("u1"),
        ..sub(status, tier)
    }
}

#[test]
fn a_change_that_is_undone_within_one_batch_concerns_its_user() {
    let incomplete = [(0, created(of_u1("incomplete", "plus")))];
    let access = [
        (60, changed(of_u1("active", "plus"))),
        (DAY, deleted(of_u1("canceled", "plus"))),
    ];
    check_concerned(&incomplete, &access, &["u1"]);
    let trial = [(0, created(of_u1("trialing", "plus")))];
    let there_and_back = [
        (DAY, changed(of_u1("trialing", "basic"))),
        (2 * DAY, changed(of_u1("trialing", "plus"))),
    ];
    check_concerned(&trial, &there_and_back, &["u1"]);
}

#[test]
fn a_paid_invoice_that_is_no_renewal_concerns_its_user_as_it_pays_for_its_period() {
    let begins = [
        (0, created(of_u1("active", "plus"))),
        (
            30 * DAY,
            changed(Snapshot {
                user: user("u1"),
                ..active("plus", month(1))
            }),
        ),
    ];
    let bill = FactBody::Invoice(invoice("in_first", Paid, "manual", month(1)));
    check_concerned(&begins, &[(31 * DAY, bill)], &["u1"]);
    check_concerned(&begins, &[(31 * DAY, renewed(month(1)))], &["u1"]);
}

#[test]
fn a_fact_without_a_state_concerns_nobody_unless_it_makes_a_link() {
    let begins = [(0, created(of_u1("active", "plus")))];
    check_concerned(&begins, &[(DAY, item(300, true))], &[]);
    // It may give back a period that was cut short.
    check_concerned(&begins, &[(DAY, item(-300, true))], &["u1"]);
    check_concerned(&begins, &[(DAY, session(user("u1"), None))], &[]);
    let nobodys = [(0, created(sub("active", "plus")))];
    check_concerned(&nobodys, &[(DAY, session(user("u1"), None))], &["u1"]);
    // A claim of the session counts more than a claim about the customer.
    let others = [
        (0, created(sub("active", "plus"))),
        (1, of("sub_2", created(of_u1("active", "max")))),
    ];
    check_concerned(&others, &[(DAY, session(user("u2"), None))], &["u1", "u2"]);
}
