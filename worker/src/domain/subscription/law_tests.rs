//! The law, over generated lives: state is a function of the set of facts.
//! `PROPTEST_CASES` makes more of them; `PROPTEST_RNG_SEED` repeats a run.

use crate::domain::{
    fact::{Digests, Fact, FactBody, InvoiceStep, Period, Snapshot},
    ids::{EventId, UserId},
    subscription::{
        account::Account,
        entitlement::{self, Entitlement},
        order::Ordered,
        state::Subscription,
    },
    testkit::{
        DAY, T0, Told, changed, created, deleted, facts, invoice, item, not_renewed, of, plan, prorated, renewed,
        session, sub, user,
    },
};
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest},
    sample::select,
    test_runner::RngSeed,
};
use std::hash::{BuildHasher, RandomState};

#[path = "read_law_tests.rs"]
mod reads;

/// What may happen next in a life.
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
    /// An upgrade whose payment fails, by an invoice that the snapshot names or not.
    FailedUpgrade(&'static str, bool),
    /// What failed last is paid.
    PaysFailed,
    CreditByItem,
    CreditByLine,
    Session,
}

impl Act {
    /// Whether Stripe tells it by a snapshot of the subscription.
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
        2 => select(vec!["trialing", "past_due", "unpaid", "paused", "incomplete", "new_word"]).prop_map(Act::Status),
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

/// The time since the act before: often none that Stripe's seconds can tell.
fn pause() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => 1..90_i64, 3 => DAY..20 * DAY]
}

/// Whether a life may come back, within one second, to a state it had left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Returns {
    Never,
    Perhaps,
}

/// A life as Stripe tells it, in the order in which it happened.
fn life(returns: Returns) -> impl Strategy<Value = Vec<Told>> {
    let begins = select(vec!["trialing", "active", "incomplete"]);
    (begins, vec((pause(), act()), 1..14), any::<bool>())
        .prop_map(move |(status, acts, ends)| live(status, &acts, ends, returns))
}

