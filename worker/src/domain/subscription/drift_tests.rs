//! Drift, field by field.

use super::*;
use crate::domain::{
    fact::Fact,
    ids::SubscriptionId,
    testkit::{T0, active, changed, created, deleted, facts, month, plan, sub, user},
};

fn state(facts: &[Fact]) -> Subscription {
    let facts: Vec<&Fact> = facts.iter().collect();
    Subscription::refold(SubscriptionId::new("sub_1"), &facts)
}

fn fields(ours: Option<&Subscription>, theirs: &Snapshot) -> Vec<&'static str> {
    let found = drift(ours, theirs);
    assert!(found.iter().all(|d| FIELDS.contains(&d.field)), "{found:?}");
    found.into_iter().map(|d| d.field).collect()
}

#[test]
fn each_field_that_differs_is_named() {
    let ours = state(&facts(&[(0, created(active("plus", month(0))))]));
    let same = active("plus", month(0));
    assert_eq!(fields(Some(&ours), &same), [""; 0]);
    let with = |change: fn(&mut Snapshot)| {
        let mut theirs = same.clone();
        change(&mut theirs);
        theirs
    };
    for (theirs, expected) in [
        (with(|s| s.status = "past_due".to_owned()), "status"),
        (with(|s| s.plan = Some(plan("max"))), "price"),
        (with(|s| s.plan = None), "price"),
        (with(|s| s.period = Some(month(1))), "period"),
        (with(|s| s.cancel_at_period_end = true), "cancel_at_period_end"),
        (with(|s| s.cancel_at = Some(T0)), "cancel_at"),
        (with(|s| s.canceled_at = Some(T0)), "canceled_at"),
        (with(|s| s.trial_end = Some(T0)), "trial_end"),
        (with(|s| s.latest_invoice = Some("in_2".to_owned())), "latest_invoice"),
        (with(|s| s.user = user("user_2")), "user_id"),
        (with(|s| s.customer = None), "customer"),
        (with(|s| s.collection_paused = true), "pause_collection"),
        (with(|s| s.subscribed_at = T0 - 1), "created"),
    ] {
        assert_eq!(fields(Some(&ours), &theirs), [expected], "{theirs:?}");
        // `shows_same` compares the same fields.
        assert!(!same.shows_same(&theirs), "{expected}");
    }
}

#[test]
fn another_plan_of_the_catalog_for_the_same_price_is_no_drift() {
    let ours = state(&facts(&[(0, created(active("plus", month(0))))]));
    let mut theirs = active("plus", month(0));
    theirs.plan.as_mut().expect("a plan").limits.clear();
    assert!(drift(Some(&ours), &theirs).is_empty());
}

#[test]
fn a_subscription_without_a_snapshot_is_missing_and_an_ended_one_has_no_drift() {
    let theirs = active("plus", month(0));
    assert_eq!(fields(None, &theirs), ["missing"]);
    let unseen = Subscription::unknown(SubscriptionId::new("sub_1"));
    assert_eq!(fields(Some(&unseen), &theirs), ["missing"]);
    let ended = state(&facts(&[
        (0, created(theirs.clone())),
        (9, deleted(sub("canceled", "plus"))),
    ]));
    assert_eq!(fields(Some(&ended), &theirs), [""; 0]);
}

#[test]
fn a_difference_is_one_sentence_that_needs_no_context() {
    let ours = state(&facts(&[
        (0, created(active("plus", month(0)))),
        (5, changed(active("max", month(0)))),
    ]));
    let found = drift(Some(&ours), &active("plus", month(0)));
    assert_eq!(found[0].to_string(), "price: price_max here, price_plus at Stripe");
}
