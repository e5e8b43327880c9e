//! Properties of the fold over generated lives. The main one: the state depends on
//! the set of facts only. `PROPTEST_CASES` sets the number of lives;
//! `PROPTEST_RNG_SEED` repeats a run.

use crate::domain::{
    fact::{Digests, Fact, FactBody, InvoiceStep, Period, Snapshot},
    ids::{EventId, UserId},
    subscription::{
        account::Account,
        entitlement::{self, Entitlement},
        link::ClaimSource,
        order::Ordered,
        state::Subscription,
    },
    testkit::{
        DAY, T0, TimedFact, changed, created, deleted, facts, invoice, item, not_renewed, of, plan, prorated, random,
        renewed, session, sub, user,
    },
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::select,
};

#[path = "account_property_tests.rs"]
mod accounts;
#[path = "answer_property_tests.rs"]
mod answers;

/// A step in the life of a subscription.
#[derive(Debug, Clone)]
enum Act {
    Tier(&'static str),
    Status(&'static str),
    CancelAtEnd(bool),
    NextPeriod,
    NewYear,
    Metadata(&'static str),
    NothingWeRead,
    Renewed,
    PaidUpdate,
    Failed,
    /// An upgrade whose payment fails. The flag says whether the snapshot names the invoice.
    FailedUpgrade(&'static str, bool),
    /// The last failed invoice is paid.
    PaysFailed,
    CreditByItem,
    CreditByLine,
    Session,
}

impl Act {
    /// Whether Stripe sends a snapshot of the subscription for it.
    fn changes(&self) -> bool {
        !matches!(
            self,
            Self::Renewed
                | Self::PaidUpdate
                | Self::Failed
                | Self::PaysFailed
                | Self::CreditByItem
                | Self::CreditByLine
                | Self::Session
        )
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => select(vec!["free", "basic", "plus", "max"]).prop_map(Act::Tier),
        2 => Just(Act::Status("active")),
        2 => select(vec!["trialing", "past_due", "unpaid", "paused", "incomplete", "new_status"]).prop_map(Act::Status),
        1 => any::<bool>().prop_map(Act::CancelAtEnd),
        2 => Just(Act::NextPeriod),
        1 => Just(Act::NewYear),
        1 => select(vec!["u1", "u2"]).prop_map(Act::Metadata),
        1 => Just(Act::NothingWeRead),
        2 => select(vec![Act::Renewed, Act::PaidUpdate, Act::Failed]),
        2 => (select(vec!["plus", "max"]), any::<bool>()).prop_map(|(tier, named)| Act::FailedUpgrade(tier, named)),
        1 => Just(Act::PaysFailed),
        1 => select(vec![Act::CreditByItem, Act::CreditByLine, Act::Session]),
    ]
}

/// The seconds since the act before, often zero.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => 1..90_i64, 3 => DAY..20 * DAY]
}

/// Whether a life may return within one second to a state that it had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    Never,
    Perhaps,
}

/// The facts of a life, in the order in which they happened.
fn life(returns: Returns) -> impl Strategy<Value = Vec<TimedFact>> {
    let begins = select(vec!["trialing", "active", "incomplete"]);
    (begins, vec((pause(), act()), 1..14), any::<bool>())
        .prop_map(move |(status, acts, ends)| live(status, &acts, ends, returns))
}

fn live(status: &str, acts: &[(i64, Act)], ends: bool, returns: Returns) -> Vec<TimedFact> {
    let mut now = sub(status, "plus");
    let mut at = 0;
    let mut failed = "in_0".to_owned();
    let mut story = vec![(at, created(now.clone()))];
    for (number, (pause, act)) in acts.iter().enumerate() {
        let id = format!("in_{number}");
        if act.changes() {
            at += pause;
            change(&mut now, act, T0 + at);
            let named = matches!(act, Act::FailedUpgrade(_, true));
            if named || returns == Returns::Never && !matches!(act, Act::NothingWeRead) {
                now.latest_invoice = Some(id.clone());
            }
            story.push((at, changed(now.clone())));
        }
        let period = now.period.expect("every snapshot here has one");
        if let Some(body) = other_fact(act, &id, &failed, period) {
            // Within a second, invoices come before snapshots. So an invoice after a
            // snapshot needs a later second.
            at += pause.max(&1);
            story.push((at, body));
        }
        if matches!(act, Act::FailedUpgrade(..)) {
            failed = id;
        }
    }
    if ends {
        "canceled".clone_into(&mut now.status);
        story.push((at, deleted(now)));
    }
    story
}

fn change(now: &mut Snapshot, act: &Act, at: i64) {
    match act {
        Act::Tier(tier) | Act::FailedUpgrade(tier, _) => now.plan = Some(plan(tier)),
        Act::Status(status) => (*status).clone_into(&mut now.status),
        Act::CancelAtEnd(flag) => now.cancel_at_period_end = *flag,
        Act::Metadata(id) => now.user = user(id),
        Act::NextPeriod => {
            now.period = now.period.map(|p| Period {
                start: p.end,
                end: p.end + 30 * DAY,
            });
        }
        Act::NewYear => {
            now.period = Some(Period {
                start: at,
                end: at + 365 * DAY,
            });
        }
        _ => {}
    }
}

/// The fact of an act that is not a snapshot, if any.
fn other_fact(act: &Act, id: &str, failed: &str, period: Period) -> Option<FactBody> {
    let update = |id, step| FactBody::Invoice(invoice(id, step, "subscription_update", period));
    Some(match act {
        Act::Renewed => renewed(period),
        Act::PaidUpdate => update(id, InvoiceStep::Paid),
        Act::FailedUpgrade(..) => update(id, InvoiceStep::Failed),
        Act::PaysFailed => update(failed, InvoiceStep::Paid),
        Act::Failed => not_renewed(period),
        Act::CreditByItem => item(-300, true),
        Act::CreditByLine => prorated(-300),
        Act::Session => session(user("u1"), user("u2")),
        _ => return None,
    })
}

/// The facts of a story, with ids that do not show their order.
fn scattered(story: &[TimedFact], salt: u32) -> Vec<Fact> {
    let mut facts = facts(story);
    for (number, fact) in (1_u32..).zip(&mut facts) {
        fact.event_id = EventId::new(format!("evt_{:08x}", number.wrapping_mul(0x9E37_79B1) ^ salt));
    }
    facts
}

/// The same facts with digests of whole objects; no object occurs twice.
fn with_digests(mut facts: Vec<Fact>) -> Vec<Fact> {
    let mut latest = std::collections::HashMap::new();
    for (now, fact) in (1..).zip(&mut facts) {
        if let FactBody::Subscription(s) = &mut fact.body {
            let last = latest.insert(s.subscription.clone(), now);
            let before = if s.before.is_some() { last } else { None };
            s.digests = Some(Digests { before, now });
        }
    }
    facts
}

/// Facts in the order in which they happened, and in the order of arrival.
fn arrivals(stories: impl Strategy<Value = Vec<TimedFact>>) -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    (stories, any::<u32>(), any::<bool>()).prop_flat_map(|(story, salt, digests)| {
        let facts = scattered(&story, salt);
        let facts = if digests { with_digests(facts) } else { facts };
        (Just(facts.clone()), Just(facts).prop_shuffle())
    })
}

/// Facts as they arrive, in batches.
fn batches() -> impl Strategy<Value = Vec<Vec<Fact>>> {
    (arrivals(two_lives()), vec(1..5_usize, 40)).prop_map(|((_, arrived), sizes)| {
        let mut rest = arrived.as_slice();
        let mut batches = Vec::new();
        for size in sizes {
            let (batch, later) = rest.split_at(size.min(rest.len()));
            batches.push(batch.to_vec());
            rest = later;
        }
        batches.push(rest.to_vec());
        batches.retain(|b| !b.is_empty());
        batches
    })
}

/// The second event of a change, as Stripe sometimes makes one.
fn duplicate(fact: &Fact) -> Fact {
    Fact {
        event_id: EventId::new(format!("{}_duplicate", fact.event_id)),
        ..fact.clone()
    }
}

/// Two lives of one customer.
fn two_lives() -> impl Strategy<Value = Vec<TimedFact>> {
    (life(Returns::Perhaps), life(Returns::Perhaps)).prop_map(|(mut one, other)| {
        one.extend(other.into_iter().map(|(at, body)| (at, of("sub_2", body))));
        one
    })
}

fn fold(facts: &[Fact]) -> Vec<Subscription> {
    Account::fold(&facts.iter().collect::<Vec<_>>()).subscriptions
}

/// Leaves only what the subscription's own metadata says about its user. Of two events of
/// one second that show the same state, either may be the one that says it.
fn without_link(subscription: &mut Subscription) {
    (subscription.user, subscription.owners) = (None, Vec::new());
    let own = subscription.claim.take();
    subscription.claim = own.filter(|c| c.source == ClaimSource::OwnMetadata).map(|mut c| {
        let ids = c.handed.iter_mut().map(|named| &mut named.event_id);
        ids.chain([&mut c.event_id]).for_each(|id| *id = EventId::new(""));
        c
    });
}

/// Folds facts in the order given, without a link to a user.
fn fold_in_this_order(facts: &[Fact]) -> Subscription {
    let id = facts[0].body.subscription().expect("of a subscription").clone();
    let facts = facts.iter().collect();
    let mut folded = Subscription::fold(id, &Ordered { facts, undecided: 0 });
    without_link(&mut folded);
    folded
}

fn of_user(subscriptions: &[Subscription]) -> Option<Entitlement> {
    entitlement::of_user(&UserId::new("u1"), &subscriptions.iter().collect::<Vec<_>>(), "free")
}

/// Generated histories per property: with nine properties, more than 100,000.
const CASES: u32 = 12_500;

/// The snapshots of a subscription in these facts, before and after each change.
fn snapshots<'a>(facts: &'a [Fact], of: &'a Subscription) -> impl Iterator<Item = &'a Snapshot> {
    facts
        .iter()
        .flat_map(|fact| match &fact.body {
            FactBody::Subscription(s) if s.subscription == of.id => [Some(&s.now), s.before.as_ref()],
            _ => [None, None],
        })
        .flatten()
}

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn any_order_of_arrival_folds_to_the_real_order((happened, arrived) in arrivals(life(Returns::Never))) {
        let mut folded = fold(&arrived);
        prop_assert_eq!(&folded, &fold(&happened));
        without_link(&mut folded[0]);
        prop_assert_eq!(&folded[0], &fold_in_this_order(&happened));
    }

