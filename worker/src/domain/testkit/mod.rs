//! Builders of facts, and of stories: lists of facts with their times.
//!
//! Example: `[(0, created(sub("active", "max"))), (DAY, changed(sub("active", "basic")))]`
//! is a subscription that begins with Max at [`T0`] and changes to Basic a day later.

mod money;

pub(super) use money::{disputed, pack, refund_failed, refunded};

use super::{
    fact::{
        BillingInterval, BillingReason, Fact, FactBody, IntervalUnit, InvoiceFact, InvoiceItemFact, InvoiceLine,
        InvoiceStep, Period, Phase, Plan, Seconds, SessionFact, SessionStep, Snapshot, SubscriptionFact,
    },
    ids::{AccountId, EventId, SubscriptionId, UserId},
    subscription::{
        account::Account,
        entitlement::{self, Entitlement},
        state::Subscription,
    },
};
use proptest::{prelude::ProptestConfig, test_runner::RngSeed};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{BuildHasher, RandomState},
};

pub(super) const DAY: Seconds = 86_400;
/// The begin of every story, in seconds since 1970. Times of a story count from it.
pub(super) const T0: Seconds = 1_700_000_000;

/// A fact's time in seconds after [`T0`], and its content.
pub(super) type TimedFact = (Seconds, FactBody);

/// The monthly plan of a tier of the shipped catalog.
pub(super) fn plan(tier: &str) -> Plan {
    let ranks = ["free", "basic", "plus", "max"];
    let rank = ranks.iter().position(|t| *t == tier).expect("a shipped tier");
    Plan {
        price: format!("price_{tier}"),
        item: None,
        quantity: 1,
        interval: None,
        tier: tier.to_owned(),
        rank: i32::try_from(rank).expect("a small rank"),
        limits: BTreeMap::from([("tokens".to_owned(), Some(1_000))]),
        month_limits: None,
        trial_limits: None,
        caps: BTreeMap::from([("tokens".to_owned(), 2_000)]),
        unprorated: BTreeSet::new(),
    }
}

/// The period between two days, counted from [`T0`].
pub(super) fn days(start: i64, end: i64) -> Period {
    Period {
        start: T0 + start * DAY,
        end: T0 + end * DAY,
    }
}

/// The month with this number, from 0. Months have 30 days here.
pub(super) fn month(number: i64) -> Period {
    days(30 * number, 30 * (number + 1))
}

/// A snapshot in month 0, without metadata.
pub(super) fn sub(status: &str, tier: &str) -> Snapshot {
    Snapshot {
        customer: Some("cus_1".to_owned()),
        user: None,
        status: status.to_owned(),
        plan: Some(plan(tier)),
        items: Vec::new(),
        period: Some(month(0)),
        cancel_at_period_end: false,
        cancel_at: None,
        canceled_at: None,
        trial_end: None,
        latest_invoice: None,
        subscribed_at: T0,
        collection_paused: false,
    }
}

/// An active snapshot of this tier, in this period.
pub(super) fn active(tier: &str, period: Period) -> Snapshot {
    Snapshot {
        period: Some(period),
        ..sub("active", tier)
    }
}

/// A user's id; `None` for an empty text.
pub(super) fn user(id: &str) -> Option<UserId> {
    (!id.is_empty()).then(|| UserId::new(id))
}

fn subscription_body(phase: Phase, now: Snapshot) -> FactBody {
    FactBody::Subscription(Box::new(SubscriptionFact {
        subscription: SubscriptionId::new("sub_1"),
        phase,
        now,
        before: None,
        request: None,
        digests: None,
    }))
}

pub(super) fn created(now: Snapshot) -> FactBody {
    subscription_body(Phase::Created, now)
}

/// A change. [`facts`] adds the state before it.
pub(super) fn changed(now: Snapshot) -> FactBody {
    subscription_body(Phase::Changed, now)
}

pub(super) fn deleted(now: Snapshot) -> FactBody {
    subscription_body(Phase::Deleted, now)
}

/// An answer of Stripe's API about `sub_1`, `at` seconds after [`T0`].
pub(super) fn read(at: Seconds, now: Snapshot) -> Fact {
    Fact {
        event_id: EventId::new(format!("snapshot:sub_1:{at}")),
        created: T0 + at,
        account: AccountId::new("cus_1"),
        body: subscription_body(Phase::Read, now),
    }
}

