//! The first sentences of an explanation: what a user has and why. And the notes on
//! each subscription.

use super::{
    changes::held_change,
    explanation::ExplainRequest,
    history::FoldedHistory,
    money::RETURNED,
    words::{span, tier},
};
use crate::domain::{
    fact::Seconds,
    ids::UserId,
    moment::Moment,
    subscription::{
        entitlement::{Entitlement, precedence},
        link::NamedUser,
        state::Subscription,
    },
};

/// The first sentences of an explanation. `first` is when the user's first event was created;
/// `gone` says which subscriptions the user handed over.
pub(super) fn sentences(
    request: &ExplainRequest<'_>,
    has: Option<&Entitlement>,
    current: Option<&Subscription>,
    first: Seconds,
    gone: Vec<String>,
) -> Vec<String> {
    let user = request.user;
    let (Some(has), Some(current)) = (has, current) else {
        let mut sentences = vec![format!("{user} may use {} only.", request.free_tier)];
        if first > request.at {
            sentences.push(format!(
                "Nothing was known yet: the first event is from {}.",
                Moment(first)
            ));
        } else if gone.is_empty() {
            sentences.push("No subscription is linked to this user.".to_owned());
        }
        sentences.extend(gone);
        return sentences;
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

/// The user's last hand-over of a subscription to somebody else; none if they had it never.
pub(super) fn handed_over(subscription: &Subscription, owners: &[NamedUser], user: &UserId) -> Option<String> {
    let given = owners.windows(2).rev().find(|pair| pair[0].user == *user)?;
    let (id, to, at) = (&subscription.id, &given[1].user, Moment(given[1].since));
    Some(format!("Subscription {id} was handed over to {to} at {at}."))
}

/// The hand-overs from and to the user, in order.
fn hand_overs(owners: &[NamedUser], user: &UserId) -> Vec<String> {
    let own = owners.windows(2).filter(|pair| pair.iter().any(|o| o.user == *user));
    let words = own.map(|pair| {
        let (from, to, at) = (&pair[0].user, &pair[1].user, Moment(pair[1].since));
        format!(
            "It was handed over from {from} to {to} at {at}. What was used and bought before stays with {from}; the \
             period that ran then is divided between both by time."
        )
    });
    words.collect()
}

/// Whose it is, why it is not the current one, and what else an operator should know.
pub(super) fn notes(
    history: &FoldedHistory,
    current: Option<&Subscription>,
    request: &ExplainRequest<'_>,
) -> Vec<String> {
    let (subscription, user) = (&history.end, history.user.as_ref());
    let mut notes = hand_overs(&history.owners, request.user);
    let is_current = current.is_some_and(|c| c.id == subscription.id);
    match (user, current) {
        (None, _) => notes.push("It is not linked yet: no event names its user.".to_owned()),
        (Some(user), _) if user != request.user => {
            let stays = if notes.is_empty() {
                format!(" What was used and bought stays with {}.", request.user)
            } else {
                String::new()
            };
            notes.push(format!("It belongs to {user} now, so it does not count here.{stays}"));
            return notes;
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
