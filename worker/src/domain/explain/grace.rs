//! What a fact did to the grace, and why a downgrade left none.

use super::{
    transition::{ChangeKind, ChangeNote, Transition},
    words::Moment,
};
use crate::domain::{
    fact::{FactBody, InvoiceStep, Seconds, SubscriptionFact},
    subscription::{
        grace::Grace,
        invoices,
        state::{Counts, Subscription},
    },
};

pub(super) fn changes(step: &Transition<'_>) -> Vec<ChangeNote> {
    // One whose time has passed is over without any event.
    fn running(state: &Subscription, at: Seconds) -> Option<&Grace> {
        state.grace.as_ref().filter(|g| g.until > at)
    }
    let (old, new) = (running(step.before, step.at()), running(step.after, step.at()));
    let same = |a: &Grace, b: &Grace| a.plan.tier == b.plan.tier && a.until == b.until;
    let mut told = Vec::new();
    match (old, new) {
        (Some(old), Some(new)) if same(old, new) => {}
        (_, Some(new)) => told.push(began(step, new)),
        (Some(old), None) => {
            let words = format!("grace of {} ends: {}", old.plan.tier, ended(step, old));
            told.push(ChangeKind::GraceEnded.is(words));
        }
        (None, None) => {}
    }
    if !told.iter().any(|c| c.kind == ChangeKind::GraceBegan) {
        told.extend(none(step, new));
    }
    told
}

fn began(step: &Transition<'_>, grace: &Grace) -> ChangeNote {
    let why = match &step.fact.body {
        FactBody::Subscription(_) => "what was paid for stays until its period ends".to_owned(),
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid => {
            format!("the period before the downgrade of {} is paid now", Moment(grace.since))
        }
        _ => format!("since the downgrade of {}", Moment(grace.since)),
    };
    ChangeKind::GraceBegan.is(format!(
        "grace begins: {} until {}; {why}",
        grace.plan.tier,
        Moment(grace.until)
    ))
}

fn ended(step: &Transition<'_>, grace: &Grace) -> String {
    if !step.after.entitled() {
        return "the subscription gives no access any more".to_owned();
    }
    match &step.fact.body {
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid && i.renews() => "the renewal is paid".to_owned(),
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid && i.credits() => "the change was credited".to_owned(),
        FactBody::InvoiceItem(_) => "the change was credited".to_owned(),
        FactBody::Invoice(_) => "the period was not paid after all".to_owned(),
        FactBody::Subscription(_) => match step.after.counting_plan() {
            Some(plan) if plan.rank >= grace.plan.rank => format!("the tier is {} again", plan.tier),
            _ => "a new period began".to_owned(),
        },
        _ => "what is known now decides so".to_owned(),
    }
}

/// Why a downgrade begins no grace of its own, if this is one.
fn none(step: &Transition<'_>, running: Option<&Grace>) -> Option<ChangeNote> {
    let FactBody::Subscription(fact) = &step.fact.body else {
        return None;
    };
    let old = counts_before(step.before, fact)?;
    let new = step.after.counting_plan()?;
    if !step.after.entitled() || new.rank >= old.plan.rank {
        return None;
    }
    if let Some(grace) = running {
        let words = format!(
            "grace of {} stays as it is, until {}",
            grace.plan.tier,
            Moment(grace.until)
        );
        return Some(ChangeKind::NoGrace.is(words));
    }
    let start = fact.now.period.map_or(step.at(), |p| p.start);
    let why = match old.status.as_str() {
        "trialing" => "it was a trial".to_owned(),
        "past_due" => "its payment was past due".to_owned(),
        status if status != "active" => format!("the subscription was {status}"),
        _ if start >= old.period.end => "the lower tier begins with a new period".to_owned(),
        _ if step.after.grace.is_some() => "its period is over".to_owned(),
        _ if invoices::unpaid(&step.after.failed, old.period) => "its period was not paid".to_owned(),
        _ => "the change was credited".to_owned(),
    };
    Some(ChangeKind::NoGrace.is(format!("no grace for {}: {why}", old.plan.tier)))
}

/// What decided before a snapshot: its own word for it where an event before it is missing.
fn counts_before(before: &Subscription, fact: &SubscriptionFact) -> Option<Counts> {
    let known = before.latest.as_ref();
    match &fact.before {
        Some(own) if own.plan.is_some() && known.is_none_or(|latest| !latest.shows_same(own)) => Some(Counts {
            plan: own.plan.clone()?,
            period: own.period.or(before.period)?,
            status: own.status.clone(),
        }),
        _ => before.counts(),
    }
}
