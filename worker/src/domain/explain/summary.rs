//! The first sentences of an explanation: what a user has and why. And the notes on
//! each subscription.

use super::{
    changes::held_change,
    explanation::ExplainRequest,
    money::RETURNED,
    words::{span, tier},
};
use crate::domain::{
    fact::Seconds,
    ids::UserId,
    moment::Moment,
    subscription::{
        entitlement::{Entitlement, precedence},
        state::Subscription,
    },
};

/// The first sentences of an explanation. `first` is when the user's first event was created.
pub(super) fn sentences(
    request: &ExplainRequest<'_>,
    has: Option<&Entitlement>,
    current: Option<&Subscription>,
    first: Seconds,
) -> Vec<String> {
    let user = request.user;
    let (Some(has), Some(current)) = (has, current) else {
        let why = if first > request.at {
            format!("Nothing was known yet: the first event is from {}.", Moment(first))
        } else {
            "No subscription is linked to this user.".to_owned()
        };
        return vec![format!("{user} may use {} only.", request.free_tier), why];
    };
    let running = has.grace.as_ref().filter(|g| g.until > request.at);
    let head = match running {
        Some(grace) => {
            let (high, until, low) = (&grace.plan.tier, Moment(grace.until), &has.base_tier);
            format!("{user} may use {high} until {until} (grace), then {low}.")
        }
        None if has.entitled => format!("{user} may use {}.", has.base_tier),
        None => format!("{user} may use {} only.", request.free_tier),
    };
    let mut sentences = vec![head, status(current, has)];
    if let Some(grace) = running {
        let (high, low, since) = (&grace.plan.tier, tier(current.base_plan()), Moment(grace.since));
        sentences.push(format!(
            "It was downgraded from {high} to {low} at {since}; the period is paid and was not credited."
        ));
    } else if let Some(grace) = &has.grace {
        sentences.push(format!(
            "Its grace of {} ended at {}.",
            grace.plan.tier,
            Moment(grace.until)
        ));
    }
    if has.entitled
        && let Some(suspended) = &current.suspended
    {
        let (change, invoice) = (held_change(suspended, current.plan.as_ref()), &suspended.invoice);
        sentences.push(format!(
            "Its change {change} does not count until {invoice} or the invoice of a later period is paid; that payment \
             failed."
        ));
    }
    if !has.entitled && current.entitled() {
        let end = current
            .ends_untold_at()
            .map_or(String::new(), |at| format!(" before {}", Moment(at)));
        sentences.push(format!(
            "It should have ended an hour{end}, and no event says that it goes on."
        ));
    }
    if has.is_canceling {
        let end = has.cancel_at.or(has.period.map(|p| p.end)).map(Moment);
        sentences.push(end.map_or("It will end.".to_owned(), |end| format!("It will end at {end}.")));
    }
    sentences
}

/// What the status means.
fn status(current: &Subscription, has: &Entitlement) -> String {
    let until = |what: &str, at: Option<Seconds>| at.map_or(String::new(), |at| format!("{what}{}", Moment(at)));
    let means = match has.status.as_str() {
        "active" => format!("is active{}", until("; its period ends at ", has.period.map(|p| p.end))),
        "trialing" => format!("is in its trial{}", until(" until ", has.trial_end)),
        "past_due" => {
            "is past due: Stripe still tries to collect the payment, and it gives access meanwhile".to_owned()
        }
        "incomplete" => "is incomplete: its first payment has not arrived yet".to_owned(),
        "incomplete_expired" => "has expired: its first payment never arrived".to_owned(),
        "unpaid" => "is unpaid: Stripe has given up collecting the payment".to_owned(),
        "paused" => "is paused: its trial ended without a way to pay".to_owned(),
        "canceled" => format!("is canceled{}", until("; that was requested at ", has.canceled_at)),
        other => format!("has the status {other}, which gives no access"),
    };
    format!("Subscription {} ({}) {means}.", current.id, has.tier)
}

/// Why a subscription is not the current one, and what else an operator should know.
pub(super) fn notes(
    subscription: &Subscription,
    user: Option<&UserId>,
    current: Option<&Subscription>,
    request: &ExplainRequest<'_>,
) -> Vec<String> {
    let mut notes = Vec::new();
    let is_current = current.is_some_and(|c| c.id == subscription.id);
    match (user, current) {
        (None, _) => notes.push("It is not linked yet: no event names its user.".to_owned()),
        (Some(user), _) if user != request.user => {
            notes.push(format!(
                "It belongs to {user} now, so it does not count here. What was used and bought stays with {}.",
                request.user
            ));
        }
        (Some(_), Some(current)) if !is_current => notes.push(why_not_current(subscription, current, request.at)),
        _ => {}
    }
    if subscription.latest.as_ref().is_some_and(|s| s.collection_paused) {
        notes.push("The collection of its payments is paused; this changes nothing by itself.".to_owned());
    }
    notes.extend(other_items(subscription));
    if is_current || !subscription.ended {
        let unpaid = subscription.failed.iter().map(|f| f.invoice.as_str());
        let unpaid: Vec<&str> = unpaid.collect();
        if !unpaid.is_empty() {
            notes.push(format!("Unpaid invoices: {}.", unpaid.join(", ")));
        }
        let returned = subscription.returned.iter();
        notes.extend(returned.map(|r| {
            format!(
                "The money of {} went back: the period {} {RETURNED}.",
                r.invoice,
                span(r.period)
            )
        }));
    }
    if subscription.undecided > 0 {
        notes.push(format!(
            "In {} of its seconds the order of the changes is unknown; there the event ids decide.",
            subscription.undecided
        ));
    }
    notes
}

/// Which of several items is the plan.
fn other_items(subscription: &Subscription) -> Option<String> {
    let latest = subscription.latest.as_ref()?;
    let plan = latest.plan.as_ref()?;
    let item = plan.item.as_ref()?;
    let others = latest.items.iter().filter(|i| i.item != *item);
    let others: Vec<&str> = others.map(|i| i.price.as_str()).collect();
    (!others.is_empty()).then(|| {
        let (own, others) = (&plan.price, others.join(", "));
        format!("Its plan is the item with the price {own}; the other items change nothing: {others}.")
    })
}

/// Why another subscription is the current one.
fn why_not_current(subscription: &Subscription, current: &Subscription, at: Seconds) -> String {
    let Some(latest) = &subscription.latest else {
        return "It is not the current one: so far only its invoices or its checkout are known.".to_owned();
    };
    let own = precedence(subscription, latest, at);
    let other = current
        .latest
        .as_ref()
        .map_or(own, |latest| precedence(current, latest, at));
    let why = if other.entitled != own.entitled {
        "gives access, this one does not"
    } else if other.rank != own.rank {
        "has a higher tier"
    } else if other.goes_on != own.goes_on {
        "goes on, this one is canceling"
    } else if other.subscribed_at != own.subscribed_at {
        "was created later"
    } else {
        "is equal otherwise, and the ids decide"
    };
    format!("It is not the current one: {} {why}.", current.id)
}
