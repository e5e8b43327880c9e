//! Stored packs, and the differences between them and the facts.

use super::{packs, tests::check};
use crate::{
    domain::{
        fact::{Fact, FactBody, Grant, SessionFact, SessionStep},
        ids::{AccountId, EventId, UserId},
        subscription::account::fold_all,
    },
    store::audit::credits::StoredPack,
};
use std::collections::BTreeSet;

/// The sessions `cs_0` and `cs_1` of `cus_1`. `cs_0` names `u1`; `cs_1` buys a pack and names `user`.
fn bought(user: Option<&str>) -> [Fact; 2] {
    let fact = |id: &str, session: &str, user: Option<&str>, grant: Option<Grant>| Fact {
        event_id: EventId::new(id),
        created: 0,
        account: AccountId::new("cus_1"),
        body: FactBody::Session(SessionFact {
            session: session.to_owned(),
            step: SessionStep::Completed,
            mode: "payment".to_owned(),
            payment_status: "paid".to_owned(),
            subscription: None,
            user: user.map(UserId::new),
            reference: None,
            payment_intent: Some("pi_1".to_owned()),
            amount_total: Some(1_000),
            currency: None,
            invoice: None,
            grants: grant.into_iter().collect(),
        }),
    };
    let grant = Grant {
        pack: "small".to_owned(),
        meter: "tokens".to_owned(),
        credits: 30,
    };
    [
        fact("evt_0", "cs_0", Some("u1"), None),
        fact("evt_1", "cs_1", user, Some(grant)),
    ]
}

#[test]
fn a_pack_is_compared_column_by_column() {
    let row = |user: Option<&str>, names_user| StoredPack {
        sale: "cs_1".to_owned(),
        account: "cus_1".to_owned(),
        payment: Some("pi_1".to_owned()),
        user: user.map(str::to_owned),
        names_user,
    };
    let found = |facts: &[Fact], rows: &[StoredPack]| packs(&fold_all(facts), facts, rows, &BTreeSet::new());
    check(&found(&bought(None), &[row(Some("u1"), false)]), &[]);
    check(&found(&bought(Some("u2")), &[row(Some("u2"), true)]), &[]);
    check(
        &found(&bought(Some("u2")), &[row(Some("u1"), false)]),
        &[
            "pack of cs_1: names_user is false, the events say true",
            "pack of cs_1: user_id is 'u1', the events say 'u2'",
        ],
    );
    let moved = StoredPack {
        account: "cus_2".to_owned(),
        payment: None,
        ..row(Some("u1"), false)
    };
    check(
        &found(&bought(None), &[moved]),
        &[
            "pack of cs_1: account is 'cus_2', the events say 'cus_1'",
            "pack of cs_1: payment is none, the events say 'pi_1'",
        ],
    );
    check(
        &found(&bought(None), &[]),
        &["pack of cs_1: there is no row, but account cus_1 has events for it"],
    );
    check(
        &found(&bought(None)[..1], &[row(None, false)]),
        &["pack of cs_1: there is a row of account cus_1, but that account has no event for it"],
    );
    let waits = BTreeSet::from(["cus_1"]);
    let facts = bought(Some("u2"));
    check(&packs(&fold_all(&facts), &facts, &[row(None, false)], &waits), &[]);
}
