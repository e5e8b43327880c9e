//! Who need not be settled: whoever no new fact concerns has the story that they
//! had, however the facts are dealt into batches.

use super::*;
use crate::domain::{
    subscription::account::Account,
    testkit::{active, renewed, session, sub, user},
};

/// An account as the facts come batch by batch, like the worker folds it.
#[derive(Default)]
struct Dealt {
    known: Vec<Fact>,
    account: Option<Account>,
}

impl Dealt {
    /// Takes a batch in; tells whose balances it concerns.
    fn take_in(&mut self, batch: &[Fact]) -> BTreeSet<UserId> {
        self.known.extend(batch.iter().cloned());
        let new: Vec<&Fact> = batch.iter().collect();
        let before = self.account.take();
        let next = before
            .as_ref()
            .map_or_else(|| Some(Account::fold(&new)), |known| known.advance(&new));
        let late = next.is_none();
        let after = next.unwrap_or_else(|| Account::fold(&self.known.iter().collect::<Vec<_>>()));
        let concerned = after
            .concerns(before.as_ref(), &new, late)
            .into_iter()
            .cloned()
            .collect();
        self.account = Some(after);
        concerned
    }

    /// What subscriptions give a user. What they bought is told by its payment.
    fn story(&self, user: &str) -> Timeline {
        Timeline {
            purchases: Vec::new(),
            ..Timeline::of(&UserId::new(user), &self.known)
        }
    }
}

/// The same facts, some of them of another user or of none.
fn shared(facts: Vec<Fact>, users: &[&str]) -> Vec<Fact> {
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

fn dealt() -> impl Strategy<Value = Vec<Vec<Fact>>> {
    let users = vec(select(vec!["u1", "u1", "u1", "u2", ""]), 40);
    // In order, but for some that are late: else hardly any batch is on the fast path.
    let late = vec(prop_oneof![6 => Just(0_i64), 1 => 1..60 * DAY], 40);
    (lives(), users, late, vec(1..5_usize, 60)).prop_map(|(facts, users, late, sizes)| {
        let mut arrived: Vec<(Seconds, Fact)> = shared(facts, &users)
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
    fn story_is_settled(batches in dealt()) {
        let mut dealt = Dealt::default();
        let mut settled = BTreeMap::new();
        for batch in &batches {
            let concerned = dealt.take_in(batch);
            for user in ["u1", "u2"] {
                let story = dealt.story(user);
                let before = settled.insert(user, story.clone()).unwrap_or_default();
                if !concerned.contains(&UserId::new(user)) {
                    prop_assert_eq!(story, before, "{} is not concerned by {:#?}", user, batch);
                }
            }
        }
    }
}

/// Deals a story in these batches; whoever is told of in the last one must be settled.
#[track_caller]
fn concerns(before: &[Told], batch: &[Told], expected: &[&str]) {
    let story = [before, batch].concat();
    let facts = facts(&story);
    let (known, new) = facts.split_at(before.len());
    let mut dealt = Dealt::default();
    dealt.take_in(known);
    let told = dealt.story("u1");
    let concerned = dealt.take_in(new);
    let names: Vec<&str> = concerned.iter().map(UserId::as_str).collect();
    assert_eq!(names, expected, "{batch:#?}");
    assert!(names.contains(&"u1") || dealt.story("u1") == told);
}

fn of_u1(status: &str, tier: &str) -> Snapshot {
    Snapshot {
        user: user("u1"),
        ..sub(status, tier)
    }
}

#[test]
fn what_was_told_and_is_over_within_one_batch_concerns_its_user() {
    let incomplete = [(0, created(of_u1("incomplete", "plus")))];
    let access = [
        (60, changed(of_u1("active", "plus"))),
        (DAY, deleted(of_u1("canceled", "plus"))),
    ];
    concerns(&incomplete, &access, &["u1"]);
    let trial = [(0, created(of_u1("trialing", "plus")))];
    let there_and_back = [
        (DAY, changed(of_u1("trialing", "basic"))),
        (2 * DAY, changed(of_u1("trialing", "plus"))),
    ];
    concerns(&trial, &there_and_back, &["u1"]);
}

#[test]
fn a_paid_invoice_that_is_no_cycle_concerns_its_user_since_it_says_that_its_period_was_paid() {
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
    concerns(&begins, &[(31 * DAY, bill)], &["u1"]);
    concerns(&begins, &[(31 * DAY, renewed(month(1)))], &["u1"]);
}

#[test]
fn what_tells_of_no_state_concerns_nobody_unless_a_link_is_new() {
    let begins = [(0, created(of_u1("active", "plus")))];
    concerns(&begins, &[(DAY, item(-300, true))], &[]);
    concerns(&begins, &[(DAY, session(user("u1"), None))], &[]);
    let nobodys = [(0, created(sub("active", "plus")))];
    concerns(&nobodys, &[(DAY, session(user("u1"), None))], &["u1"]);
    // The session's word is better than one about the customer.
    let others = [
        (0, created(sub("active", "plus"))),
        (1, of("sub_2", created(of_u1("active", "max")))),
    ];
    concerns(&others, &[(DAY, session(user("u2"), None))], &["u1", "u2"]);
}
