//! Stages: what a subscription was over time, before any number is computed.
//!
//! Example: Basic begins on 1 March, becomes Max on 11 March and falls back to Basic on 21
//! March, uncredited. That is three stages of one period; in the third the grace keeps the
//! limits of Max.

use crate::domain::{
    fact::{Fact, FactBody, InvoiceFact, InvoiceLine, Period, Plan, Seconds},
    ids::{EventId, SubscriptionId},
    subscription::{
        entitlement::precedence,
        invoices::{InvoiceEvidence, NEAR_S_MAX, same_plan},
        order::in_order,
        state::{BaseState, Subscription},
    },
};
use std::collections::BTreeMap;

/// What one subscription is from a moment on, until its next stage begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// The first second of the stage.
    pub since: Seconds,
    /// The billing period that the stage is part of.
    pub period: Period,
    /// Whether the subscription gives access.
    pub entitled: bool,
    /// Whether it is a trial.
    pub trial: bool,
    /// Whether a cancellation is scheduled.
    pub canceling: bool,
    /// The plan. Of several catalogs by which its events of this period were read, it has
    /// the highest limits: a catalog lowers no limit within a period.
    pub plan: Plan,
    /// The plans that the period sells, now or before, and whose limits a catalog has
    /// raised: the stage's first second shows it.
    pub raised: Vec<Plan>,
    /// The plan whose limits a grace keeps in this period.
    pub kept: Option<Plan>,
    /// The subscription's own `created`.
    pub subscribed_at: Seconds,
    /// The first second after an end of which no event told. From then on nothing is included.
    pub ends_at: Option<Seconds>,
    /// How its period began, if it began with a change of the subscription.
    pub beginning: Option<Beginning>,
}

/// The change with which a period began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The first event that shows the period.
    pub event: EventId,
    /// Whether the change gave money back for the period before.
    pub credited: bool,
}

impl Stage {
    /// The stage that a state of a subscription begins at `at`; none before its plan and
    /// period are known. `grace_began_in` is the first second of the period in which the
    /// grace began.
    fn of_state(state: &Subscription, at: Seconds, grace_began_in: Option<Seconds>) -> Option<Self> {
        let (BaseState { plan, period, status }, latest) = (state.base_state()?, state.latest.as_ref()?);
        let entitled = state.entitled();
        // A period that begins during a grace has the limits of its own tier.
        let grace = state.grace.as_ref().filter(|_| grace_began_in == Some(period.start));
        Some(Self {
            // A change lies within the period that it shows; an end may come after the period.
            since: if entitled { at.min(period.end - 1) } else { at }.max(period.start),
            period,
            entitled,
            trial: status == "trialing",
            canceling: !precedence(state, latest, Seconds::MIN).goes_on,
            plan,
            raised: Vec::new(),
            kept: grace.map(|g| g.plan.clone()),
            subscribed_at: latest.subscribed_at,
            ends_at: state.ends_untold_at(),
            beginning: None,
        })
    }

    /// Whether both stages differ at most in their first second, and this one raises nothing.
    fn is_same(&self, other: &Self) -> bool {
        let (since, beginning) = (self.since, self.beginning.clone());
        *self
            == Self {
                since,
                beginning,
                raised: Vec::new(),
                ..other.clone()
            }
    }
}

/// The state before an event, by the event's own `previous_attributes`.
fn state_before(id: &SubscriptionId, fact: &Fact) -> Option<Subscription> {
    let FactBody::Subscription(fact) = &fact.body else {
        return None;
    };
    let before = fact.before.as_ref()?;
    Some(Subscription {
        latest: Some(before.clone()),
        plan: before.plan.clone(),
        period: before.period,
        ..Subscription::unknown(id.clone())
    })
}

/// The plans of one period by price and quantity, each with the highest limits that a
/// catalog gave it.
#[derive(Debug, Default)]
struct SoldPlans {
    start: Seconds,
    plans: BTreeMap<(String, i64), Plan>,
}

