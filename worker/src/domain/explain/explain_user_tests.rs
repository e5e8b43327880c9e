//! The explanation of a user: what they have, and which subscriptions are theirs.

use crate::domain::{
    explain::{ExplainRequest, Explanation, explain},
    fact::{ChargeRefundedFact, Digests, Fact, FactBody, Seconds, Snapshot},
    ids::{EventId, UserId},
    testkit::{DAY, T0, TimedFact, changed, created, facts, month, of, other_session, renewed, session, sub, user},
};
use std::collections::BTreeMap;

/// The explanation of `u1` from these facts, as of some seconds after [`T0`].
pub(in crate::domain::explain) fn at(facts: &[Fact], after: Seconds) -> Option<Explanation> {
    let request = ExplainRequest {
        user: &UserId::new("u1"),
        at: T0 + after,
        is_past: true,
        free_tier: "free",
        types: &BTreeMap::new(),
    };
    let explained = explain(facts, &[], &request);
    let backwards: Vec<Fact> = facts.iter().rev().cloned().collect();
    assert_eq!(
        explained,
        explain(&backwards, &[], &request),
        "the order of arrival matters"
    );
    explained
}

/// The explanation of `u1`, who owns the account from the first second on.
pub(in crate::domain::explain) fn explained(events: &[TimedFact], after: Seconds) -> Explanation {
    let mut events = events.to_vec();
    events.insert(0, (0, other_session(user("u1"), None)));
    at(&facts(&events), after).expect("u1 is known")
}

/// The downgrade in these tests.
pub(in crate::domain::explain) fn basic() -> FactBody {
    changed(sub("active", "basic"))
}

#[test]
fn a_subscription_is_linked_to_the_user_of_the_best_claim() {
    let mut own = sub("active", "max");
    own.user = user("u1");
    let events = facts(&[
        (0, created(sub("active", "max"))),
        (5, session(None, user("u2"))),
        (9, changed(own)),
    ]);
    let linked = |after: Seconds| -> Vec<String> {
        let explanation = at(&events, after).expect("u1 is known");
        let entries = explanation.subscriptions.into_iter().flat_map(|c| c.entries);
        let words = entries.flat_map(|e| e.changes).map(|c| c.words);
        words.filter(|w| w.starts_with("linked")).collect()
    };
    assert_eq!(
        linked(9),
        [
            "linked to u2, by client_reference_id of its checkout session",
            "linked to u1 instead of u2, by metadata.user_id of the subscription",
        ]
    );
    // At second 7 it belongs to the other user.
    let explanation = at(&events, 7).expect("u1 is known later");
    assert_eq!(
        explanation.summary,
        ["u1 may use free only.", "No subscription is linked to this user."]
    );
    assert!(explanation.subscriptions.is_empty());
    let explanation = at(&events, 3).expect("u1 is known later");
    assert_eq!(
        explanation.subscriptions[0].notes,
        ["It is not linked yet: no event names its user."]
    );
    assert_eq!(explanation.entitlement, None);
    let explanation = at(&events, -1).expect("u1 is known later");
    let nothing = "Nothing was known yet: the first event is from 2023-11-14T22:13:20Z.";
    assert_eq!(explanation.summary, ["u1 may use free only.", nothing]);
    assert_eq!(at(&facts(&[(0, session(user("u2"), None))]), 9), None);
}

#[test]
fn a_link_by_another_event_of_the_customer_has_an_entry_of_its_own() {
    let events = facts(&[
        (0, created(sub("active", "max"))),
        (5, other_session(user("u1"), None)),
        (9, basic()),
    ]);
    let explanation = at(&events, DAY).expect("u1 is known");
    let entry = &explanation.subscriptions[0].entries[1];
    assert_eq!(entry.event, Some(EventId::new("evt_00002")));
    assert_eq!(
        entry.changes[0].words,
        "linked to u1, as the user of its customer, whom evt_00002 names"
    );
}

#[test]
fn of_several_subscriptions_the_others_say_why_they_are_not_current() {
    let begun = |day: i64, status, tier| Snapshot {
        subscribed_at: T0 + day * DAY,
        ..sub(status, tier)
    };
    for (other, why) in [
        (begun(9, "canceled", "max"), "sub_1 gives access, this one does not"),
        (begun(9, "active", "basic"), "sub_1 has a higher tier"),
        (begun(-9, "active", "plus"), "sub_1 was created later"),
        (
            begun(0, "active", "plus"),
            "sub_1 is equal otherwise, and the ids decide",
        ),
    ] {
        let events = [
            (0, created(begun(0, "active", "plus"))),
            (DAY, of("sub_0", created(other))),
            (DAY, of("sub_00", renewed(month(0)))),
        ];
        let explanation = explained(&events, 2 * DAY);
        let current: Vec<_> = explanation
            .subscriptions
            .iter()
            .map(|c| (c.is_current, c.subscription.as_str()))
            .collect();
        assert_eq!(current[0], (true, "sub_1"));
        let notes = |id: &str| {
            let history = explanation.subscriptions.iter().find(|s| s.subscription.as_str() == id);
            history.expect("it is explained").notes.clone()
        };
        assert_eq!(notes("sub_0"), [format!("It is not the current one: {why}.")]);
        assert_eq!(
            notes("sub_00"),
            ["It is not the current one: so far only its invoices or its checkout are known."]
        );
        assert!(notes("sub_1").is_empty());
    }
}

