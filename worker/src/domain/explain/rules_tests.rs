//! The words for hand-overs, returned money, ends that nobody told of, held changes, several
//! items and periods that a change cuts short.

use super::{
    Explanation,
    explain_user::tests::{basic, explained},
};
use crate::domain::{
    explain::{ExplainRequest, HistoryEntry, Moment, explain},
    fact::{CustomerFact, Fact, FactBody, InvoiceStep, Plan, Seconds, Snapshot, SubscriptionItem},
    ids::UserId,
    testkit::{
        DAY, T0, TimedFact, changed, created, days, disputed, facts, invoice, month, plan, refund_failed, refunded,
        sub, user,
    },
};
use std::collections::BTreeMap;

/// The words of the last entry of `sub_1`.
fn last(explanation: &Explanation) -> Vec<String> {
    let entry = explanation.subscriptions[0].entries.last().expect("an entry");
    entry.changes.iter().map(|c| c.words.clone()).collect()
}

fn owned(user_id: &str, tier: &str) -> Snapshot {
    Snapshot {
        user: user(user_id),
        ..sub("active", tier)
    }
}

/// The first invoice of month 0, of 10.00, which `pi_1` paid.
fn first_invoice() -> FactBody {
    let mut first = invoice("in_1", InvoiceStep::Paid, "subscription_create", month(0));
    first.payment_intent = Some("pi_1".to_owned());
    FactBody::Invoice(first)
}

const MONTH: &str = "2023-11-14T22:13:20Z to 2023-12-14T22:13:20Z";

/// What is told to a user of these facts, two days later.
fn told(facts: &[Fact], name: &str) -> Explanation {
    let request = ExplainRequest {
        user: &UserId::new(name),
        at: T0 + 2 * DAY,
        is_past: true,
        free_tier: "free",
        types: &BTreeMap::new(),
    };
    explain(facts, &[], &request).expect("a known user")
}

const HANDED: &str = "It was handed over from u2 to u1 at 2023-11-15T22:13:20Z. What was used and bought before stays \
                      with u2; the period that ran then is divided between both by time.";

#[test]
fn a_hand_over_names_both_users() {
    let mut canceling = owned("u1", "plus");
    canceling.cancel_at_period_end = true;
    let events = facts(&[
        (0, created(owned("u2", "plus"))),
        (DAY, changed(owned("u1", "plus"))),
        (DAY + 60, changed(canceling)),
    ]);
    let new = told(&events, "u1");
    let handed = "handed over from u2 to u1, by metadata.user_id of the subscription; what was used and bought stays \
                  with u2, and the running period is divided between both by time";
    let words = |e: &HistoryEntry| e.changes.last().map(|c| c.words.clone());
    assert_eq!(words(&new.subscriptions[0].entries[1]).as_deref(), Some(handed));
    assert_eq!(new.subscriptions[0].notes, [HANDED]);
    assert_eq!(new.subscriptions[0].entries.len(), 3);
    let old = told(&events, "u2");
    assert_eq!(
        old.subscriptions[0].notes,
        [HANDED, "It belongs to u1 now, so it does not count here."]
    );
    assert_eq!(
        old.summary,
        [
            "u2 may use free only.",
            "Subscription sub_1 was handed over to u1 at 2023-11-15T22:13:20Z."
        ]
    );
    // What happens later is no business of the old user.
    let last = old.subscriptions[0].entries.last();
    assert_eq!(last.and_then(words).as_deref(), Some(handed));
    let meter = |told: &Explanation| -> Vec<String> { told.meters[0].lines.iter().map(|l| l.words.clone()).collect() };
    assert_eq!(
        meter(&old),
        [
            format!("period of sub_1, {MONTH}: 1,000 are included"),
            "from here on nothing is included (the subscription was handed over)".to_owned(),
            format!(
                "sub_1 was handed over to u1 by evt_00002: 33 were this user's part of the period {MONTH}, and what is \
                 left of it lapses"
            ),
        ]
    );
    assert_eq!(
        meter(&new),
        [
            format!(
                "period of sub_1, {MONTH}: 29 days at 1,000 (of 30 days): 966 are included (the subscription was handed \
                 over to this user at 2023-11-15T22:13:20Z)"
            ),
            // Its end is known from then on.
            "from here on 29 days at 1,000 (of 30 days): 966 are included".to_owned(),
        ]
    );
}

