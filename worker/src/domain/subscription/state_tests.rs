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

mod owner {
    use super::*;

    /// Checks the user of `sub_1` at the end of a story.
    #[track_caller]
    fn check(story: &[TimedFact], expected: Option<&str>) {
        let known = fold(story).user;
        assert_eq!(known.as_ref().map(UserId::as_str), expected, "{story:#?}");
    }

    #[test]
    fn a_subscription_without_a_claim_has_no_user() {
        check(
            &[(0, created(bare())), (1, session(None, None)), (2, renewed(month(0)))],
            None,
        );
    }

    #[test]
    fn the_best_source_of_a_claim_wins() {
        let own = (9, changed(named("own")));
        let by_session = (8, session(user("session"), user("reference")));
        let by_reference = (7, session(None, user("reference")));
        let by_metadata = (6, customer("metadata"));
        let by_customer = (6, of("sub_2", created(named("customer"))));
        let begin = (5, created(bare()));
        let story = [begin, by_customer, by_metadata, by_reference, by_session, own];
        check(&story, Some("own"));
        check(&story[..5], Some("session"));
        check(&story[..4], Some("reference"));
        check(&story[..3], Some("metadata"));
        check(&story[..2], Some("customer"));
        check(&story[..1], None);
    }

    #[test]
    fn of_sessions_and_other_objects_the_earliest_wins() {
        check(
            &[
                (0, created(bare())),
                (1, session(user("a"), None)),
                (2, session(user("b"), None)),
            ],
            Some("a"),
        );
        check(
            &[
                (0, created(bare())),
                (1, session(None, user("a"))),
                (2, session(None, user("b"))),
            ],
            Some("a"),
        );
        let others = [
            (0, created(bare())),
            (1, of("sub_2", created(named("a")))),
            (2, of("sub_3", created(named("b")))),
        ];
        check(&others, Some("a"));
    }

    #[test]
    fn a_claim_of_the_customer_counts_for_all_its_subscriptions() {
        for body in [
            other_session(user("u1"), user("other")),
            other_session(None, user("u1")),
            of("sub_2", session(user("u1"), user("other"))),
            of("sub_2", session(None, user("u1"))),
            of("sub_2", created(named("u1"))),
        ] {
            check(&[(0, created(bare())), (1, body.clone())], Some("u1"));
            // Also if it comes before the subscription.
            check(&[(0, body), (1, created(bare()))], Some("u1"));
        }
    }

    #[test]
    fn a_subscription_is_handed_over_by_its_own_metadata() {
        let story = [
            (0, created(named("guest"))),
            (5, session(user("session"), None)),
            (10, changed(named("account"))),
            (20, changed(bare())),
            (30, deleted(sub("canceled", "plus"))),
        ];
        check(&story[..2], Some("guest"));
        check(&story[..3], Some("account"));
        check(&story, Some("account"));
        // Within one second `previous_attributes` decide, whatever the ids of the events.
        let tied = [
            (0, created(named("a"))),
            (9, changed(named("b"))),
            (9, changed(named("c"))),
            (9, changed(named("a"))),
        ];
        check(&tied[..3], Some("c"));
        check(&tied, Some("a"));
        // Also after its end.
        let ended = [
            (0, created(named("guest"))),
            (5, deleted(sub("canceled", "plus"))),
            (
                9,
                changed(Snapshot {
                    user: user("account"),
                    ..sub("canceled", "plus")
                }),
            ),
        ];
        check(&ended, Some("account"));
    }

    #[test]
    fn the_latest_word_of_the_customers_metadata_counts() {
        let story = [
            (0, created(bare())),
            (5, customer("a")),
            (10, customer("b")),
            (15, customer("")),
        ];
        check(&story, Some("b"));
        check(&story[..2], Some("a"));
        // A word of the customer's counts before what its other objects say, also earlier ones.
        let other = (1, other_session(user("other"), None));
        check(&[story[0].clone(), other.clone()], Some("other"));
        check(&[story[0].clone(), other, story[3].clone()], Some("other"));
        check(
            &[
                story[0].clone(),
                (1, other_session(user("other"), None)),
                story[1].clone(),
            ],
            Some("a"),
        );
    }

    #[test]
    fn what_was_purchased_before_a_hand_over_of_the_customer_stays_with_the_user_of_that_time() {
        let all = facts(&[
            (5, customer("a")),
            (8, customer("a")),
            (10, customer("b")),
            (20, customer("a")),
        ]);
        let claim = Account::fold(&all.iter().collect::<Vec<_>>()).claim.expect("a claim");
        let user_at = |at: i64| claim.user_at(T0 + at).as_str();
        assert_eq!(
            [0, 5, 9, 10, 19, 20, 99].map(user_at),
            ["a", "a", "a", "b", "b", "a", "a"]
        );
        // New facts one by one give the same.
        let mut account = Account::default();
        for fact in &all {
            account = account.advance(&[fact]).expect("it is newer");
        }
        assert_eq!(account.claim.as_ref(), Some(&claim));
        assert_eq!(account.advance(&[&all[1]]), None, "it may have come in between");
    }

    #[test]
    fn a_later_snapshot_without_a_user_does_not_remove_the_user() {
        let story = [
            (0, created(named("u1"))),
            (1, changed(bare())),
            (2, deleted(sub("canceled", "plus"))),
        ];
        check(&story, Some("u1"));
    }

    #[test]
    fn each_subscription_of_a_customer_keeps_its_own_user() {
        let story = [(0, created(named("u1"))), (1, of("sub_2", created(named("u2"))))];
        let users: Vec<_> = fold_all(&story)
            .into_iter()
            .map(|s| (s.id.to_string(), s.user))
            .collect();
        assert_eq!(users, [("sub_1".into(), user("u1")), ("sub_2".into(), user("u2"))]);
    }
}

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