/// The same content for another subscription than `sub_1`.
pub(super) fn of(id: &str, mut body: FactBody) -> FactBody {
    let id = SubscriptionId::new(id);
    match &mut body {
        FactBody::Subscription(s) => s.subscription = id,
        FactBody::Session(s) => s.subscription = Some(id),
        FactBody::Invoice(s) => s.subscription = Some(id),
        FactBody::InvoiceItem(s) => s.subscription = Some(id),
        FactBody::ChargeRefunded(_)
        | FactBody::RefundFailed(_)
        | FactBody::Dispute(_)
        | FactBody::Customer(_)
        | FactBody::InvoicePayment(_) => {
            panic!("it names no subscription")
        }
    }
    body
}

/// An invoice of 10.00 for a period.
pub(super) fn invoice(id: &str, step: InvoiceStep, reason: &str, pays_for: Period) -> InvoiceFact {
    InvoiceFact {
        invoice: id.to_owned(),
        step,
        subscription: Some(SubscriptionId::new("sub_1")),
        billing_reason: BillingReason(Some(reason.to_owned())),
        total: 1_000,
        period: None,
        lines: vec![InvoiceLine {
            item: None,
            price: None,
            amount: 1_000,
            proration: false,
            period: Some(pays_for),
            grant: None,
        }],
        lines_cut: false,
        payment_intent: None,
        charge: None,
        issued_by_self: false,
        request: None,
    }
}

/// The cycle invoice of a period is paid.
pub(super) fn renewed(pays_for: Period) -> FactBody {
    let id = format!("in_{}", pays_for.start);
    FactBody::Invoice(invoice(&id, InvoiceStep::Paid, "subscription_cycle", pays_for))
}

/// The payment of a period's cycle invoice failed.
pub(super) fn not_renewed(pays_for: Period) -> FactBody {
    let id = format!("in_{}", pays_for.start);
    FactBody::Invoice(invoice(&id, InvoiceStep::Failed, "subscription_cycle", pays_for))
}

/// A paid invoice of a change, with one proration line of this amount.
pub(super) fn prorated(amount: i64) -> FactBody {
    let mut invoice = invoice("in_change", InvoiceStep::Paid, "subscription_update", month(0));
    invoice.lines[0].amount = amount;
    invoice.lines[0].proration = true;
    invoice.total = amount.max(0);
    FactBody::Invoice(invoice)
}

pub(super) fn item(amount: i64, proration: bool) -> FactBody {
    FactBody::InvoiceItem(InvoiceItemFact {
        item: "ii_1".to_owned(),
        subscription: Some(SubscriptionId::new("sub_1")),
        amount,
        proration,
        request: None,
    })
}

/// The checkout session that started `sub_1`.
pub(super) fn session(user: Option<UserId>, reference: Option<UserId>) -> FactBody {
    FactBody::Session(SessionFact {
        session: "cs_1".to_owned(),
        step: SessionStep::Completed,
        mode: "subscription".to_owned(),
        payment_status: "paid".to_owned(),
        subscription: Some(SubscriptionId::new("sub_1")),
        user,
        reference,
        payment_intent: None,
        amount_total: None,
        currency: None,
        invoice: None,
        grants: Vec::new(),
    })
}

/// Another session of the same customer, without a subscription.
pub(super) fn other_session(user: Option<UserId>, reference: Option<UserId>) -> FactBody {
    match session(user, reference) {
        FactBody::Session(s) => FactBody::Session(SessionFact {
            session: "cs_2".to_owned(),
            mode: "payment".to_owned(),
            subscription: None,
            ..s
        }),
        other => other,
    }
}

/// The facts of a story. Each change gets the state before it, unless it has one. The event ids fall
/// with time, so that no test passes by their order alone.
pub(super) fn facts(story: &[TimedFact]) -> Vec<Fact> {
    let mut latest: HashMap<SubscriptionId, Snapshot> = HashMap::new();
    let mut facts = Vec::with_capacity(story.len());
    for (index, (at, body)) in story.iter().enumerate() {
        let mut body = body.clone();
        if let FactBody::Subscription(s) = &mut body {
            let before = latest.insert(s.subscription.clone(), s.now.clone());
            if s.phase == Phase::Changed {
                s.before = s.before.take().or(before);
            }
            s.request = Some(format!("req_{index}"));
        }
        facts.push(Fact {
            event_id: EventId::new(format!("evt_{:05}", story.len() - index)),
            created: T0 + at,
            account: AccountId::new("cus_1"),
            body,
        });
    }
    facts
}