    #[test]
    fn any_order_of_arrival_with_digests_folds_to_the_real_order((happened, arrived) in arrivals(life(Returns::Perhaps))) {
        if happened.iter().any(|f| matches!(&f.body, FactBody::Subscription(s) if s.digests.is_none())) {
            return Ok(());
        }
        let mut folded = fold(&arrived);
        without_link(&mut folded[0]);
        prop_assert_eq!(&folded[0], &fold_in_this_order(&happened));
    }

    #[test]
    fn the_fast_and_the_slow_path_agree(batches in batches()) {
        answers::both_paths_agree(batches.iter().map(Vec::as_slice))?;
    }

    #[test]
    fn in_order_the_fast_path_takes_every_second_that_alters_no_known_fact(
        (happened, _) in arrivals(life(Returns::Never))
    ) {
        let quiet = happened.iter().all(|f| match &f.body {
            FactBody::Invoice(i) => i.step == InvoiceStep::Paid && !i.credits(),
            FactBody::InvoiceItem(i) => !i.credits(),
            _ => true,
        });
        let mut account = Account::default();
        for second in happened.chunk_by(|a, b| a.created == b.created) {
            let next = account.advance(&second.iter().collect::<Vec<_>>());
            // Whether a renewal is about the plan is known from all facts; it matters to a grace.
            let had_grace = account.subscriptions.iter().any(|s| s.grace.is_some() || s.renewed_in.is_some());
            prop_assert!(next.is_some() || !quiet || had_grace, "slow for {:#?}", second);
            let Some(next) = next else { return Ok(()) };
            account = next;
        }
    }

