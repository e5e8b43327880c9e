//! The trail of the changes of one second: each starts from what the last one
//! left, like a figure that is drawn without lifting the pen.

/// Changes as steps between numbered states.
#[derive(Debug)]
pub(super) struct Changes<'a> {
    /// From which state to which, and by which API request.
    steps: Vec<(usize, usize, Option<&'a str>)>,
    /// The state before all of them, if it is known.
    start: Option<usize>,
}

/// The order that was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ChangeChain {
    /// The changes, by their place in what was given.
    pub order: Vec<usize>,
    /// How often a change does not start from what the one before it left.
    pub gaps: u32,
    /// Whether another trail would do as well.
    pub open: bool,
}

impl<'a> Changes<'a> {
    /// Numbers the states of `steps` (from, to, request) and `start`.
    pub(super) fn of<N>(steps: &[(N, N, Option<&'a str>)], start: Option<&N>, same: impl Fn(&N, &N) -> bool) -> Self {
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
                .map(|(from, to, by)| (number(from), number(to), *by))
                .collect(),
        }
    }

    /// The distinct states that some of `steps` lead to.
    fn goals(&self, steps: &[usize]) -> usize {
        let mut goals: Vec<usize> = steps.iter().map(|i| self.steps[*i].1).collect();
        goals.sort_unstable();
        goals.dedup();
        goals.len()
    }

    /// Whether some of `rest` lead from one state to another.
    fn leads(&self, rest: &[usize], from: usize, to: usize) -> bool {
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(state) = reached.get(next).copied() {
            if state == to {
                return true;
            }
            for (before, now, _) in rest.iter().map(|i| self.steps[*i]) {
                if before == state && !reached.contains(&now) {
                    reached.push(now);
                }
            }
            next += 1;
        }
        false
    }

    /// Where a trail of `rest` begins when nothing starts from what stands: at
    /// the state that is left more often than reached, if there is just one.
    fn begin(&self, rest: &[usize]) -> (usize, bool) {
        let left_more = |state: usize| {
            let left = rest.iter().filter(|i| self.steps[**i].0 == state).count();
            let reached = rest.iter().filter(|i| self.steps[**i].1 == state).count();
            left > reached
        };
        let mut begins: Vec<usize> = Vec::new();
        for state in rest.iter().map(|i| self.steps[*i].0) {
            if !begins.contains(&state) && left_more(state) {
                begins.push(state);
            }
        }
        let first = begins.first().copied();
        (first.unwrap_or_else(|| self.steps[rest[0]].0), begins.len() == 1)
    }

    /// The next of `rest` after `state`, which some of them start from, and
    /// whether nothing else could be next. Of several, one that leads back, or
    /// else the others could not follow any more (Fleury); of those, one of the
    /// same request as the last; beyond that, the given order decides.
    fn next(&self, rest: &[usize], state: usize, request: Option<&str>) -> (usize, bool) {
        let starting: Vec<usize> = rest.iter().copied().filter(|i| self.steps[*i].0 == state).collect();
        if let Some(stays) = starting.iter().find(|i| self.steps[**i].1 == state) {
            return (*stays, true);
        }
        if self.goals(&starting) == 1 {
            return (starting[0], true);
        }
        let back = |i: &usize| self.leads(rest, self.steps[*i].1, state);
        let mut choice: Vec<usize> = starting.iter().copied().filter(back).collect();
        if choice.is_empty() {
            choice = starting;
        }
        let of_request = |i: &usize| request.is_some() && self.steps[*i].2 == request;
        if self.goals(&choice) > 1 && choice.iter().any(of_request) {
            choice.retain(of_request);
        }
        (choice[0], self.goals(&choice) == 1)
    }
}

/// Finds the trail; a function of the changes and, where they do not decide, of
/// the order in which they are given.
#[must_use]
pub(super) fn chain(changes: &Changes<'_>) -> ChangeChain {
    let mut rest: Vec<usize> = (0..changes.steps.len()).collect();
    let mut found = ChangeChain::default();
    let (mut state, mut request) = (changes.start, None);
    while !rest.is_empty() {
        let starts = |state: &usize| rest.iter().any(|i| changes.steps[*i].0 == *state);
        let from = state.filter(starts).unwrap_or_else(|| {
            let (begin, only) = changes.begin(&rest);
            // What came before this second may be missing; within it, nothing should be.
            found.gaps += u32::from(!found.order.is_empty());
            found.open |= !only;
            begin
        });
        let (next, only) = changes.next(&rest, from, request);
        found.open |= !only;
        found.order.push(next);
        rest.retain(|i| *i != next);
        (state, request) = (Some(changes.steps[next].1), changes.steps[next].2);
    }
    found
}

impl ChangeChain {
    /// Whether evidence alone made it.
    #[must_use]
    pub(super) fn decided(&self) -> bool {
        self.gaps == 0 && !self.open
    }
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