impl SoldPlans {
    /// The plan as this period sells it, and whether it was sold in the period before with a
    /// lower limit.
    fn sold(&mut self, plan: Plan, period: Period) -> (Plan, bool) {
        if self.start != period.start {
            self.plans.clear();
            self.start = period.start;
        }
        let key = (plan.price.clone(), plan.quantity);
        let (sold, has_risen) = match self.plans.get(&key) {
            Some(known) => {
                let sold = raised(plan, known);
                let limits = |p: &Plan| [&p.limits, p.month_limits(), p.trial_limits()].map(Clone::clone);
                let has_risen = limits(&sold) != limits(known);
                (sold, has_risen)
            }
            None => (plan, false),
        };
        self.plans.insert(key, sold.clone());
        (sold, has_risen)
    }
}

/// The plan with the higher limit of both for each meter.
fn raised(plan: Plan, known: &Plan) -> Plan {
    type Limits = BTreeMap<String, Option<i64>>;
    let higher = |a: &Limits, b: &Limits| -> Limits {
        let meters = a.keys().chain(b.keys());
        let limit = |meter: &String| match (a.get(meter), b.get(meter)) {
            (Some(None), _) | (_, Some(None)) => None,
            (a, b) => a.copied().flatten().max(b.copied().flatten()),
        };
        meters.map(|meter| (meter.clone(), limit(meter))).collect()
    };
    let limits = higher(&plan.limits, &known.limits);
    let month = higher(plan.month_limits(), known.month_limits());
    let trial = higher(plan.trial_limits(), known.trial_limits());
    Plan {
        trial_limits: Some(trial).filter(|trial| *trial != month),
        month_limits: Some(month).filter(|month| *month != limits),
        limits,
        ..plan
    }
}

/// The stages of one subscription, from all of its facts in any order; sorted by `since`.
#[must_use]
pub fn of_subscription(id: &SubscriptionId, facts: &[&Fact]) -> Vec<Stage> {
    let ordered = in_order(facts.iter().copied(), None);
    let evidence = InvoiceEvidence::from_facts(id, &ordered.facts);
    let mut builder = StageBuilder {
        stages: Vec::new(),
        sold: SoldPlans::default(),
        grace_began_in: None,
        last: Subscription::unknown(id.clone()),
        lacks_snapshot: false,
    };
    let mut folded = ordered.facts.iter().enumerate();
    Subscription::fold_with(id.clone(), &ordered, |at, state| {
        if let Some((index, fact)) = folded.next() {
            let credited = || evidence.for_fact(index).credited || resets_with_credit(fact, &ordered.facts);
            builder.take_in(fact, at, state, credited);
        }
    });
    builder.stages
}

/// Whether a change that leaves the plan as it is, such as a new day of billing, gave money
/// back: a credit of the subscription comes within a minute of it. A held change begins with
/// the invoice that frees it: then that invoice shows it.
fn resets_with_credit(change: &Fact, facts: &[&Fact]) -> bool {
    let s = match &change.body {
        FactBody::Subscription(s) => s,
        FactBody::Invoice(invoice) => return invoice.credits(),
        _ => return false,
    };
    let plan = s.now.plan.as_ref();
    let before = s.before.as_ref().and_then(|b| b.plan.as_ref());
    let keeps_plan = plan.zip(before).is_none_or(|(now, before)| same_plan(now, before));
    let credits = |fact: &&Fact| match &fact.body {
        FactBody::Invoice(invoice) => invoice.credits(),
        FactBody::InvoiceItem(item) => item.credits(),
        _ => false,
    };
    let is_near = |fact: &&Fact| (fact.created - change.created).abs() <= NEAR_S_MAX;
    keeps_plan && facts.iter().copied().filter(is_near).any(|f| credits(&f))
}

/// Whether an invoice pays for the period, by its lines that are no prorations. Lines beyond
/// the first page may.
fn pays_for(invoice: &InvoiceFact, period: Option<Period>) -> bool {
    let start = period.map(|p| p.start);
    let begins = |line: &InvoiceLine| line.period.map(|p| p.start) == start;
    let mut lines = invoice.lines.iter().filter(|l| !l.proration);
    lines.any(begins) || invoice.lines_cut && invoice.period.map(|p| p.end) == start
}

struct StageBuilder {
    stages: Vec<Stage>,
    sold: SoldPlans,
    /// The first second of the period in which the running grace began.
    grace_began_in: Option<Seconds>,
    /// The state before the next fact.
    last: Subscription,
    /// Whether an invoice paid for a period that no snapshot shows yet.
    lacks_snapshot: bool,
}