#[test]
fn the_summary_says_what_a_user_has_and_why() {
    let with = |status: &str, change: fn(&mut Snapshot)| {
        let mut now = sub(status, "plus");
        change(&mut now);
        [(0, created(now))]
    };
    let none: fn(&mut Snapshot) = |_| {};
    for (events, expected) in [
        (
            with("active", none),
            "u1 may use plus. Subscription sub_1 (plus) is active; its period ends at 2023-12-14T22:13:20Z.",
        ),
        (
            with("trialing", |s| s.trial_end = Some(T0 + 3 * DAY)),
            "u1 may use plus. Subscription sub_1 (plus) is in its trial until 2023-11-17T22:13:20Z.",
        ),
        (
            with("past_due", none),
            "u1 may use plus. Subscription sub_1 (plus) is past due: Stripe still tries to collect the payment, and \
             it gives access meanwhile.",
        ),
        (
            with("paused", none),
            "u1 may use free only. Subscription sub_1 (plus) is paused: its trial ended without a way to pay.",
        ),
        (
            with("new_word", none),
            "u1 may use free only. Subscription sub_1 (plus) has the status new_word, which gives no access.",
        ),
        (
            with("active", |s| s.cancel_at = Some(T0 + 9 * DAY)),
            "u1 may use plus. Subscription sub_1 (plus) is active; its period ends at 2023-12-14T22:13:20Z. It will \
             end at 2023-11-23T22:13:20Z.",
        ),
    ] {
        assert_eq!(explained(&events, DAY).summary.join(" "), expected);
    }
}

#[test]
fn a_grace_counts_as_of_the_requested_moment() {
    let events = [(0, created(sub("active", "max"))), (5 * DAY, basic())];
    let has = |after| {
        let row = explained(&events, after).entitlement.expect("a row");
        (row.effective_tier, row.grace_tier, row.tier)
    };
    let (max, basic) = (|| "max".to_owned(), || "basic".to_owned());
    assert_eq!(has(5 * DAY - 1), (max(), None, max()));
    assert_eq!(has(5 * DAY), (max(), Some(max()), basic()));
    assert_eq!(has(30 * DAY - 1), (max(), Some(max()), basic()));
    assert_eq!(has(30 * DAY), (basic(), None, basic()));
    let sentence = |after| explained(&events, after).summary.remove(0);
    assert_eq!(
        sentence(6 * DAY),
        "u1 may use max until 2023-12-14T22:13:20Z (grace), then basic."
    );
    assert_eq!(sentence(30 * DAY), "u1 may use basic.");
    let last = explained(&events, 30 * DAY).subscriptions[0]
        .entries
        .last()
        .cloned()
        .expect("some");
    assert_eq!((last.at.0, last.event), (T0 + 30 * DAY, None));
    let event = explained(&events, 30 * DAY - 1).subscriptions[0]
        .entries
        .last()
        .cloned();
    assert!(event.is_some_and(|e| e.event.is_some()), "the grace still runs");
}

#[test]
fn refunds_and_purchases_are_listed_beside_the_subscriptions() {
    let refunded = FactBody::ChargeRefunded(ChargeRefundedFact {
        charge: "ch_1".to_owned(),
        payment_intent: None,
        amount: 1_000,
        amount_refunded: 400,
        currency: None,
        invoice: None,
    });
    let events = facts(&[
        (0, other_session(user("u1"), None)),
        (1, other_session(user("u2"), None)),
        (5, refunded),
    ]);
    let explanation = at(&events, DAY).expect("u1 is known");
    let others: Vec<_> = explanation
        .others
        .iter()
        .map(|e| (e.detail.as_deref(), e.changes[0].words.as_str()))
        .collect();
    assert_eq!(
        others,
        [
            (Some("checkout cs_2 is completed"), "changes no subscription"),
            (
                Some("400 of 1000 minor units of charge ch_1 are refunded"),
                "changes no subscription by itself"
            ),
        ]
    );
}

#[test]
fn a_twin_names_the_event_that_it_repeats() {
    for digests in [
        None,
        Some(Digests {
            before: Some(1),
            now: 2,
        }),
    ] {
        let mut events = facts(&[
            (0, created(sub("active", "max"))),
            (9, session(user("u1"), None)),
            (9, basic()),
        ]);
        let mut twin = events[2].clone();
        twin.event_id = EventId::new("evt_00009");
        events.push(twin);
        for fact in &mut events[2..] {
            if let FactBody::Subscription(s) = &mut fact.body {
                s.digests = digests;
            }
        }
        let explanation = at(&events, DAY).expect("u1 is known");
        let last = explanation.subscriptions[0].entries.last().expect("some");
        assert_eq!(last.event, Some(EventId::new("evt_00009")));
        assert_eq!(last.changes[0].words, "changes nothing: repeats event evt_00001");
    }
}

#[test]
fn a_second_of_unknown_order_is_named() {
    let events = [
        (9, changed(sub("active", "plus"))),
        (9, changed(sub("active", "basic"))),
    ];
    let mut events = facts(&events);
    for fact in &mut events {
        if let FactBody::Subscription(s) = &mut fact.body {
            (s.before, s.now.user) = (None, user("u1"));
        }
    }
    let explanation = at(&events, DAY).expect("u1 is known");
    let history = &explanation.subscriptions[0];
    assert_eq!(
        history.entries[1].changes.last().map(|c| c.words.as_str()),
        Some("the order of the changes in this second is unknown: the event ids decide")
    );
    assert_eq!(
        history.notes,
        ["In 1 of its seconds the order of the changes is unknown; there the event ids decide."]
    );
}
