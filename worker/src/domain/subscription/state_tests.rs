//! The state of one subscription: its user, its plan and status, its end.

use crate::domain::{
    fact::{CustomerFact, Fact, FactBody, InvoiceFact, InvoiceStep, Snapshot},
    ids::UserId,
    subscription::{account::Account, state::Subscription},
    testkit::{
        T0, TimedFact, changed, created, deleted, facts, fold, fold_all, invoice, item, month, not_renewed, of,
        other_session, plan, prorated, renewed, session, sub, user,
    },
};

/// The customer's metadata names this user.
fn customer(id: &str) -> FactBody {
    FactBody::Customer(CustomerFact { user: user(id) })
}

/// A snapshot that names a user.
fn named(id: &str) -> Snapshot {
    Snapshot {
        user: user(id),
        ..sub("active", "plus")
    }
}

/// A snapshot without metadata.
fn bare() -> Snapshot {
    sub("active", "plus")
}

#[path = "owner_tests.rs"]
mod owner;

#[test]
fn a_fact_without_a_subscription_creates_none() {
    let no_subscription = FactBody::Invoice(InvoiceFact {
        subscription: None,
        ..invoice("in_1", InvoiceStep::Paid, "manual", month(0))
    });
    assert_eq!(
        fold_all(&[(0, other_session(user("u1"), None)), (1, no_subscription)]),
        []
    );
}

#[test]
fn an_invoice_or_session_before_its_subscription_counts_once_that_comes() {
    let early = fold(&[(0, renewed(month(0))), (0, session(user("u1"), None))]);
    assert_eq!((early.latest, early.ever_paid, early.user), (None, true, user("u1")));
    let whole = fold(&[
        (0, renewed(month(0))),
        (0, session(user("u1"), None)),
        (1, created(bare())),
    ]);
    assert!(whole.entitled() && whole.ever_paid);
    assert_eq!(whole.user, user("u1"));
}

#[test]
fn the_latest_status_alone_gives_access() {
    for (status, entitled) in [
        ("trialing", true),
        ("active", true),
        ("past_due", true),
        ("incomplete", false),
        ("incomplete_expired", false),
        ("unpaid", false),
        ("paused", false),
        ("canceled", false),
        ("a_status_of_next_year", false),
        ("ACTIVE", false),
        ("", false),
    ] {
        for body in [created(sub(status, "plus")), changed(sub(status, "plus"))] {
            let story = [(0, created(sub("incomplete", "plus"))), (1, body)];
            assert_eq!(fold(&story).entitled(), entitled, "{status}");
        }
    }
}

#[test]
fn an_invoice_never_sets_the_entitlement() {
    let story = [(0, created(bare())), (1, not_renewed(month(0)))];
    assert!(fold(&story).entitled());
    let story = [(0, created(sub("unpaid", "plus"))), (1, renewed(month(0)))];
    assert!(!fold(&story).entitled());
}

#[test]
fn plan_and_period_keep_their_last_values() {
    let without = Snapshot {
        plan: None,
        period: None,
        ..sub("unpaid", "plus")
    };
    let ended = fold(&[(0, created(sub("active", "max"))), (1, changed(without.clone()))]);
    assert_eq!((ended.plan, ended.period), (Some(plan("max")), Some(month(0))));
    let known_later = fold(&[(0, created(without)), (1, changed(sub("active", "max")))]);
    assert_eq!(
        (known_later.plan, known_later.period),
        (Some(plan("max")), Some(month(0)))
    );
}

#[test]
fn a_canceled_subscription_is_not_revived() {
    let over = sub("canceled", "plus");
    for story in [
        vec![(0, created(bare())), (2, deleted(over.clone())), (3, changed(bare()))],
        vec![(0, created(bare())), (2, deleted(over.clone())), (2, changed(bare()))],
        vec![(2, deleted(over.clone())), (3, created(bare())), (4, changed(bare()))],
        vec![
            (0, created(bare())),
            (1, changed(over.clone())),
            (2, changed(bare())),
            (3, deleted(bare())),
        ],
    ] {
        let folded = fold(&story);
        assert!(folded.ended && !folded.entitled(), "{story:#?}");
        assert_eq!(folded.latest, Some(over.clone()), "{story:#?}");
    }
}

