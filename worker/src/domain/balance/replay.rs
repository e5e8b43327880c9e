//! A story gone through with the usage of one meter, in the order of time.

use super::{
    closing::Closing,
    grants::Bought,
    terms::{Term, Window},
    timeline::{Balance, EntryKind, Spent, Timeline, TimelineEntry},
    waterfall::Overflow,
};
use crate::domain::fact::{Period, Seconds};
use std::collections::BTreeMap;

/// One meter after all that is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The balance.
    pub balance: Balance,
    /// What each period has used; `None` is the time without one.
    pub used: BTreeMap<Option<Window>, i64>,
    /// Each change but those by usage, in order.
    pub entries: Vec<TimelineEntry>,
}

/// A step of a story, or usage between two.
#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Term(&'a Term),
    Close(&'a Closing),
    Grant(&'a Bought),
    /// Which event, and how many credits more are taken back than before.
    Take(&'a str, i64),
    Spend(i64),
}

impl Step<'_> {
    /// The order within one second.
    fn rank(&self) -> u8 {
        match self {
            Self::Term(_) => 0,
            Self::Close(_) => 1,
            Self::Grant(_) => 2,
            Self::Take(..) => 3,
            Self::Spend(_) => 4,
        }
    }
}

/// Goes through a story and the usage of one meter, which must be summed up
/// between the story's [`cuts`](Timeline::cuts) at the most.
///
/// # Errors
/// [`Overflow`]
pub fn replay(story: &Timeline, meter: &str, usage: &[Spent]) -> Result<Replayed, Overflow> {
    let mut steps: Vec<(Seconds, Step<'_>)> = Vec::new();
    steps.extend(story.terms.iter().map(|t| (t.since, Step::Term(t))));
    steps.extend(story.closings.iter().map(|c| (c.at, Step::Close(c))));
    for bought in story.bought.iter().filter(|b| b.meter == meter) {
        steps.push((bought.at, Step::Grant(bought)));
        let mut before = 0;
        for taken in &bought.taken {
            // Whenever it was told, what is taken back was granted before.
            let step = Step::Take(taken.event.as_str(), taken.credits - before);
            steps.push((taken.at.max(bought.at), step));
            before = taken.credits;
        }
    }
    steps.extend(usage.iter().map(|u| (u.at, Step::Spend(u.amount))));
    steps.sort_by_key(|(at, step)| (*at, step.rank()));
    let mut player = Player {
        story,
        meter,
        term: None,
        done: Replayed::default(),
    };
    for (at, step) in steps {
        player.step(at, step)?;
    }
    Ok(player.end())
}

struct Player<'a> {
    story: &'a Timeline,
    meter: &'a str,
    term: Option<&'a Term>,
    done: Replayed,
}

impl<'a> Player<'a> {
    fn step(&mut self, at: Seconds, step: Step<'a>) -> Result<(), Overflow> {
        let purse = self.done.balance.purse;
        let (kind, cause, amount, change) = match step {
            Step::Term(term) => {
                self.begin(term);
                return Ok(());
            }
            Step::Spend(amount) => {
                let change = self.done.balance.spend(at, amount)?;
                *self.done.used.entry(self.done.balance.window.clone()).or_default() += change.used;
                return Ok(());
            }
            Step::Close(closing) => {
                let Some((unused, cap)) = self.left_over(closing) else {
                    return Ok(());
                };
                (
                    EntryKind::Rollover,
                    closing.invoice.as_str(),
                    unused,
                    purse.roll_over(unused, cap)?,
                )
            }
            Step::Grant(b) => (EntryKind::Grant, b.session.as_str(), b.credits, purse.grant(b.credits)?),
            Step::Take(event, more) if more < 0 => (EntryKind::Returned, event, -more, purse.grant(-more)?),
            Step::Take(event, more) => (EntryKind::TakenBack, event, more, purse.take_back(more)?),
        };
        self.done.balance.purse = purse.after(change)?;
        self.done.entries.push(TimelineEntry {
            at,
            kind,
            cause: cause.to_owned(),
            amount,
            change,
        });
        Ok(())
    }

    fn begin(&mut self, term: &'a Term) {
        let window = Some(term.window());
        let balance = &mut self.done.balance;
        balance.used = self.done.used.get(&window).copied().unwrap_or_default();
        balance.window = window;
        balance.limits = term.of(self.meter);
        self.term = Some(term);
    }

    /// What a closed period left over, and the most that rollover may hold; none
    /// if nothing of this meter rolls over.
    fn left_over(&self, closing: &Closing) -> Option<(i64, i64)> {
        let own = |t: &&Term| t.subscription == closing.subscription && t.since < closing.ended.end;
        let cap = self.story.terms.iter().rev().find(own)?.caps.get(self.meter).copied()?;
        if !closing.paid {
            return None;
        }
        let within = |w: &Window| {
            w.subscription == closing.subscription && closing.ended.start <= w.start && w.start < closing.ended.end
        };
        let counted = self.done.used.iter().filter(|(w, _)| w.as_ref().is_some_and(within));
        let used: i128 = counted.map(|(_, used)| i128::from(*used)).sum();
        let unused = (self.allowance(closing) - used).max(0);
        (unused > 0).then(|| (i64::try_from(unused).unwrap_or(i64::MAX), cap))
    }

    /// The limit of a period weighted by time, rounded down: without the time in
    /// trial or without access, and where there was no limit.
    fn allowance(&self, closing: &Closing) -> i128 {
        let Period { start, end } = closing.ended;
        let mut weighted: i128 = 0;
        let terms = &self.story.terms;
        for (place, term) in terms.iter().enumerate() {
            let until = terms.get(place + 1).map_or(Seconds::MAX, |next| next.since);
            if term.subscription != closing.subscription || term.trial || !term.entitled {
                continue;
            }
            let limits = term.of(self.meter);
            let lifted_until = limits.lifted.map_or(Seconds::MIN, |(_, until)| until);
            for (limit, from, to) in [
                (limits.at(Seconds::MIN), term.since, until.min(lifted_until)),
                (limits.own, term.since.max(lifted_until), until),
            ] {
                let seconds = to.clamp(start, end) - from.clamp(start, end);
                let seconds = seconds.max(0);
                weighted += i128::from(limit.unwrap_or_default()) * i128::from(seconds);
            }
        }
        weighted / i128::from(end - start)
    }

    fn end(self) -> Replayed {
        let mut done = self.done;
        if let Some(told) = self.story.told().max() {
            done.balance.since = done.balance.since.max(told);
        }
        done
    }
}