#[test]
fn a_hand_over_of_a_customer_and_one_that_only_its_own_event_shows_are_told_too() {
    let customer = |name: &str| FactBody::Customer(CustomerFact { user: user(name) });
    let by_customer = facts(&[
        (0, customer("u2")),
        (0, created(sub("active", "plus"))),
        (DAY, customer("u1")),
    ]);
    let alone: Vec<Fact> =
        facts(&[(0, created(owned("u2", "plus"))), (DAY, changed(owned("u1", "plus")))]).split_off(1);
    for events in [by_customer, alone] {
        let (old, new) = (told(&events, "u2"), told(&events, "u1"));
        assert_eq!(old.subscriptions[0].notes[0], HANDED);
        assert_eq!(new.subscriptions[0].notes, [HANDED]);
        let last = old.subscriptions[0].entries.last().expect("an entry");
        let words = last.changes.last().map_or("", |c| &c.words);
        assert!(
            words.starts_with("handed over from u2 to u1, by metadata.user_id of the "),
            "{words}"
        );
        assert_eq!(last.at, Moment(T0 + DAY));
    }
}

#[test]
fn a_refunded_invoice_says_what_it_means() {
    let returned = format!(
        "the money of in_1 went back: the period {MONTH} counts as not paid: no grace after a downgrade, and nothing of \
         it rolls over; the access stays"
    );
    let bought = [(0, created(sub("active", "max"))), (1, first_invoice())];
    let after = |more: &[TimedFact], at: Seconds| explained(&[&bought[..], more].concat(), at);
    let refund = after(&[(DAY, refunded("1", 1_000))], 2 * DAY);
    assert_eq!(last(&refund), std::slice::from_ref(&returned));
    let note = format!("The{}.", returned.strip_prefix("the").expect("the words"));
    assert_eq!(refund.subscriptions[0].notes, [note]);
    assert_eq!(refund.summary[0], "u1 may use max.");
    // Only a part of the money is no return.
    let part = after(&[(DAY, refunded("1", 999))], 2 * DAY);
    assert_eq!(part.subscriptions[0].notes, [] as [String; 0]);
    // A downgrade before or after it leaves no grace.
    let downgraded = after(&[(DAY, refunded("1", 1_000)), (2 * DAY, basic())], 3 * DAY);
    assert_eq!(
        last(&downgraded),
        [
            "tier max -> basic",
            "no grace for max: the money of its period went back",
            "gives basic (before: max)",
        ]
    );
    let ended = after(&[(DAY, basic()), (2 * DAY, refunded("1", 1_000))], 3 * DAY);
    assert_eq!(
        last(&ended),
        [
            returned.clone(),
            "grace of max ends: the money of its period went back".to_owned(),
            "gives basic (before: max)".to_owned(),
        ]
    );
    let failed = [
        (DAY, basic()),
        (2 * DAY, refunded("1", 1_000)),
        (3 * DAY, refund_failed("1", "re_1", 1_000)),
    ];
    assert_eq!(
        last(&after(&failed, 4 * DAY)),
        [
            format!("the money of in_1 is there again: the period {MONTH} counts as paid"),
            "grace begins: max until 2023-12-14T22:13:20Z; the money of the period of the downgrade at \
             2023-11-15T22:13:20Z is there again"
                .to_owned(),
            "gives max (before: basic)".to_owned(),
        ]
    );
    let lost = after(&[(DAY, disputed("1", "dp_1", 860, true))], 2 * DAY);
    assert_eq!(last(&lost), [returned]);
}

