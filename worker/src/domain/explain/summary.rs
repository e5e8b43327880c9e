//! What a user has, and why, in a few sentences; and what is to be known of each
//! subscription.

use super::{
    explanation::ExplainRequest,
    words::{Moment, tier},
};
use crate::domain::{
    fact::{Seconds, Snapshot},
    ids::UserId,
    subscription::{
        entitlement::{Entitlement, precedence},
        state::Subscription,
    },
};

/// The first lines of a story; `first` is when the first fact of all was told.
pub(super) fn sentences(
    question: &ExplainRequest<'_>,
    has: Option<&Entitlement>,
    current: Option<&Subscription>,
    first: Seconds,
) -> Vec<String> {
    let user = question.user;
    let (Some(has), Some(current)) = (has, current) else {
        let why = if first > question.at {
            format!(
                "Nothing was known of them yet: the first event is of {}.",
                Moment(first)
            )
        } else {
            "No subscription is known to be theirs.".to_owned()
        };
        return vec![format!("{user} may use {} only.", question.free_tier), why];
    };
    let running = has.grace.as_ref().filter(|g| g.until > question.at);
    let head = match running {
        Some(grace) => {
            let (high, until, low) = (&grace.plan.tier, Moment(grace.until), &has.base_tier);
            format!("{user} may use {high} until {until} (grace), then {low}.")
        }
        None if has.entitled => format!("{user} may use {}.", has.base_tier),
        None => format!("{user} may use {} only.", question.free_tier),
    };
    let mut told = vec![head, status(current, has)];
    if let Some(grace) = running {
        let (high, low, since) = (&grace.plan.tier, tier(current.counting_plan()), Moment(grace.since));
        told.push(format!(
            "It fell from {high} to {low} at {since}, within a period that was paid and not given back."
        ));
    } else if let Some(grace) = &has.grace {
        told.push(format!(
            "Its grace of {} was over at {}.",
            grace.plan.tier,
            Moment(grace.until)
        ));
    }
    if let Some(held) = current.held.as_ref().filter(|_| has.entitled) {
        let (upgrade, invoice) = (tier(current.plan.as_ref()), &held.invoice);
        told.push(format!(
            "Its upgrade to {upgrade} does not count until {invoice}, whose payment failed, is paid."
        ));
    }
    if has.is_canceling {
        let end = has.cancel_at.or(has.period.map(|p| p.end)).map(Moment);
        told.push(end.map_or("It will end.".to_owned(), |end| format!("It will end at {end}.")));
    }
    told
}

/// What the status means.
fn status(current: &Subscription, has: &Entitlement) -> String {
    let until = |what: &str, at: Option<Seconds>| at.map_or(String::new(), |at| format!("{what}{}", Moment(at)));
    let means = match has.status.as_str() {
        "active" => format!("is active{}", until("; its period ends at ", has.period.map(|p| p.end))),
        "trialing" => format!("is in its trial{}", until(" until ", has.trial_end)),
        "past_due" => {
            "is past due: Stripe still tries to collect the payment, and until then it gives access".to_owned()
        }
        "incomplete" => "is incomplete: its first payment has not come yet".to_owned(),
        "incomplete_expired" => "has expired: its first payment never came".to_owned(),
        "unpaid" => "is unpaid: Stripe has given up collecting the payment".to_owned(),
        "paused" => "is paused: its trial ended without a way to pay".to_owned(),
        "canceled" => format!("is canceled{}", until("; its end was decided at ", has.canceled_at)),
        other => format!("has the status {other}, which gives no access"),
    };
    format!("Subscription {} ({}) {means}.", current.id, has.tier)
}

/// Why a subscription decides, or does not, and what else is to be known of it.
pub(super) fn notes(
    subscription: &Subscription,
    user: Option<&UserId>,
    current: Option<&Subscription>,
    question: &ExplainRequest<'_>,
) -> Vec<String> {
    let mut told = Vec::new();
    let is_current = current.is_some_and(|c| c.id == subscription.id);
    match (user, current) {
        (None, _) => told.push("It waits for a link: no event has said yet whose it is.".to_owned()),
        (Some(user), _) if user != question.user => told.push(format!("It is {user}'s now, and does not count here.")),
        (Some(_), Some(current)) if !is_current => told.push(against(subscription, current)),
        _ => {}
    }
    if subscription.latest.as_ref().is_some_and(|s| s.collection_paused) {
        told.push("The collection of its payments is paused, which changes nothing by itself.".to_owned());
    }
    if is_current || !subscription.ended {
        let unpaid = subscription.failed.iter().map(|f| f.invoice.as_str());
        let unpaid: Vec<&str> = unpaid.collect();
        if !unpaid.is_empty() {
            told.push(format!("Not paid: {}.", unpaid.join(", ")));
        }
    }
    if subscription.undecided > 0 {
        told.push(format!(
            "In {} of its seconds no evidence orders the changes: there the event ids decide.",
            subscription.undecided
        ));
    }
    told
}

/// Why another subscription is the current one.
fn against(subscription: &Subscription, current: &Subscription) -> String {
    let Some(latest) = &subscription.latest else {
        return "It is not the current one: only invoices or its checkout tell of it so far.".to_owned();
    };
    let place = |s: &Subscription, latest: &Snapshot| {
        let (entitled, rank, since, _) = precedence(s, latest);
        (entitled, rank, since)
    };
    let own = place(subscription, latest);
    let other = current.latest.as_ref().map_or(own, |latest| place(current, latest));
    let why = if other.0 != own.0 {
        "gives access, this one does not"
    } else if other.1 != own.1 {
        "is of a higher tier"
    } else if other.2 != own.2 {
        "was created later"
    } else {
        "is equal in all else, and its id decides"
    };
    format!("It is not the current one: {} {why}.", current.id)
}
