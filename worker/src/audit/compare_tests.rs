//! Stored rows, events, and the differences between them.

use super::{Difference, accounts, entitlements, outdated, read, rows, subscriptions, users};
use crate::{
    domain::{
        fact::{Fact, FactBody, Period, Phase, Plan, Snapshot, SubscriptionFact},
        ids::{AccountId, EventId, SubscriptionId, UserId},
        moment::Moment,
        subscription::{
            account::{Account, fold_all},
            entitlement::{Entitlement, over_time},
            state::{Subscription, VERSION},
        },
    },
    store::audit::stored::{StoredAccount, StoredEntitlement, StoredFact, StoredSubscription},
};
use std::collections::{BTreeMap, BTreeSet};

/// `cus_1` has `sub_1`, an active plus of `u1`.
fn fact() -> Fact {
    let plan = Plan {
        price: "price_plus".to_owned(),
        item: None,
        quantity: 1,
        interval: None,
        tier: "plus".to_owned(),
        rank: 2,
        limits: BTreeMap::new(),
        month_limits: None,
        trial_limits: None,
        caps: BTreeMap::new(),
        unprorated: BTreeSet::new(),
    };
    let now = Snapshot {
        customer: Some("cus_1".to_owned()),
        user: Some(UserId::new("u1")),
        status: "active".to_owned(),
        plan: Some(plan),
        items: Vec::new(),
        period: Some(Period { start: 0, end: 86_400 }),
        cancel_at_period_end: false,
        cancel_at: None,
        canceled_at: None,
        trial_end: None,
        latest_invoice: None,
        subscribed_at: 0,
        collection_paused: false,
    };
    let body = SubscriptionFact {
        subscription: SubscriptionId::new("sub_1"),
        phase: Phase::Created,
        now,
        before: None,
        request: None,
        digests: None,
    };
    Fact {
        event_id: EventId::new("evt_1"),
        created: 0,
        account: AccountId::new("cus_1"),
        body: FactBody::Subscription(Box::new(body)),
    }
}

fn folded() -> BTreeMap<AccountId, Account> {
    fold_all(&[fact()])
}

fn stored_fact() -> StoredFact {
    StoredFact {
        event_id: "evt_1".to_owned(),
        account: "cus_1".to_owned(),
        created: 0,
        body: serde_json::to_string(&fact()).expect("a fact"),
    }
}

fn stored_account() -> StoredAccount {
    let account = &folded()[&AccountId::new("cus_1")];
    StoredAccount {
        account: "cus_1".to_owned(),
        claim: Some(serde_json::to_string(&account.claim).expect("a claim")),
        has_returns: false,
        version: None,
    }
}

/// The row of `sub_1`, its state changed.
fn stored_subscription(change: fn(&mut Subscription)) -> StoredSubscription {
    let mut state = folded()[&AccountId::new("cus_1")].subscriptions[0].clone();
    change(&mut state);
    StoredSubscription {
        id: "sub_1".to_owned(),
        account: "cus_1".to_owned(),
        user: Some("u1".to_owned()),
        past_users: Vec::new(),
        state: serde_json::to_string(&state).expect("a state"),
    }
}

