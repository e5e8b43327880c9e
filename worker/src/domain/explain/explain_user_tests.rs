//! What is told of a user: what they have, and which events are whose.

use crate::domain::{
    explain::{ExplainRequest, Explanation, explain},
    fact::{ChargeRefundedFact, Digests, Fact, FactBody, Seconds, Snapshot},
    ids::{EventId, UserId},
    testkit::{DAY, T0, Told, changed, created, facts, month, of, other_session, renewed, session, sub, user},
};
use std::collections::BTreeMap;

/// The story of `u1` in these facts, as of some seconds after [`T0`].
pub(in crate::domain::explain) fn at(facts: &[Fact], after: Seconds) -> Option<Explanation> {
    let question = ExplainRequest {
        user: &UserId::new("u1"),
        at: T0 + after,
        is_past: true,
        free_tier: "free",
        types: &BTreeMap::new(),
    };
    let told = explain(facts, &[], &question);
    let backwards: Vec<Fact> = facts.iter().rev().cloned().collect();
    assert_eq!(
        told,
        explain(&backwards, &[], &question),
        "the order of arrival matters"
    );
    told
}

/// The story of `u1`, whose account it is from the first second on.
pub(in crate::domain::explain) fn told(life: &[Told], after: Seconds) -> Explanation {
    let mut life = life.to_vec();
    life.insert(0, (0, other_session(user("u1"), None)));
    at(&facts(&life), after).expect("it is theirs")
}

/// The downgrade of these stories.
pub(in crate::domain::explain) fn basic() -> FactBody {
    changed(sub("active", "basic"))
}