impl StageBuilder {
    /// Takes in the state after a fact.
    fn take_in(&mut self, fact: &Fact, at: Seconds, state: &Subscription, credited: impl FnOnce() -> bool) {
        let before = state_before(&state.id, fact);
        self.note_grace(state, before.as_ref());
        // The first payment covers the whole period, and so does a later invoice that settles
        // a suspended change.
        let was_incomplete = self.last.latest.as_ref().is_some_and(|l| l.status == "incomplete");
        let was_suspended = self.last.suspended.is_some() && state.suspended.is_none();
        let freed_by = match &fact.body {
            FactBody::Invoice(invoice) if was_suspended => Some(invoice),
            _ => None,
        };
        let pays_whole_period = was_incomplete || freed_by.is_some();
        self.last = state.clone();
        // The invoice of a later period may come before the snapshot that shows this period.
        // It changes nothing of the period that is still shown.
        let is_snapshot = matches!(fact.body, FactBody::Subscription(_));
        let is_early = freed_by.is_some_and(|invoice| !pays_for(invoice, state.period));
        self.lacks_snapshot = !is_snapshot && (self.lacks_snapshot || is_early);
        let has_ended = !is_snapshot && state.period.is_some_and(|p| at >= p.end);
        if self.lacks_snapshot || has_ended {
            return;
        }
        let Some(mut new) = Stage::of_state(state, at, self.grace_began_in) else {
            return;
        };
        if self.stages.is_empty()
            && let Some(first) = before.as_ref().and_then(|before| Stage::of_state(before, at, None))
        {
            self.push_first(first);
        }
        let start = new.period.start;
        let shown = before.as_ref().and_then(Subscription::base_state);
        self.sell(&mut new, shown.map(|shown| (shown.plan, shown.period)));
        if pays_whole_period && new.entitled {
            new.beginning = self.drop_period(start);
        }
        let Some(previous) = self.stages.last() else {
            self.push_first(new);
            return;
        };
        let begins = start != previous.period.start;
        // A new period counts from its first second; a change within a period, from its event.
        new.since = if begins { start } else { new.since }.max(previous.since);
        if begins && new.beginning.is_none() {
            let (event, credited) = (fact.event_id.clone(), credited());
            new.beginning = Some(Beginning { event, credited });
        }
        if new.is_same(previous) {
            return;
        }
        if new.since == previous.since
            && let Some(replaced) = self.stages.pop()
            && !begins
        {
            new.beginning = replaced.beginning;
            new.raised.splice(0..0, replaced.raised);
        }
        self.stages.push(new);
    }

    /// Removes the stages of the last period, if it began at `start`. Returns how it began.
    fn drop_period(&mut self, start: Seconds) -> Option<Beginning> {
        let mut beginning = None;
        while let Some(stage) = self.stages.pop_if(|stage| stage.period.start == start) {
            beginning = stage.beginning;
        }
        beginning
    }

    fn push_first(&mut self, mut first: Stage) {
        first.since = first.period.start;
        first.plan = self.sold.sold(first.plan, first.period).0;
        self.stages.push(first);
    }

    /// Gives a stage the limits that its period sells. The plan `before` the event was read
    /// with the same catalog, so it may show a raise too.
    fn sell(&mut self, stage: &mut Stage, before: Option<(Plan, Period)>) {
        if let Some((plan, period)) = before
            && period.start == stage.period.start
            && let (plan, true) = self.sold.sold(plan, period)
        {
            stage.raised.push(plan);
        }
        let (plan, has_risen) = self.sold.sold(stage.plan.clone(), stage.period);
        if has_risen {
            stage.raised.push(plan.clone());
        }
        stage.plan = plan;
    }

    /// Notes in which period the grace of a new state began.
    fn note_grace(&mut self, state: &Subscription, before: Option<&Subscription>) {
        let grace_since = |state: &Subscription| state.grace.as_ref().map(|g| g.since);
        if grace_since(state) == grace_since(&self.last) {
            return;
        }
        // A failed upgrade in between does not show what counted; the known state does.
        let changed = match before {
            Some(before) if self.last.suspended.is_none() => before,
            _ => &self.last,
        };
        let began_in = || changed.base_state().map(|c| c.period.start);
        self.grace_began_in = grace_since(state).and_then(|_| began_in());
    }
}
