//! The balances of a user: each change of a meter in order, the bucket that paid
//! or received, and why. The timeline is replayed usage by usage, as of a moment.

use super::{
    balance_words::{self, MeterContext},
    explanation::ExplainRequest,
    limit_words,
    meter_history::{BalanceLine, EARLIER_USAGE, LedgerRecord, LineKind, MeterHistory, PaidFrom},
    sold::SoldHistory,
};
use crate::domain::{
    balance::{
        closing::Closing,
        cuts::Cut,
        replay::replay,
        terms::{Term, Window},
        timeline::{EntryKind, MeterBalance, Timeline, TimelineEntry, UsageSum},
        waterfall::{BalanceChange, Overflow},
    },
    fact::{Fact, Seconds},
    moment::Moment,
};
use std::collections::{BTreeMap, BTreeSet};

/// Most usage lines that are shown one by one. If there are more, neighbouring
/// ones are summed up.
const USAGE_LINES_MAX: usize = 50;

/// All meters of the user, as of the request's moment.
pub(super) fn meters(facts: &[Fact], recorded: &[LedgerRecord], request: &ExplainRequest<'_>) -> Vec<MeterHistory> {
    let facts: Vec<&Fact> = facts.iter().filter(|f| request.counts(f.created)).collect();
    let mut timeline = Timeline::of(request.user, facts.iter().copied());
    if request.is_past {
        remove_later(&mut timeline, request.at);
    }
    let mut by_meter: BTreeMap<String, Vec<&TimelineEntry>> =
        timeline.meters().into_iter().map(|m| (m, Vec::new())).collect();
    for LedgerRecord { meter, entry } in recorded.iter().filter(|r| request.counts(r.entry.at)) {
        by_meter.entry(meter.clone()).or_default().push(entry);
    }
    let sold = SoldHistory::of(&timeline, &facts);
    let history = |(meter, entries): (String, Vec<&TimelineEntry>)| {
        let context = MeterContext {
            timeline: &timeline,
            facts: &facts,
            sold: &sold,
            meter: &meter,
        };
        history(&context, &entries, request.at).unwrap_or_else(|Overflow| MeterHistory::overflow(&meter))
    };
    by_meter.into_iter().map(history).collect()
}

/// Removes what begins after a moment. The events of a test clock announce times
/// long after their own.
fn remove_later(timeline: &mut Timeline, at: Seconds) {
    timeline.terms.retain(|t| t.since <= at);
    timeline.closings.retain(|c| c.at <= at);
    timeline.cuts.retain(|c| c.at <= at);
    timeline.purchases.retain(|p| p.at <= at);
    for purchase in &mut timeline.purchases {
        purchase.taken_back.retain(|t| t.at <= at);
    }
}