#[test]
fn whose_a_subscription_is_follows_the_best_word() {
    let mut own = sub("active", "max");
    own.user = user("u1");
    let life = facts(&[
        (0, created(sub("active", "max"))),
        (5, session(None, user("u2"))),
        (9, changed(own)),
    ]);
    let linked = |after: Seconds| -> Vec<String> {
        let story = at(&life, after).expect("it is theirs");
        let entries = story.subscriptions.into_iter().flat_map(|c| c.entries);
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
    // It is the other user's then.
    let story = at(&life, 7).expect("theirs later");
    assert_eq!(
        story.summary,
        ["u1 may use free only.", "No subscription is known to be theirs."]
    );
    assert!(story.subscriptions.is_empty());
    let story = at(&life, 3).expect("theirs later");
    assert_eq!(
        story.subscriptions[0].notes,
        ["It waits for a link: no event has said yet whose it is."]
    );
    assert_eq!(story.entitlement, None);
    let story = at(&life, -1).expect("theirs later");
    let nothing = "Nothing was known of them yet: the first event is of 2023-11-14T22:13:20Z.";
    assert_eq!(story.summary, ["u1 may use free only.", nothing]);
    assert_eq!(at(&facts(&[(0, session(user("u2"), None))]), 9), None);
}

#[test]
fn a_link_by_another_event_of_the_customer_is_an_event_of_its_own() {
    let life = facts(&[
        (0, created(sub("active", "max"))),
        (5, other_session(user("u1"), None)),
        (9, basic()),
    ]);
    let story = at(&life, DAY).expect("it is theirs");
    let entry = &story.subscriptions[0].entries[1];
    assert_eq!(entry.event, Some(EventId::new("evt_00002")));
    assert_eq!(
        entry.changes[0].words,
        "linked to u1, as the user of its customer, named by evt_00002"
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
        (begun(9, "active", "basic"), "sub_1 is of a higher tier"),
        (begun(-9, "active", "plus"), "sub_1 was created later"),
        (
            begun(0, "active", "plus"),
            "sub_1 is equal in all else, and its id decides",
        ),
    ] {
        let life = [
            (0, created(begun(0, "active", "plus"))),
            (DAY, of("sub_0", created(other))),
            (DAY, of("sub_00", renewed(month(0)))),
        ];
        let story = told(&life, 2 * DAY);
        let current: Vec<_> = story
            .subscriptions
            .iter()
            .map(|c| (c.is_current, c.subscription.as_str()))
            .collect();
        assert_eq!(current[0], (true, "sub_1"));
        let notes = |id: &str| {
            let chapter = story.subscriptions.iter().find(|c| c.subscription.as_str() == id);
            chapter.expect("it is told of").notes.clone()
        };
        assert_eq!(notes("sub_0"), [format!("It is not the current one: {why}.")]);
        assert_eq!(
            notes("sub_00"),
            ["It is not the current one: only invoices or its checkout tell of it so far."]
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
    for (life, expected) in [
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
             until then it gives access.",
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
        assert_eq!(told(&life, DAY).summary.join(" "), expected);
    }
}

#[test]
fn grace_counts_as_of_the_moment_that_is_asked_for() {
    let life = [(0, created(sub("active", "max"))), (5 * DAY, basic())];
    let has = |after| {
        let row = told(&life, after).entitlement.expect("a row");
        (row.effective_tier, row.grace_tier, row.tier)
    };
    let (max, basic) = (|| "max".to_owned(), || "basic".to_owned());
    assert_eq!(has(5 * DAY - 1), (max(), None, max()));
    assert_eq!(has(5 * DAY), (max(), Some(max()), basic()));
    assert_eq!(has(30 * DAY - 1), (max(), Some(max()), basic()));
    assert_eq!(has(30 * DAY), (basic(), None, basic()));
    let sentence = |after| told(&life, after).summary.remove(0);
    assert_eq!(
        sentence(6 * DAY),
        "u1 may use max until 2023-12-14T22:13:20Z (grace), then basic."
    );
    assert_eq!(sentence(30 * DAY), "u1 may use basic.");
    let last = told(&life, 30 * DAY).subscriptions[0]
        .entries
        .last()
        .cloned()
        .expect("some");
    assert_eq!((last.at.0, last.event), (T0 + 30 * DAY, None));
    let event = told(&life, 30 * DAY - 1).subscriptions[0].entries.last().cloned();
    assert!(event.is_some_and(|e| e.event.is_some()), "its time has not come");
}

#[test]
fn refunds_and_purchases_are_told_beside_the_subscriptions() {
    let refunded = FactBody::ChargeRefunded(ChargeRefundedFact {
        charge: "ch_1".to_owned(),
        payment_intent: None,
        amount: 1_000,
        amount_refunded: 400,
    });
    let life = facts(&[
        (0, other_session(user("u1"), None)),
        (1, other_session(user("u2"), None)),
        (5, refunded),
    ]);
    let story = at(&life, DAY).expect("a purchase is theirs");
    let told: Vec<_> = story
        .others
        .iter()
        .map(|e| (e.detail.as_deref(), e.changes[0].words.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("checkout cs_2 is completed"), "changes no subscription"),
            (
                Some("400 of 1000 (minor units) of charge ch_1 is refunded"),
                "changes no subscription by itself"
            ),
        ]
    );
}

#[test]
fn a_twin_is_told_with_the_event_that_it_repeats() {
    for prints in [
        None,
        Some(Digests {
            before: Some(1),
            now: 2,
        }),
    ] {
        let mut life = facts(&[
            (0, created(sub("active", "max"))),
            (9, session(user("u1"), None)),
            (9, basic()),
        ]);
        let mut twin = life[2].clone();
        twin.event_id = EventId::new("evt_00009");
        life.push(twin);
        for fact in &mut life[2..] {
            if let FactBody::Subscription(s) = &mut fact.body {
                s.prints = prints;
            }
        }
        let story = at(&life, DAY).expect("it is theirs");
        let last = story.subscriptions[0].entries.last().expect("some");
        assert_eq!(last.event, Some(EventId::new("evt_00009")));
        assert_eq!(last.changes[0].words, "changes nothing: twin of evt_00001");
    }
}

#[test]
fn an_undecided_second_is_told() {
    let story = [
        (9, changed(sub("active", "plus"))),
        (9, changed(sub("active", "basic"))),
    ];
    let mut life = facts(&story);
    for fact in &mut life {
        if let FactBody::Subscription(s) = &mut fact.body {
            (s.before, s.now.user) = (None, user("u1"));
        }
    }
    let story = at(&life, DAY).expect("it is theirs");
    let chapter = &story.subscriptions[0];
    assert_eq!(
        chapter.entries[1].changes.last().map(|c| c.words.as_str()),
        Some("no evidence orders the changes of this second: the event ids decide")
    );
    assert_eq!(
        chapter.notes,
        ["In 1 of its seconds no evidence orders the changes: there the event ids decide."]
    );
}