#[test]
fn a_payment_after_the_cancellation_still_counts_as_ever_paid() {
    assert!(
        fold(&[
            (0, created(bare())),
            (1, deleted(sub("canceled", "plus"))),
            (2, renewed(month(0)))
        ])
        .ever_paid
    );
}

#[test]
fn all_events_of_a_checkout_in_one_second_make_an_active_subscription() {
    let incomplete = sub("incomplete", "plus");
    let with_card = Snapshot {
        latest_invoice: Some("in_1".to_owned()),
        ..incomplete.clone()
    };
    let paid = Snapshot {
        latest_invoice: Some("in_1".to_owned()),
        ..bare()
    };
    let folded = fold(&[
        (0, session(user("u1"), None)),
        (0, renewed(month(0))),
        (0, created(incomplete)),
        (0, changed(with_card.clone())),
        // A field changed that we do not read.
        (0, changed(with_card)),
        (0, changed(paid.clone())),
        (0, changed(paid)),
    ]);
    assert!(folded.entitled() && folded.ever_paid);
    assert_eq!(folded.highest, Some(plan("plus")));
}

#[test]
fn ever_paid_needs_a_paid_invoice_above_zero() {
    let of_total = |total, step| {
        FactBody::Invoice(InvoiceFact {
            total,
            ..invoice("in_1", step, "subscription_create", month(0))
        })
    };
    for (body, ever_paid) in [
        (of_total(1, InvoiceStep::Paid), true),
        (of_total(0, InvoiceStep::Paid), false),
        (of_total(-500, InvoiceStep::Paid), false),
        (of_total(1_000, InvoiceStep::Failed), false),
        (of_total(1_000, InvoiceStep::ActionRequired), false),
        (prorated(500), true),
        (prorated(-500), false),
        (item(500, true), false),
        (session(None, None), false),
    ] {
        let story = [(0, created(bare())), (1, body)];
        assert_eq!(fold(&story).ever_paid, ever_paid, "{story:#?}");
        let later = [&story[..], &[(2, changed(sub("canceled", "plus")))]].concat();
        assert_eq!(fold(&later).ever_paid, ever_paid, "for ever");
    }
}

#[test]
fn the_highest_plan_counts_trials_and_never_falls() {
    let at = |n, status: &str, tier: &str| (n, changed(sub(status, tier)));
    for (story, expected) in [
        (vec![at(0, "trialing", "plus")], Some("plus")),
        (vec![at(0, "active", "max"), at(1, "active", "basic")], Some("max")),
        (vec![at(0, "trialing", "max"), at(1, "canceled", "max")], Some("max")),
        (vec![at(0, "paused", "plus")], Some("plus")),
        (vec![at(0, "incomplete", "plus")], None),
        (
            vec![at(0, "incomplete", "plus"), at(1, "incomplete_expired", "plus")],
            None,
        ),
        (vec![at(0, "incomplete", "plus"), at(1, "canceled", "plus")], None),
        (
            vec![
                at(0, "incomplete", "plus"),
                at(1, "active", "plus"),
                at(2, "canceled", "plus"),
            ],
            Some("plus"),
        ),
        // The events of its life before are missing.
        (vec![at(0, "canceled", "plus")], Some("plus")),
    ] {
        assert_eq!(
            fold(&story).highest.map(|p| p.tier),
            expected.map(str::to_owned),
            "{story:#?}"
        );
    }
}

#[test]
fn facts_and_states_survive_json() {
    let story = [
        (0, session(user("u1"), user("u2"))),
        (0, created(bare())),
        (1, changed(named("u1"))),
        (2, prorated(-300)),
        (3, item(-300, true)),
    ];
    for fact in facts(&story) {
        let text = serde_json::to_string(&fact).expect("plain data");
        assert_eq!(serde_json::from_str::<Fact>(&text).expect("what was written"), fact);
    }
    let folded = fold(&story);
    let text = serde_json::to_string(&folded).expect("plain data");
    assert_eq!(
        serde_json::from_str::<Subscription>(&text).expect("what was written"),
        folded
    );
}