/// All subscriptions of a story. Checks that the order of arrival does not matter.
pub(super) fn fold_all(story: &[TimedFact]) -> Vec<Subscription> {
    let facts = facts(story);
    let mut arrived: Vec<&Fact> = facts.iter().collect();
    let folded = Account::fold(&arrived).subscriptions;
    for turn in 0..facts.len() {
        arrived.rotate_left(1);
        assert_eq!(
            Account::fold(&arrived).subscriptions,
            folded,
            "arrived {turn} places later"
        );
        arrived.reverse();
        assert_eq!(
            Account::fold(&arrived).subscriptions,
            folded,
            "arrived backwards from {turn}"
        );
        arrived.reverse();
    }
    folded
}

/// `sub_1` at the end of a story.
pub(super) fn fold(story: &[TimedFact]) -> Subscription {
    fold_all(story)
        .into_iter()
        .find(|s| s.id.as_str() == "sub_1")
        .expect("the story has facts of sub_1")
}

/// The entitlement of `u1` at the end of a story, as the user of all subscriptions.
pub(super) fn entitlement(story: &[TimedFact]) -> Option<Entitlement> {
    let folded = fold_all(story);
    entitlement::of_user(&UserId::new("u1"), &folded.iter().collect::<Vec<_>>(), "free")
}

/// The plan of a price of the shipped catalog, by lookup key.
pub(super) fn shipped(key: &str) -> Plan {
    let (tier, interval) = key.split_once('_').expect("a shipped price");
    let (unit, times) = match interval {
        "yearly" => (IntervalUnit::Year, 12),
        _ => (IntervalUnit::Month, 1),
    };
    let (tokens, voice) = match tier {
        "basic" => (5_000_000, 0),
        "plus" => (10_000_000, 1_000_000),
        "max" => (15_000_000, 3_000_000),
        other => panic!("no tier '{other}' is shipped"),
    };
    let limits = [
        ("tokens", Some(tokens)),
        ("voice_chars", Some(voice)),
        ("basic_chars", None),
    ];
    let sells = |times: i64| {
        limits
            .map(|(meter, limit): (&str, Option<i64>)| (meter.to_owned(), limit.map(|l| times * l)))
            .into()
    };
    Plan {
        price: key.to_owned(),
        interval: Some(BillingInterval { unit, count: 1 }),
        limits: sells(times),
        month_limits: (times > 1).then(|| sells(1)),
        caps: [("tokens", 10_000_000), ("voice_chars", 1_000_000)]
            .map(|(meter, cap)| (meter.to_owned(), cap))
            .into(),
        ..plan(tier)
    }
}

/// An active snapshot of the user `u1` with this shipped price, in this period.
pub(super) fn has(key: &str, period: Period) -> Snapshot {
    Snapshot {
        user: user("u1"),
        plan: Some(shipped(key)),
        ..active("basic", period)
    }
}

/// A step of the cycle invoice between two periods.
pub(super) fn cycle(step: InvoiceStep, ended: Period, begins: Period) -> FactBody {
    let id = format!("in_{}", begins.start);
    let mut invoice = invoice(&id, step, "subscription_cycle", begins);
    invoice.period = Some(ended);
    FactBody::Invoice(invoice)
}

/// The configuration of a property test: this many cases, or `PROPTEST_CASES`. It
/// prints the run's seed, which cargo shows if the test fails. `PROPTEST_RNG_SEED`
/// repeats the run.
#[expect(clippy::print_stdout, reason = "a randomised test shows its seed")]
pub(super) fn random(cases: u32) -> ProptestConfig {
    const PROPTEST_DEFAULT: u32 = 256;
    let mut config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    if config.cases == PROPTEST_DEFAULT {
        config.cases = cases;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().hash_one(()));
    }
    println!("PROPTEST_RNG_SEED={} repeats this run", config.rng_seed);
    config
}