#[test]
fn an_end_that_nobody_told_of_has_an_entry_and_a_sentence() {
    let canceled = Snapshot {
        cancel_at_period_end: true,
        ..sub("active", "plus")
    };
    let events = [(0, created(canceled))];
    let in_time = explained(&events, 30 * DAY + 3_599);
    assert_eq!(in_time.summary[0], "u1 may use plus.");
    let over = explained(&events, 30 * DAY + 3_600);
    assert_eq!(
        over.summary,
        [
            "u1 may use free only.",
            "Subscription sub_1 (plus) is active; its period ends at 2023-12-14T22:13:20Z.",
            "It should have ended an hour before 2023-12-14T23:13:20Z, and no event says that it goes on.",
        ]
    );
    let row = over.entitlement.as_ref().expect("a row");
    assert_eq!((row.entitled, row.effective_tier.as_str()), (false, "free"));
    assert_eq!(
        last(&over),
        [
            "it counts as ended, although no event says so",
            "gives free (before: plus)",
        ]
    );
}

#[test]
fn a_grace_ends_with_an_end_that_nobody_told_of() {
    let canceled = Snapshot {
        cancel_at: Some(T0 + 20 * DAY),
        ..sub("active", "basic")
    };
    let events = [(0, created(sub("active", "max"))), (DAY, changed(canceled))];
    let access = |at: Seconds| {
        let explanation = explained(&events, at);
        let changes = explanation.subscriptions[0].entries.iter().flat_map(|e| &e.changes);
        let gives = changes.filter(|c| c.words.starts_with("gives"));
        gives.map(|c| c.words.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        access(40 * DAY),
        ["gives max (before: free)", "gives free (before: max)"]
    );
}

#[test]
fn a_held_change_names_what_changes() {
    let other = |plan: Plan| {
        changed(Snapshot {
            plan: Some(plan),
            latest_invoice: Some("in_up".to_owned()),
            ..sub("past_due", "plus")
        })
    };
    let failed = FactBody::Invoice(invoice("in_up", InvoiceStep::Failed, "subscription_update", month(0)));
    for (new, change) in [
        (
            Plan {
                price: "price_year".to_owned(),
                ..plan("plus")
            },
            "from price price_plus to price_year",
        ),
        (
            Plan {
                quantity: 5,
                ..plan("plus")
            },
            "from quantity 1 to 5",
        ),
        (plan("max"), "from plus to max"),
    ] {
        let events = [
            (0, created(sub("active", "plus"))),
            (DAY, other(new)),
            (DAY + 5, failed.clone()),
        ];
        let explanation = explained(&events, 2 * DAY);
        let sentence = format!(
            "Its change {change} does not count until in_up or the invoice of a later period is paid; that payment failed."
        );
        assert_eq!(explanation.summary[2], sentence);
    }
}

#[test]
fn of_several_items_the_note_names_the_plan() {
    let item = |id: &str, price: &str| SubscriptionItem {
        item: id.to_owned(),
        price: price.to_owned(),
        quantity: Some(1),
        interval: None,
        period: None,
    };
    let with_items = |items: Vec<SubscriptionItem>| Snapshot {
        plan: Some(Plan {
            item: Some("si_1".to_owned()),
            ..plan("max")
        }),
        items,
        ..sub("active", "max")
    };
    let notes = |items| {
        explained(&[(0, created(with_items(items)))], DAY).subscriptions[0]
            .notes
            .clone()
    };
    assert_eq!(notes(vec![item("si_1", "price_max")]), [] as [String; 0]);
    assert_eq!(
        notes(vec![item("si_2", "price_addon"), item("si_1", "price_max")]),
        ["Its plan is the item with the price price_max; the other items change nothing: price_addon."]
    );
}

#[test]
fn a_new_period_says_which_one_it_cuts_short() {
    let early = Snapshot {
        period: Some(days(10, 40)),
        ..sub("active", "plus")
    };
    let events = [(0, created(sub("active", "plus"))), (10 * DAY, changed(early))];
    assert_eq!(
        last(&explained(&events, 11 * DAY)),
        ["period 2023-11-24T22:13:20Z to 2023-12-24T22:13:20Z; it cuts the period until 2023-12-14T22:13:20Z short"]
    );
}
