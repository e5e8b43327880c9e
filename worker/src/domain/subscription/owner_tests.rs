//! The user of a subscription: who names one, and who counts.

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
