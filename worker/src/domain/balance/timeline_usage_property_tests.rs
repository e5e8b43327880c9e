//! Properties of usage: no order of events makes accepted usage overflow, and usage may be
//! summed up between boundaries.

use super::*;

proptest! {
    #![proptest_config(random(CASES))]

    #[test]
    fn no_later_event_overflows_with_usage_that_was_accepted(
        facts in histories(),
        usage in vec((usage_time(), 0..=1_i64 << 62), 1..12),
        known in 0..40_usize,
    ) {
        let before = timeline_of(facts.iter().take(known));
        let mut accepted: Vec<UsageSum> = Vec::new();
        for (at, amount) in usage {
            let spent = UsageSum { at, amount };
            if tokens(&before, &accepted).balance.clone().spend(at, amount).is_ok() {
                accepted.push(spent);
            }
        }
        for known in known..=facts.len() {
            let all = timeline_of(facts.iter().take(known));
            for meter in ["tokens", "basic_chars"] {
                prop_assert!(replay(&all, meter, &accepted).is_ok(), "{:?} {:?}", all, accepted);
            }
        }
    }

    #[test]
    fn usage_between_two_boundaries_may_be_reordered_and_summed_up(facts in histories(), usage in usage(), turn in 0..9_usize) {
        let timeline = timeline_of(&facts);
        let known = tokens(&timeline, &usage);
        let (mut moved, mut summed) = (Vec::new(), Vec::new());
        for mut spent in between_boundaries(&timeline, &usage).into_values() {
            summed.push(UsageSum { at: spent[turn % spent.len()].at, amount: total(&spent) });
            let amounts: Vec<i64> = spent.iter().map(|s| s.amount).collect();
            for (place, spent) in spent.iter_mut().enumerate() {
                spent.amount = amounts[(place + turn) % amounts.len()];
            }
            spent.rotate_left(turn % amounts.len());
            moved.extend(spent);
        }
        moved.reverse();
        prop_assert_eq!(tokens(&timeline, &moved), known.clone());
        prop_assert_eq!(tokens(&timeline, &summed), known);
    }
}

#[path = "timeline_handover_property_tests.rs"]
mod handed_over;
#[path = "timeline_unaffected_tests.rs"]
mod unaffected;
