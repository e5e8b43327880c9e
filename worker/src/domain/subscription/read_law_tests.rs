//! The law, with answers of Stripe's API among the events.

use super::{Returns, arrivals, config, fold, life, two_lives};
use crate::domain::{
    fact::{Fact, FactBody, Phase},
    ids::EventId,
    subscription::account::Account,
};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, TestCaseError, any, prop_assert_eq, proptest},
};

/// What Stripe answers that is asked right after `told`, or so many seconds later.
fn answer(told: &Fact, later: i64) -> Option<Fact> {
    let FactBody::Subscription(shown) = &told.body else {
        return None;
    };
    let mut read = told.clone();
    read.created += later;
    read.event_id = EventId::new(format!("snapshot:{}:{}", shown.subscription, told.event_id));
    let FactBody::Subscription(fact) = &mut read.body else {
        return None;
    };
    (fact.phase, fact.before, fact.request, fact.prints) = (Phase::Read, None, None, None);
    Some(read)
}

/// Facts as they arrive, of which some were also read from Stripe.
fn with_answers() -> impl Strategy<Value = (Vec<Fact>, Vec<Fact>)> {
    let asked = vec((any::<bool>(), 0..3_i64), 60);
    (arrivals(two_lives()), asked).prop_flat_map(|((happened, _), asked)| {
        let answers = happened.iter().zip(asked).filter(|(_, (is_asked, _))| *is_asked);
        let answers = answers.filter_map(|(told, (_, later))| answer(told, later));
        let all: Vec<Fact> = happened.iter().cloned().chain(answers).collect();
        (Just(all.clone()), Just(all).prop_shuffle())
    })
}

/// Folds batch upon batch on top of what is folded, where that may be, and all at once.
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
    #![proptest_config(config())]

    #[test]
    fn any_arrival_of_events_and_answers_folds_to_one_state((told, arrived) in with_answers()) {
        prop_assert_eq!(fold(&arrived), fold(&told));
    }

    #[test]
    fn on_top_of_what_is_folded_an_answer_does_what_it_does_among_all((_, arrived) in with_answers(), size in 1..5_usize) {
        both_paths_agree(arrived.chunks(size))?;
    }

    #[test]
    fn an_answer_that_is_newer_than_all_events_is_what_is_shown(
        (happened, _) in arrivals(life(Returns::Never)), lost in vec(any::<bool>(), 40), salt in any::<u8>()
    ) {
        let Some(last) = happened.iter().rev().find(|f| matches!(f.body, FactBody::Subscription(_))) else { return Ok(()) };
        let newest = happened.iter().map(|f| f.created).max().unwrap_or_default();
        let Some(read) = answer(last, newest - last.created + 1 + i64::from(salt)) else { return Ok(()) };
        let mut told: Vec<Fact> = happened.iter().zip(lost).filter(|(_, lost)| !lost).map(|(f, _)| f.clone()).collect();
        told.push(read);
        let (seen, whole) = (fold(&told), fold(&happened));
        prop_assert_eq!(&seen[0].latest, &whole[0].latest);
        prop_assert_eq!((seen[0].entitled(), seen[0].ended), (whole[0].entitled(), whole[0].ended));
    }
}
