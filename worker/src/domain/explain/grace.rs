//! What a fact changed about the grace, and why a downgrade began none.

use super::transition::{ChangeKind, ChangeNote, Transition};
use crate::domain::{
    fact::{FactBody, InvoiceStep, Seconds, SubscriptionFact, entitled},
    moment::Moment,
    subscription::{
        grace::Grace,
        invoices,
        state::{BaseState, Subscription},
    },
};

pub(super) fn changes(transition: &Transition<'_>) -> Vec<ChangeNote> {
    // A grace ends at its time, without an event.
    fn running(state: &Subscription, at: Seconds) -> Option<&Grace> {
        state.grace.as_ref().filter(|g| g.until > at)
    }
    let (old, new) = (
        running(transition.before, transition.at()),
        running(transition.after, transition.at()),
    );
    let same = |a: &Grace, b: &Grace| a.plan.tier == b.plan.tier && a.until == b.until;
    let mut notes = Vec::new();
    match (old, new) {
        (Some(old), Some(new)) if same(old, new) => {}
        (_, Some(new)) => notes.push(began(transition, new)),
        (Some(old), None) => {
            let words = format!("grace of {} ends: {}", old.plan.tier, ended(transition, old));
            notes.push(ChangeKind::GraceEnded.note(words));
        }
        (None, None) => {}
    }
    if !notes.iter().any(|c| c.kind == ChangeKind::GraceBegan) {
        notes.extend(no_grace(transition, new));
    }
    notes
}

fn began(transition: &Transition<'_>, grace: &Grace) -> ChangeNote {
    let why = match &transition.fact.body {
        FactBody::Subscription(_) => "it is paid until then".to_owned(),
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid => {
            format!("the period of the downgrade at {} is paid now", Moment(grace.since))
        }
        FactBody::RefundFailed(_) | FactBody::Dispute(_) => format!(
            "the money of the period of the downgrade at {} is there again",
            Moment(grace.since)
        ),
        _ => format!("the downgrade was at {}", Moment(grace.since)),
    };
    ChangeKind::GraceBegan.note(format!(
        "grace begins: {} until {}; {why}",
        grace.plan.tier,
        Moment(grace.until)
    ))
}

fn ended(transition: &Transition<'_>, grace: &Grace) -> String {
    if !transition.after.entitled() {
        return "the subscription no longer gives access".to_owned();
    }
    match &transition.fact.body {
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid && i.billing_reason.renews() => {
            "the renewal is paid".to_owned()
        }
        FactBody::Invoice(i) if i.step == InvoiceStep::Paid && i.credits() => "the change was credited".to_owned(),
        FactBody::InvoiceItem(_) => "the change was credited".to_owned(),
        FactBody::Invoice(_) => "its period turned out to be unpaid".to_owned(),
        FactBody::ChargeRefunded(_) | FactBody::Dispute(_) => "the money of its period went back".to_owned(),
        FactBody::Subscription(_) => match transition.after.base_plan() {
            Some(plan) if plan.rank >= grace.plan.rank => format!("the tier is {} again", plan.tier),
            _ => "a new period began".to_owned(),
        },
        _ => "a later fact changed the decision".to_owned(),
    }
}

/// Why a downgrade began no grace of its own; none if the fact is no downgrade.
fn no_grace(transition: &Transition<'_>, running: Option<&Grace>) -> Option<ChangeNote> {
    let FactBody::Subscription(fact) = &transition.fact.body else {
        return None;
    };
    let old = counts_before(transition.before, fact)?;
    let new = transition.after.base_plan()?;
    if !transition.after.entitled() || new.rank >= old.plan.rank {
        return None;
    }
    if let Some(grace) = running {
        let words = format!("grace of {} continues until {}", grace.plan.tier, Moment(grace.until));
        return Some(ChangeKind::NoGrace.note(words));
    }
    let start = fact.now.period.map_or(transition.at(), |p| p.start);
    let why = match old.status.as_str() {
        "trialing" => "it was a trial".to_owned(),
        status if !entitled(status) => format!("the subscription was {status}"),
        _ if start >= old.period.end => "the lower tier begins with a new period".to_owned(),
        _ if transition.after.grace.is_some() => "its period is over".to_owned(),
        _ if invoices::unpaid(&[], &transition.after.returned, old.period) => {
            "the money of its period went back".to_owned()
        }
        _ if invoices::unpaid(
            transition.after.failed.iter().chain(&transition.after.settled),
            &[],
            old.period,
        ) =>
        {
            "its period was not paid".to_owned()
        }
        _ => "the change was credited".to_owned(),
    };
    Some(ChangeKind::NoGrace.note(format!("no grace for {}: {why}", old.plan.tier)))
}

/// What counted before a snapshot. Where an earlier event is missing, the
/// snapshot's own `previous_attributes` say it.
fn counts_before(before: &Subscription, fact: &SubscriptionFact) -> Option<BaseState> {
    let known = before.latest.as_ref();
    match &fact.before {
        Some(own) if own.plan.is_some() && known.is_none_or(|latest| !latest.shows_same(own)) => Some(BaseState {
            plan: own.plan.clone()?,
            period: own.period.or(before.period)?,
            status: own.status.clone(),
        }),
        _ => before.base_state(),
    }
}
