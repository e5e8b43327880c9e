//! The chain of the changes of one second: each change starts at the state where
//! the one before it ended.
//!
//! Example: the changes B→C, A→B and C→D in any order give the chain A→B, B→C,
//! C→D. If a state occurs several times, as in A→B, B→A, A→C, the chain is an
//! Eulerian trail: a walk that uses every change once. Fleury's rule finds it: take
//! a change that leads back to this state before one that does not.

/// Changes as steps between numbered states.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    /// Per change: the state before it, the state after it, and its API request.
    steps: Vec<(usize, usize, Option<&'a str>)>,
    /// The state before all changes, if known.
    start: Option<usize>,
}

/// An order of changes, and how far evidence decides it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChangeChain {
    /// The indexes of the changes in the caller's list, in order.
    pub order: Vec<usize>,
    /// How often a change does not start at the state where the one before ended.
    pub gaps: u32,
    /// Whether another order is as good.
    pub ambiguous: bool,
}

impl<'a> Changes<'a> {
    /// Gives a number to each distinct state of `steps` (before, after, request)
    /// and `start`. `same` says whether two states are the same.
    pub(super) fn number<N>(
        steps: &[(N, N, Option<&'a str>)],
        start: Option<&N>,
        same: impl Fn(&N, &N) -> bool,
    ) -> Self {
        let mut states: Vec<&N> = Vec::new();
        let mut number = |state| {
            states.iter().position(|s| same(s, state)).unwrap_or_else(|| {
                states.push(state);
                states.len() - 1
            })
        };
        Self {
            start: start.map(&mut number),
            steps: steps
                .iter()
                .map(|(before, after, request)| (number(before), number(after), *request))
                .collect(),
        }
    }

    /// The number of distinct states after the changes `indexes`.
    fn targets(&self, indexes: &[usize]) -> usize {
        let mut targets: Vec<usize> = indexes.iter().map(|i| self.steps[*i].1).collect();
        targets.sort_unstable();
        targets.dedup();
        targets.len()
    }

    /// Whether the changes `rest` lead from the state `from` to the state `to`.
    fn can_reach(&self, rest: &[usize], from: usize, to: usize) -> bool {
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(state) = reached.get(next).copied() {
            if state == to {
                return true;
            }
            for (before, after, _) in rest.iter().map(|i| self.steps[*i]) {
                if before == state && !reached.contains(&after) {
                    reached.push(after);
                }
            }
            next += 1;
        }
        false
    }

    /// The first state of a chain of `rest` when no change starts at the current
    /// state: the state that more changes leave than reach. The flag says whether
    /// there is exactly one such state. (There is none in a closed loop.)
    fn find_start(&self, rest: &[usize]) -> (usize, bool) {
        let is_left_more = |state: usize| {
            let left = rest.iter().filter(|i| self.steps[**i].0 == state).count();
            let reached = rest.iter().filter(|i| self.steps[**i].1 == state).count();
            left > reached
        };
        let mut starts: Vec<usize> = Vec::new();
        for state in rest.iter().map(|i| self.steps[*i].0) {
            if !starts.contains(&state) && is_left_more(state) {
                starts.push(state);
            }
        }
        let first = starts.first().copied();
        (first.unwrap_or_else(|| self.steps[rest[0]].0), starts.len() == 1)
    }

    /// The next change of `rest` from `state`; at least one starts there. The flag
    /// says whether no other one is as good. The preference is, in this order:
    ///
    /// 1. a change that ends at `state` again;
    /// 2. a change from which the rest leads back to `state`, because the other
    ///    changes from here could not follow otherwise (Fleury's rule);
    /// 3. a change of the same API request as the last change;
    /// 4. the first in the caller's list.
    fn choose_next(&self, rest: &[usize], state: usize, request: Option<&str>) -> (usize, bool) {
        let from_here: Vec<usize> = rest.iter().copied().filter(|i| self.steps[*i].0 == state).collect();
        if let Some(stays) = from_here.iter().find(|i| self.steps[**i].1 == state) {
            return (*stays, true);
        }
        if self.targets(&from_here) == 1 {
            return (from_here[0], true);
        }
        let leads_back = |i: &usize| self.can_reach(rest, self.steps[*i].1, state);
        let mut candidates: Vec<usize> = from_here.iter().copied().filter(leads_back).collect();
        if candidates.is_empty() {
            candidates = from_here;
        }
        let same_request = |i: &usize| request.is_some() && self.steps[*i].2 == request;
        if self.targets(&candidates) > 1 && candidates.iter().any(same_request) {
            candidates.retain(same_request);
        }
        (candidates[0], self.targets(&candidates) == 1)
    }
}

/// Finds the chain of all changes. It depends on the changes only; where they
/// leave a choice, on their order in the caller's list.
#[must_use]
pub(super) fn find_chain(changes: &Changes<'_>) -> ChangeChain {
    let mut rest: Vec<usize> = (0..changes.steps.len()).collect();
    let mut found = ChangeChain::default();
    let (mut state, mut request) = (changes.start, None);
    while !rest.is_empty() {
        let is_left = |state: &usize| rest.iter().any(|i| changes.steps[*i].0 == *state);
        let from = state.filter(is_left).unwrap_or_else(|| {
            let (start, only) = changes.find_start(&rest);
            // An event before this second may be missing, so the first change may
            // start anywhere. Later ones may not.
            found.gaps += u32::from(!found.order.is_empty());
            found.ambiguous |= !only;
            start
        });
        let (next, only) = changes.choose_next(&rest, from, request);
        found.ambiguous |= !only;
        found.order.push(next);
        rest.retain(|i| *i != next);
        (state, request) = (Some(changes.steps[next].1), changes.steps[next].2);
    }
    found
}

impl ChangeChain {
    /// Whether evidence alone decides the order.
    #[must_use]
    pub(super) fn decided(&self) -> bool {
        self.gaps == 0 && !self.ambiguous
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