    #[test]
    fn two_events_of_one_change_have_one_effect((happened, arrived) in arrivals(two_lives()), chosen in vec(any::<bool>(), 40)) {
        let duplicates = happened.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(f, _)| duplicate(f));
        let all: Vec<Fact> = duplicates.chain(arrived.iter().cloned()).collect();
        prop_assert_eq!(fold(&all), fold(&happened));
    }

    #[test]
    fn any_order_of_arrival_of_two_lives_folds_to_one_state((happened, arrived) in arrivals(two_lives())) {
        prop_assert_eq!(fold(&arrived), fold(&happened));
        prop_assert_eq!(of_user(&fold(&arrived)), of_user(&fold(&happened)));
    }

    #[test]
    fn the_latest_snapshot_is_right_even_if_a_second_returned_to_an_earlier_state(
        (happened, arrived) in arrivals(life(Returns::Perhaps))
    ) {
        let (folded, expected) = (fold(&arrived), fold_in_this_order(&happened));
        prop_assert_eq!(&folded[0].latest, &expected.latest);
        prop_assert_eq!((&folded[0].plan, folded[0].period), (&expected.plan, expected.period));
    }

    #[test]
    fn every_state_keeps_the_invariants((_, arrived) in arrivals(two_lives())) {
        for known in 1..=arrived.len() {
            let subscriptions = fold(&arrived[..known]);
            for s in &subscriptions {
                prop_assert!(s.latest.is_none() || snapshots(&arrived, s).any(|n| Some(n) == s.latest.as_ref()));
                if let Some(grace) = &s.grace {
                    let tier = |n: &Snapshot| n.plan.as_ref() == Some(&grace.plan);
                    let end = |n: &Snapshot| n.period.is_some_and(|p| p.end == grace.until);
                    prop_assert!(snapshots(&arrived, s).any(tier), "it never had this tier: {:?}", s);
                    prop_assert!(snapshots(&arrived, s).any(end), "no period ends then: {:?}", s);
                }
                prop_assert!(s.grace.is_none() || s.entitled(), "a grace without entitlement: {:?}", s);
                prop_assert!(!s.ended || !s.entitled(), "entitled after its end: {:?}", s);
                let ranks = (s.grace.as_ref().map(|g| g.plan.rank), s.base_plan().map(|p| p.rank));
                prop_assert!(ranks.0.is_none() || ranks.0 > ranks.1, "a grace that gives nothing: {:?}", s);
                let highest = s.highest.as_ref().map(|p| p.rank);
                prop_assert!(!s.entitled() || highest >= s.plan.as_ref().map(|p| p.rank), "a plan above the highest: {:?}", s);
            }
            let Some(has) = of_user(&subscriptions) else { continue };
            let current = subscriptions.iter().find(|s| Some(s.id.as_str()) == has.subscription.as_deref()).expect("one of them");
            prop_assert_eq!(has.entitled, current.entitled());
            prop_assert!(has.entitled || subscriptions.iter().all(|s| !s.entitled()), "another one gives access");
            let base = current.base_plan().map_or("free", |p| p.tier.as_str());
            prop_assert_eq!(has.base_tier.as_str(), if has.entitled { base } else { "free" });
            prop_assert!(!has.is_canceling || has.entitled);
            prop_assert!(has.entitled || has.grace.is_none());
        }
    }

    #[test]
    fn ever_paid_and_the_highest_tier_never_fall((happened, _) in arrivals(life(Returns::Perhaps))) {
        let mut before = (None, false);
        for known in 1..=happened.len() {
            let Some(has) = of_user(&fold(&happened[..known])) else { continue };
            let now = (has.highest.as_ref().map(|p| p.rank), has.ever_paid);
            prop_assert!(now.0 >= before.0 && now.1 >= before.1, "{:?} after {:?}", now, before);
            before = now;
        }
    }
}
