//! Properties of hand-overs: at each moment a subscription counts for one user, and all users
//! together have no unit more than a single user would have.

use super::*;

const USERS: [&str; 3] = ["u1", "u2", "u3"];

/// The same history, in which all snapshots name one user.
fn without_hand_overs(facts: &[Fact]) -> Vec<Fact> {
    let mut facts = facts.to_vec();
    for fact in &mut facts {
        if let FactBody::Subscription(s) = &mut fact.body {
            for snapshot in s.before.iter_mut().chain([&mut s.now]) {
                snapshot.user = user("u1");
            }
        }
    }
    facts
}

/// Whether two changes of one subscription share a second. Their order then depends on all that
/// they show, also on the user.
fn has_ties(facts: &[Fact]) -> bool {
    let mut seen = BTreeSet::new();
    facts.iter().any(|fact| match &fact.body {
        FactBody::Subscription(s) => !seen.insert((&s.subscription, fact.created)),
        _ => false,
    })
}

fn timelines(facts: &[Fact]) -> Vec<Timeline> {
    USERS.map(|name| Timeline::of(&UserId::new(name), facts)).into()
}

/// The tokens that closings and hand-overs give for parts of the period. A held change may show
/// a longer period that begins in the same second: its end tells them apart.
fn parts(timelines: &[Timeline], period: Period) -> i64 {
    let lies_in = |part: Period| part.start >= period.start && part.end == period.end;
    let of = |timeline: &Timeline| -> i64 {
        let closed = timeline.closings.iter().filter(|c| lies_in(c.ended));
        let closed = closed.filter_map(|c| c.limits.get("tokens")?.allowance);
        let handed = timeline
            .cuts
            .iter()
            .filter(|c| lies_in(c.ended) && c.handed_to().is_some());
        closed.chain(handed.filter_map(|c| *c.units.get("tokens")?)).sum()
    };
    timelines.iter().map(of).sum()
}

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn a_subscription_counts_for_one_user_at_each_moment(facts in histories()) {
        let timelines = timelines(&facts);
        let moments: BTreeSet<Seconds> = timelines.iter().flat_map(Timeline::boundaries).collect();
        for at in moments {
            let running = timelines.iter().filter_map(|t| t.terms.iter().rev().find(|t| t.since <= at));
            let running: Vec<_> = running.filter(|t| !t.handed_over).map(|t| &t.subscription).collect();
            let once: BTreeSet<_> = running.iter().collect();
            prop_assert_eq!(once.len(), running.len(), "at {}: {:?}", at - T0, running);
        }
    }

    #[test]
    fn the_parts_of_all_users_are_no_more_than_what_a_period_sold(facts in history(12).prop_map(|h| facts(&h))) {
        if has_ties(&facts) {
            return Ok(());
        }
        let alone = timeline_of(&without_hand_overs(&facts));
        let divided = timelines(&facts);
        // A part of a trial is no unit that rolls over.
        let is_trial = |period: Period| alone.terms.iter().any(|t| t.period.start == period.start && t.trial);
        for closing in alone.closings.iter().filter(|c| !is_trial(c.ended)) {
            let Some(sold) = closing.limits.get("tokens").and_then(|l| l.allowance) else { continue };
            prop_assert!(parts(&divided, closing.ended) <= sold, "{:?} of {}", closing.ended, sold);
        }
    }

    #[test]
    fn what_happened_before_the_first_hand_over_is_as_if_there_were_none(facts in histories()) {
        if has_ties(&facts) {
            return Ok(());
        }
        let (alone, divided) = (timeline_of(&without_hand_overs(&facts)), timeline_of(&facts));
        let first = facts.iter().filter(|f| match &f.body {
            FactBody::Subscription(s) => s.now.user != user("u1"),
            _ => false,
        });
        let until = first.map(|f| f.created).min().unwrap_or(Seconds::MAX);
        let before = |t: &Timeline| t.terms.iter().filter(|t| t.since < until).cloned().collect::<Vec<_>>();
        prop_assert_eq!(before(&divided), before(&alone));
        let closed = |t: &Timeline| t.closings.iter().filter(|c| c.at < until).cloned().collect::<Vec<_>>();
        prop_assert_eq!(closed(&divided), closed(&alone));
        prop_assert_eq!(divided.purchases, alone.purchases);
    }
}