fn live(status: &str, acts: &[(i64, Act)], ends: bool, returns: Returns) -> Vec<Told> {
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
        if let Some(said) = told(act, &id, &failed, period) {
            // An invoice comes before the snapshots of its second, so it begins one.
            at += pause.max(&1);
            story.push((at, said));
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

/// What else than a snapshot tells of an act.
fn told(act: &Act, id: &str, failed: &str, period: Period) -> Option<FactBody> {
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

/// Facts with ids that say nothing of their order.
fn scattered(story: &[Told], salt: u32) -> Vec<Fact> {
    let mut facts = facts(story);
    for (number, fact) in (1_u32..).zip(&mut facts) {
        fact.event_id = EventId::new(format!("evt_{:08x}", number.wrapping_mul(0x9E37_79B1) ^ salt));
    }
    facts
}

/// The same with digests of whole objects, in which something was always new.
fn printed(mut facts: Vec<Fact>) -> Vec<Fact> {
    let mut latest = std::collections::HashMap::new();
    for (now, fact) in (1..).zip(&mut facts) {
        if let FactBody::Subscription(s) = &mut fact.body {
            let before = latest
                .insert(s.subscription.clone(), now)
                .filter(|_| s.before.is_some());
            s.prints = Some(Digests { before, now });
        }
    }
    facts
}

/// The facts of lives as they happened, and as they arrived.
fn arrivals(stories: impl Strategy<Value = Vec<Told>>) -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    (stories, any::<u32>(), any::<bool>()).prop_flat_map(|(story, salt, whole)| {
        let facts = scattered(&story, salt);
        let facts = if whole { printed(facts) } else { facts };
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

/// A second event of a change, as Stripe sometimes makes one.
fn twin(fact: &Fact) -> Fact {
    Fact {
        event_id: EventId::new(format!("{}_twin", fact.event_id)),
        ..fact.clone()
    }
}

/// Two lives of one customer.
fn two_lives() -> impl Strategy<Value = Vec<Told>> {
    (life(Returns::Perhaps), life(Returns::Perhaps)).prop_map(|(mut one, other)| {
        one.extend(other.into_iter().map(|(at, said)| (at, of("sub_2", said))));
        one
    })
}

fn fold(facts: &[Fact]) -> Vec<Subscription> {
    Account::fold(&facts.iter().collect::<Vec<_>>()).subscriptions
}

/// One step after the other, in the order given; the user is not its business.
fn step_by_step(facts: &[Fact]) -> Subscription {
    let id = facts[0].body.subscription().expect("of a subscription").clone();
    let facts = facts.iter().collect();
    Subscription::fold(id, &Ordered { facts, undecided: 0 })
}

fn of_user(subscriptions: &[Subscription]) -> Option<Entitlement> {
    entitlement::of_user(&UserId::new("u1"), &subscriptions.iter().collect::<Vec<_>>(), "free")
}

/// What proptest runs where nobody says how many.
const PROPTEST_DEFAULT: u32 = 256;
/// Generated histories per property: with nine of them, more than 100,000.
const CASES: u32 = 12_500;

/// The run's seed is printed, which the harness shows of a test that failed.
#[expect(clippy::print_stdout, reason = "a randomised test tells its seed")]
fn config() -> ProptestConfig {
    let mut config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..ProptestConfig::default()
    };
    if config.cases == PROPTEST_DEFAULT {
        config.cases = CASES;
    }
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(RandomState::new().hash_one(()));
    }
    println!("PROPTEST_RNG_SEED={} repeats this run", config.rng_seed);
    config
}

/// The states of a subscription that Stripe has shown, before or after a change.
fn told_now<'a>(facts: &'a [Fact], of: &'a Subscription) -> impl Iterator<Item = &'a Snapshot> {
    facts
        .iter()
        .flat_map(|fact| match &fact.body {
            FactBody::Subscription(s) if s.subscription == of.id => [Some(&s.now), s.before.as_ref()],
            _ => [None, None],
        })
        .flatten()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_arrival_folds_to_what_happened((happened, arrived) in arrivals(life(Returns::Never))) {
        let mut folded = fold(&arrived);
        prop_assert_eq!(&folded, &fold(&happened));
        (folded[0].user, folded[0].claim) = (None, None);
        prop_assert_eq!(&folded[0], &step_by_step(&happened));
    }

    #[test]
    fn any_arrival_of_whole_objects_folds_to_what_happened((happened, arrived) in arrivals(life(Returns::Perhaps))) {
        if happened.iter().any(|f| matches!(&f.body, FactBody::Subscription(s) if s.prints.is_none())) {
            return Ok(());
        }
        let mut folded = fold(&arrived);
        (folded[0].user, folded[0].claim) = (None, None);
        prop_assert_eq!(&folded[0], &step_by_step(&happened));
    }

    #[test]
    fn what_is_folded_batch_by_batch_is_what_is_folded_at_once(batches in batches()) {
        reads::both_paths_agree(batches.iter().map(Vec::as_slice))?;
    }

    #[test]
    fn in_order_the_fast_path_takes_every_second_that_decides_nothing_before_it(
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
            prop_assert!(next.is_some() || !quiet, "slow for {:#?}", second);
            let Some(next) = next else { return Ok(()) };
            account = next;
        }
    }

    #[test]
    fn twins_have_one_effect((happened, arrived) in arrivals(two_lives()), chosen in vec(any::<bool>(), 40)) {
        let twins = happened.iter().zip(chosen).filter(|(_, chosen)| *chosen).map(|(f, _)| twin(f));
        let all: Vec<Fact> = twins.chain(arrived.iter().cloned()).collect();
        prop_assert_eq!(fold(&all), fold(&happened));
    }

    #[test]
    fn any_arrival_of_two_lives_folds_to_one_state((happened, arrived) in arrivals(two_lives())) {
        prop_assert_eq!(fold(&arrived), fold(&happened));
        prop_assert_eq!(of_user(&fold(&arrived)), of_user(&fold(&happened)));
    }

    #[test]
    fn the_last_state_stands_though_a_second_returned_to_others(
        (happened, arrived) in arrivals(life(Returns::Perhaps))
    ) {
        let (folded, told) = (fold(&arrived), step_by_step(&happened));
        prop_assert_eq!(&folded[0].latest, &told.latest);
        prop_assert_eq!((&folded[0].plan, folded[0].period), (&told.plan, told.period));
    }

    #[test]
    fn every_state_on_the_way_keeps_the_invariants((_, arrived) in arrivals(two_lives())) {
        for known in 1..=arrived.len() {
            let subscriptions = fold(&arrived[..known]);
            for s in &subscriptions {
                prop_assert!(s.latest.is_none() || told_now(&arrived, s).any(|n| Some(n) == s.latest.as_ref()));
                if let Some(grace) = &s.grace {
                    let tier = |n: &Snapshot| n.plan.as_ref() == Some(&grace.plan);
                    let end = |n: &Snapshot| n.period.is_some_and(|p| p.end == grace.until);
                    prop_assert!(told_now(&arrived, s).any(tier), "a tier that it never had: {:?}", s);
                    prop_assert!(told_now(&arrived, s).any(end), "no period ends then: {:?}", s);
                }
                prop_assert!(s.grace.is_none() || s.entitled(), "a grace without entitlement: {:?}", s);
                prop_assert!(!s.ended || !s.entitled(), "entitled after its end: {:?}", s);
                let ranks = (s.grace.as_ref().map(|g| g.plan.rank), s.counting_plan().map(|p| p.rank));
                prop_assert!(ranks.0.is_none() || ranks.0 > ranks.1, "a grace that gives nothing: {:?}", s);
                let highest = s.highest.as_ref().map(|p| p.rank);
                prop_assert!(!s.entitled() || highest >= s.plan.as_ref().map(|p| p.rank), "a plan above the highest: {:?}", s);
            }
            let Some(has) = of_user(&subscriptions) else { continue };
            let current = subscriptions.iter().find(|s| Some(s.id.as_str()) == has.subscription.as_deref()).expect("one of them");
            prop_assert_eq!(has.entitled, current.entitled());
            prop_assert!(has.entitled || subscriptions.iter().all(|s| !s.entitled()), "an entitled one was passed over");
            let counts = current.counting_plan().map_or("free", |p| p.tier.as_str());
            prop_assert_eq!(has.base_tier.as_str(), if has.entitled { counts } else { "free" });
            prop_assert!(!has.is_canceling || has.entitled);
            prop_assert!(has.entitled || has.grace.is_none());
        }
    }

    #[test]
    fn what_was_paid_or_subscribed_once_is_never_taken_back((happened, _) in arrivals(life(Returns::Perhaps))) {
        let mut before = (None, false);
        for known in 1..=happened.len() {
            let Some(has) = of_user(&fold(&happened[..known])) else { continue };
            let now = (has.highest.as_ref().map(|p| p.rank), has.ever_paid);
            prop_assert!(now.0 >= before.0 && now.1 >= before.1, "{:?} after {:?}", now, before);
            before = now;
        }
    }
}
