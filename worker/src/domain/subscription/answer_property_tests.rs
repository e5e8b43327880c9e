//! Properties of the fold with answers of Stripe's API among the events.

use super::{CASES, Returns, arrivals, fold, life, two_lives};
use crate::domain::{
    fact::{Fact, FactBody, Phase},
    ids::EventId,
    subscription::account::Account,
    testkit::random,
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, TestCaseError, any, prop_assert_eq, proptest},
};

/// Stripe's answer to a request that comes `later_s` seconds after an event.
fn answer(event: &Fact, later_s: i64) -> Option<Fact> {
    let FactBody::Subscription(shown) = &event.body else {
        return None;
    };
    let mut read = event.clone();
    read.created += later_s;
    read.event_id = EventId::new(format!("snapshot:{}:{}", shown.subscription, event.event_id));
    let FactBody::Subscription(fact) = &mut read.body else {
        return None;
    };
    (fact.phase, fact.before, fact.request, fact.digests) = (Phase::Read, None, None, None);
    Some(read)
}

/// Facts of events and of answers in order, and as they arrive.
fn with_answers() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    let asked = vec((any::<bool>(), 0..3_i64), 60);
    (arrivals(two_lives()), asked).prop_flat_map(|((happened, _), asked)| {
        let answers = happened.iter().zip(asked).filter(|(_, (is_asked, _))| *is_asked);
        let answers = answers.filter_map(|(event, (_, later_s))| answer(event, later_s));
        let all: Vec<Fact> = happened.iter().cloned().chain(answers).collect();
        (Just(all.clone()), Just(all).prop_shuffle())
    })
}

/// Checks after each batch that the fast path, unless it declines, gives the same as
/// the slow path.
pub(super) fn both_paths_agree<'a>(batches: impl Iterator<Item = &'a [Fact]>) -> Result<(), TestCaseError> {
    let mut known: Vec<Fact> = Vec::new();
    let mut account = Account::default();
    for batch in batches {
        known.extend(batch.iter().cloned());
        let refolded = Account::fold(&known.iter().collect::<Vec<_>>());
        if let Some(advanced) = account.advance(&batch.iter().collect::<Vec<_>>()) {
            prop_assert_eq!(&advanced, &refolded, "advanced by {:#?}", batch);
        }
        account = refolded;
    }
    Ok(())
}

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn any_order_of_arrival_with_answers_folds_to_one_state((facts, arrived) in with_answers()) {
        prop_assert_eq!(fold(&arrived), fold(&facts));
    }

    #[test]
    fn the_fast_and_the_slow_path_agree_with_answers((_, arrived) in with_answers(), size in 1..5_usize) {
        both_paths_agree(arrived.chunks(size))?;
    }

    #[test]
    fn the_newest_answer_is_the_latest_snapshot_even_if_events_are_lost(
        (happened, _) in arrivals(life(Returns::Never)), lost in vec(any::<bool>(), 40), salt in any::<u8>()
    ) {
        let Some(last) = happened.iter().rev().find(|f| matches!(f.body, FactBody::Subscription(_))) else { return Ok(()) };
        let newest = happened.iter().map(|f| f.created).max().unwrap_or_default();
        let Some(read) = answer(last, newest - last.created + 1 + i64::from(salt)) else { return Ok(()) };
        let mut known: Vec<Fact> = happened.iter().zip(lost).filter(|(_, lost)| !lost).map(|(f, _)| f.clone()).collect();
        known.push(read);
        let (partial, whole) = (fold(&known), fold(&happened));
        prop_assert_eq!(&partial[0].latest, &whole[0].latest);
        prop_assert_eq!((partial[0].entitled(), partial[0].ended), (whole[0].entitled(), whole[0].ended));
    }
}