/// What changes a meter, or decides about later changes.
#[derive(Debug, Clone, Copy)]
enum MeterStep<'a> {
    Term(&'a Term),
    /// The end of a subscription that no event told of.
    UntoldEnd(&'a Term),
    /// A period that ended early and left nothing.
    NothingKept(&'a Cut),
    /// A closing after which nothing rolled over.
    NoRollover(&'a Closing),
    /// An entry of the replay.
    Entry(&'a TimelineEntry),
    Usage(&'a TimelineEntry),
}

impl MeterStep<'_> {
    /// The order within one second, the same as that of the replay.
    fn rank(&self) -> u8 {
        match self {
            Self::Term(_) => 0,
            Self::NothingKept(_) => 1,
            Self::UntoldEnd(_) | Self::NoRollover(_) => 2,
            Self::Entry(entry) => match entry.kind {
                EntryKind::Carried | EntryKind::Overused => 1,
                EntryKind::Rollover => 2,
                EntryKind::Grant => 3,
                _ => 4,
            },
            Self::Usage(_) => 5,
        }
    }
}

fn history(context: &MeterContext<'_>, recorded: &[&TimelineEntry], at: Seconds) -> Result<MeterHistory, Overflow> {
    let is_usage = |e: &&&TimelineEntry| e.kind == EntryKind::Usage;
    let usage: Vec<&TimelineEntry> = recorded.iter().filter(is_usage).copied().collect();
    let sums: Vec<UsageSum> = usage
        .iter()
        .map(|e| UsageSum {
            at: e.at,
            amount: e.amount,
        })
        .collect();
    let replayed = replay(context.timeline, context.meter, &sums)?;
    let mut builder = LineBuilder {
        context,
        balance: MeterBalance::default(),
        used: BTreeMap::new(),
        term: None,
        lines: Vec::new(),
    };
    for (at, step) in steps(context, &replayed.entries, &usage, at) {
        builder.apply(at, step)?;
    }
    let balance = replayed.balance;
    let plan_limit = balance.limits.at(at);
    let last = context.timeline.terms.last().filter(|_| plan_limit != Some(0));
    let limit_reason = last.and_then(|term| limit_words::reason(term, context.meter, context.sold));
    let corrections = recorded.iter().filter(|e| e.kind == EntryKind::Correction);
    Ok(MeterHistory {
        meter: context.meter.to_owned(),
        summary: balance_words::summary(&balance, plan_limit, limit_reason.as_deref()),
        plan_limit,
        limit_reason,
        used: balance.used,
        rollover: balance.carried.rollover,
        purchased: balance.carried.purchased,
        available: balance_words::available(&balance, plan_limit),
        lines: builder.lines,
        corrections: corrections
            .map(|e| BalanceLine::of(e, LineKind::Correction, context.correction(e)))
            .collect(),
    })
}

fn steps<'a>(
    context: &MeterContext<'a>,
    entries: &'a [TimelineEntry],
    usage: &[&'a TimelineEntry],
    at: Seconds,
) -> Vec<(Seconds, MeterStep<'a>)> {
    let timeline = context.timeline;
    let mut steps: Vec<(Seconds, MeterStep<'a>)> = Vec::new();
    for (place, term) in timeline.terms.iter().enumerate() {
        steps.push((term.since, MeterStep::Term(term)));
        let next = timeline.terms.get(place + 1).map_or(Seconds::MAX, |t| t.since);
        if let Some(end) = term.ends_at.filter(|end| *end < next && *end <= at) {
            steps.push((end, MeterStep::UntoldEnd(term)));
        }
    }
    let causes = |kinds: [EntryKind; 2]| -> BTreeSet<&str> {
        let own = entries.iter().filter(|e| kinds.contains(&e.kind));
        own.map(|e| e.cause.as_str()).collect()
    };
    let rolled_over = causes([EntryKind::Rollover; 2]);
    let no_rollover = timeline
        .closings
        .iter()
        .filter(|c| !rolled_over.contains(c.invoice.as_str()));
    steps.extend(no_rollover.map(|c| (c.at, MeterStep::NoRollover(c))));
    let kept = causes([EntryKind::Carried, EntryKind::Overused]);
    let nothing_kept = timeline.cuts.iter().filter(|c| !kept.contains(c.event.as_str()));
    steps.extend(nothing_kept.map(|c| (c.at, MeterStep::NothingKept(c))));
    steps.extend(entries.iter().map(|e| (e.at, MeterStep::Entry(e))));
    steps.extend(usage.iter().map(|e| (e.at, MeterStep::Usage(e))));
    steps.sort_by_key(|(at, step)| (*at, step.rank()));
    steps
}

/// Applies the steps as the replay does, and writes a line for each.
struct LineBuilder<'t, 'a> {
    context: &'t MeterContext<'a>,
    balance: MeterBalance,
    used: BTreeMap<Option<Window>, i64>,
    /// The term before.
    term: Option<&'t Term>,
    lines: Vec<BalanceLine>,
}

impl<'t> LineBuilder<'t, '_> {
    fn apply(&mut self, at: Seconds, step: MeterStep<'t>) -> Result<(), Overflow> {
        let line = match step {
            MeterStep::Term(term) => self.begin(term),
            MeterStep::UntoldEnd(term) => {
                let words = balance_words::untold_end(term);
                let cause = term.subscription.as_str();
                Some(BalanceLine::without_change(at, LineKind::Limit, cause, words))
            }
            MeterStep::NothingKept(cut) => self
                .context
                .nothing_kept(cut)
                .map(|words| BalanceLine::without_change(at, LineKind::NoRollover, cut.event.as_str(), words)),
            MeterStep::NoRollover(closing) => self
                .context
                .no_rollover(closing)
                .map(|words| BalanceLine::without_change(at, LineKind::NoRollover, &closing.invoice, words)),
            MeterStep::Entry(entry) => {
                let words = self.context.entry(entry, self.balance.carried);
                self.balance.carried = self.balance.carried.after(entry.change)?;
                Some(BalanceLine::of(entry, kind(entry.kind), words))
            }
            MeterStep::Usage(entry) => Some(self.spend(at, entry)?),
        };
        let available = balance_words::available(&self.balance, self.balance.limits.at(at));
        self.lines.extend(line.map(|line| BalanceLine { available, ..line }));
        Ok(())
    }

    fn begin(&mut self, term: &'t Term) -> Option<BalanceLine> {
        let (window, limits) = (Some(term.window()), term.limits_of(self.context.meter));
        let period = |term: &Term| (term.subscription.clone(), term.period.start);
        // The first period after a trial may go on with the trial's counter.
        let before = self.term.replace(term);
        let comes_back = before.is_some_and(|before| before.handed_over && !term.handed_over);
        let is_new = comes_back || before.map(period) != Some(period(term));
        if !is_new && window == self.balance.window && limits == self.balance.limits {
            return None;
        }
        let restarts = !is_new && window != self.balance.window;
        self.balance.used = self.used.get(&window).copied().unwrap_or_default();
        self.balance.window = window;
        self.balance.limits = limits;
        let mut words = self.context.limit(term, is_new, self.balance.used);
        if restarts {
            words.push_str("; the counter of the trial is over");
        }
        let cause = term.subscription.as_str();
        Some(BalanceLine::without_change(term.since, LineKind::Limit, cause, words))
    }

    fn spend(&mut self, at: Seconds, entry: &TimelineEntry) -> Result<BalanceLine, Overflow> {
        let before = self.balance.carried;
        let change = self.balance.spend(at, entry.amount)?;
        *self.used.entry(self.balance.window.clone()).or_default() += change.used;
        let from_rollover = before.rollover.max(0).min(-change.rollover);
        let paid = PaidFrom {
            limit: change.used,
            rollover: from_rollover,
            purchased: -change.purchased,
            debt: -change.rollover - from_rollover,
        };
        let entry = TimelineEntry {
            change,
            ..entry.clone()
        };
        let words = format!("usage {}: {}", entry.cause, balance_words::paid_from(paid));
        let line = BalanceLine::of(&entry, LineKind::Usage, words);
        Ok(BalanceLine {
            paid: Some(paid),
            ..line
        })
    }
}

fn kind(of: EntryKind) -> LineKind {
    match of {
        EntryKind::Rollover => LineKind::Rollover,
        EntryKind::Carried => LineKind::Carried,
        EntryKind::Overused => LineKind::Overused,
        EntryKind::Grant => LineKind::Grant,
        EntryKind::TakenBack => LineKind::TakenBack,
        EntryKind::Returned => LineKind::Returned,
        EntryKind::Usage => LineKind::Usage,
        EntryKind::Correction => LineKind::Correction,
    }
}

impl BalanceLine {
    fn of(entry: &TimelineEntry, kind: LineKind, words: String) -> Self {
        let BalanceChange {
            used,
            rollover,
            purchased,
        } = entry.change;
        Self {
            at: Moment(entry.at),
            kind,
            cause: entry.cause.clone(),
            amount: entry.amount,
            paid: None,
            used,
            rollover,
            purchased,
            available: None,
            words,
        }
    }

    fn without_change(at: Seconds, kind: LineKind, cause: &str, words: String) -> Self {
        Self {
            at: Moment(at),
            kind,
            cause: cause.to_owned(),
            amount: 0,
            paid: None,
            used: 0,
            rollover: 0,
            purchased: 0,
            available: None,
            words,
        }
    }
}

impl MeterHistory {
    /// A meter whose balance does not fit into 64 bits.
    fn overflow(meter: &str) -> Self {
        Self {
            meter: meter.to_owned(),
            summary: "It cannot be computed: the balance would not fit into 64 bits.".to_owned(),
            plan_limit: Some(0),
            limit_reason: None,
            used: 0,
            rollover: 0,
            purchased: 0,
            available: Some(0),
            lines: Vec::new(),
            corrections: Vec::new(),
        }
    }

    /// The lines for people to read. If there are many usage lines, neighbouring
    /// ones are summed up.
    #[must_use]
    pub fn summed_lines(&self) -> Vec<(Moment, String)> {
        let is_usage = |line: &&BalanceLine| line.kind == LineKind::Usage;
        let sums_up = self.lines.iter().filter(is_usage).count() > USAGE_LINES_MAX;
        let belong_together = |a: &BalanceLine, b: &BalanceLine| sums_up && is_usage(&a) && is_usage(&b);
        let runs = self.lines.chunk_by(belong_together);
        runs.filter_map(|run| {
            let (first, last) = (run.first()?, run.last()?);
            let words = if run.len() == 1 {
                first.words.clone()
            } else {
                let count = run.iter().all(|l| l.cause != EARLIER_USAGE).then_some(run.len());
                balance_words::usage_sum(run.iter().filter_map(|l| l.paid), count, first.at, last.at)
            };
            Some((first.at, words))
        })
        .collect()
    }
}

#[cfg(test)]
#[path = "balances_tests.rs"]
mod tests;