#[track_caller]
fn check(found: &[Difference], expected: &[&str]) {
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_fact_whose_columns_contradict_its_body_is_reported() {
    let (facts, found) = read(&[stored_fact()]);
    assert_eq!((facts, found), (vec![fact()], Vec::new()));
    let moved = StoredFact {
        account: "cus_2".to_owned(),
        created: 1,
        ..stored_fact()
    };
    let broken = StoredFact {
        body: "{}".to_owned(),
        ..stored_fact()
    };
    let (facts, found) = read(&[moved, broken]);
    assert!(facts.is_empty());
    check(
        &found,
        &[
            "fact of evt_1: account is 'cus_2', the events say 'cus_1'",
            "fact of evt_1: created is '1970-01-01T00:00:01Z', the events say '1970-01-01T00:00:00Z'",
            "fact of evt_1: its body cannot be read: missing field `event_id` at line 1 column 2",
        ],
    );
}

#[test]
fn an_account_has_a_row_with_its_owner_claim() {
    let none = BTreeSet::new();
    check(&accounts(&folded(), &[stored_account()], &none), &[]);
    check(
        &accounts(&folded(), &[], &none),
        &["account cus_1: there is no row, but there are events for it"],
    );
    check(
        &accounts(&BTreeMap::new(), &[stored_account()], &none),
        &["account cus_1: there is a row, but no event for it"],
    );
    let claims = |claim: Option<&str>| StoredAccount {
        claim: claim.map(str::to_owned),
        ..stored_account()
    };
    let other = stored_account().claim.map(|c| c.replace("u1", "u2"));
    check(
        &accounts(&folded(), &[claims(other.as_deref())], &none),
        &["account cus_1: owner_claim.user is 'u2', the events say 'u1'"],
    );
    check(
        &accounts(&folded(), &[claims(Some("{}"))], &none),
        &["account cus_1: its owner claim cannot be read: missing field `source` at line 1 column 2"],
    );
    let missing = accounts(&folded(), &[claims(None)], &none);
    assert_eq!(missing.len(), 1);
    assert!(
        missing[0]
            .to_string()
            .starts_with("account cus_1: owner_claim is none, the events say {"),
        "{missing:?}"
    );
    let waits = BTreeSet::from(["cus_1"]);
    check(&accounts(&folded(), &[claims(None)], &waits), &[]);
}

#[test]
fn a_subscription_has_a_row_with_its_state() {
    let row = || stored_subscription(|_| ());
    check(&subscriptions(&folded(), &[row()]), &[]);
    check(
        &subscriptions(&folded(), &[]),
        &["subscription sub_1: there is no row, but account cus_1 has events for it"],
    );
    check(
        &subscriptions(&BTreeMap::new(), &[row()]),
        &["subscription sub_1: there is a row of account cus_1, but that account has no event for it"],
    );
    let moved = StoredSubscription {
        account: "cus_2".to_owned(),
        user: None,
        past_users: vec!["u0".to_owned()],
        ..row()
    };
    check(
        &subscriptions(&folded(), &[moved]),
        &[
            "subscription sub_1: account is 'cus_2', the events say 'cus_1'",
            r#"subscription sub_1: past_users is ["u0"], the events say []"#,
            "subscription sub_1: user_id is none, the events say 'u1'",
        ],
    );
    let changed = stored_subscription(|s| {
        s.ever_paid = true;
        s.period = None;
        if let Some(latest) = &mut s.latest {
            "canceled".clone_into(&mut latest.status);
        }
    });
    check(
        &subscriptions(&folded(), &[changed]),
        &[
            "state of subscription sub_1: ever_paid is true, the events say false",
            "state of subscription sub_1: latest.status is 'canceled', the events say 'active'",
            r#"state of subscription sub_1: period is none, the events say {"end":86400,"start":0}"#,
        ],
    );
    let broken = StoredSubscription {
        state: format!(r#"{{"version":{VERSION}}}"#),
        ..row()
    };
    check(
        &subscriptions(&folded(), &[broken]),
        &["state of subscription sub_1: it cannot be read: missing field `id` at line 1 column 13"],
    );
}

#[test]
fn a_state_of_another_version_must_be_migrated_first() {
    let older = stored_subscription(|s| (s.version, s.ever_paid) = (0, true));
    assert!(outdated(&older) && !outdated(&stored_subscription(|_| ())));
    let what = format!("subscription sub_1: its state is of another version than {VERSION}; run `worker migrate`");
    check(&subscriptions(&folded(), &[older]), &[&what]);
}

#[test]
fn users_are_found_by_events_and_by_rows() {
    let other = StoredSubscription {
        user: Some("u2".to_owned()),
        ..stored_subscription(|_| ())
    };
    assert_eq!(users(&folded(), &[other]), [UserId::new("u1"), UserId::new("u2")]);
}

#[test]
fn an_entitlement_is_compared_column_by_column() {
    let user = UserId::new("u1");
    let accounts = folded();
    let subscriptions: Vec<&Subscription> = accounts.values().flat_map(|a| &a.subscriptions).collect();
    let expected = over_time(&user, &subscriptions, "free");
    let same = rows(&expected).remove(0);
    check(&entitlements(&user, &[], &[], false), &[]);
    check(&entitlements(&user, &[&same], &expected, true), &[]);
    check(
        &entitlements(&user, &[], &expected, false),
        &["entitlement of u1: there is no row, the events say 'plus' with status 'active'"],
    );
    check(
        &entitlements(&user, &[&same], &[], false),
        &["entitlement of u1: there is a row ('plus'), but no event gives this user a subscription"],
    );
    let later = StoredEntitlement {
        since: Some(Moment(7)),
        ..same.clone()
    };
    check(
        &entitlements(&user, &[&same, &later], &expected, false),
        &["entitlement of u1 from 1970-01-01T00:00:07Z: there is a row ('plus'), but nothing changes then"],
    );
    let changed = StoredEntitlement {
        tier: "max".to_owned(),
        current_period_end: None,
        highest_rank: Some(3),
        ..same
    };
    check(
        &entitlements(&user, &[&changed], &expected, false),
        &[
            "entitlement of u1: current_period_end is none, the events say '1970-01-02T00:00:00Z'",
            "entitlement of u1: highest_rank is 3, the events say 2",
            "entitlement of u1: tier is 'max', the events say 'plus'",
        ],
    );
}

#[test]
fn a_user_with_balances_alone_has_a_row_with_status_none() {
    let user = UserId::new("u1");
    let none = rows(&[Entitlement::without_subscription(&user, "free")]).remove(0);
    check(&entitlements(&user, &[&none], &[], true), &[]);
    check(
        &entitlements(&user, &[], &[], true),
        &["entitlement of u1: there is no row, the events say 'free' with status 'none'"],
    );
    check(
        &entitlements(&user, &[&none], &[], false),
        &["entitlement of u1: there is a row ('free'), but no event gives this user a subscription"],
    );
    let forged = StoredEntitlement {
        entitled: true,
        base_tier: "max".to_owned(),
        ..none
    };
    check(
        &entitlements(&user, &[&forged], &[], true),
        &[
            "entitlement of u1: base_tier is 'max', the events say 'free'",
            "entitlement of u1: entitled is true, the events say false",
        ],
    );
}
