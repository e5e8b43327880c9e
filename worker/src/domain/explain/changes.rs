//! What a fact changed, in words: the state before it compared with the state after it.

use super::{
    grace, money,
    transition::{ChangeKind, ChangeNote, Transition},
    words::{span, tier},
};
use crate::domain::{
    fact::{FactBody, InvoiceStep, Period, Phase, Plan, Seconds, Snapshot},
    moment::Moment,
    subscription::{
        link::{ClaimSource, OwnerClaim},
        state::{Subscription, SuspendedChange},
    },
};

/// The tier that a subscription gives at a moment.
pub(super) fn gives<'a>(subscription: &'a Subscription, at: Seconds, free_tier: &'a str) -> &'a str {
    if !subscription.entitled_at(at) {
        return free_tier;
    }
    let running = subscription.grace.as_ref().filter(|g| g.until > at).map(|g| &g.plan);
    running.or(subscription.base_plan()).map_or(free_tier, |p| &p.tier)
}

impl<'a> Transition<'a> {
    /// All changes, other than the link to a user, in the order in which they are read best.
    pub(super) fn changes(&self) -> Vec<ChangeNote> {
        let mut notes = Vec::new();
        notes.extend(self.status_tier_and_trial());
        notes.extend(self.period());
        notes.extend(self.cancellation());
        notes.extend(self.collection());
        notes.extend(self.payment());
        notes.extend(money::changes(self));
        notes.extend(self.held_change());
        notes.extend(grace::changes(self));
        notes.extend(self.highest());
        notes.extend(self.access());
        notes
    }

    /// The snapshots before and after, if both are known.
    fn snapshots(&self) -> Option<(&'a Snapshot, &'a Snapshot)> {
        self.before.latest.as_ref().zip(self.after.latest.as_ref())
    }

    fn status_tier_and_trial(&self) -> Vec<ChangeNote> {
        let Some((old, new)) = self.snapshots() else {
            return self.began().into_iter().collect();
        };
        let mut notes = Vec::new();
        let ends = self.after.ended && !self.before.ended;
        let over = if ends { "; it is over for good" } else { "" };
        if old.status != new.status {
            notes.push(ChangeKind::Status.note(format!("status {} -> {}{over}", old.status, new.status)));
        } else if ends {
            notes.push(ChangeKind::Status.note(format!("status {}{over}", new.status)));
        }
        let (from, to) = (self.before.plan.as_ref(), self.after.plan.as_ref());
        if from.map(|p| &p.tier) != to.map(|p| &p.tier) {
            notes.push(ChangeKind::Tier.note(format!("tier {} -> {}", tier(from), tier(to))));
        } else if let (Some(from), Some(to)) = (from, to)
            && from.price != to.price
        {
            let words = format!(
                "price {} -> {}; the tier is {} as before",
                from.price, to.price, to.tier
            );
            notes.push(ChangeKind::Price.note(words));
        }
        if old.trial_end != new.trial_end {
            let words = new
                .trial_end
                .map_or("trial removed".to_owned(), |end| format!("trial until {}", Moment(end)));
            notes.push(ChangeKind::Trial.note(words));
        }
        notes
    }

    fn began(&self) -> Option<ChangeNote> {
        if self.before.latest.is_some() {
            return None;
        }
        let new = self.after.latest.as_ref()?;
        let created = matches!(&self.fact.body, FactBody::Subscription(s) if s.phase == Phase::Created);
        let how = if created { "begins" } else { "first seen" };
        let trial = new
            .trial_end
            .map_or(String::new(), |end| format!(", trial until {}", Moment(end)));
        Some(ChangeKind::Began.note(format!(
            "{how}: {}, {}{trial}",
            new.status,
            tier(self.after.plan.as_ref())
        )))
    }

    fn period(&self) -> Option<ChangeNote> {
        let period = self.after.period.filter(|p| self.before.period != Some(*p))?;
        let is_cut = |old: &Period| (old.start + 1..old.end).contains(&period.start);
        let cut = self.before.period.filter(is_cut);
        let cut = cut.map_or(String::new(), |old| {
            format!("; it cuts the period until {} short", Moment(old.end))
        });
        Some(ChangeKind::Period.note(format!("period {}{cut}", span(period))))
    }

    fn cancellation(&self) -> Option<ChangeNote> {
        if self.after.ended {
            return None;
        }
        let new = self.after.latest.as_ref()?;
        let end = |snapshot: &Snapshot, state: &Subscription| {
            if snapshot.cancel_at.is_none() && snapshot.cancel_at_period_end {
                return state.period.map(|p| p.end);
            }
            snapshot.cancel_at
        };
        let requested = |snapshot: &Snapshot| snapshot.cancel_at_period_end || snapshot.cancel_at.is_some();
        let old = self.before.latest.as_ref();
        let when = end(new, self.after).map_or("with its period".to_owned(), |at| format!("at {}", Moment(at)));
        let words = match (old.is_some_and(requested), requested(new)) {
            (false, true) => format!("cancellation requested: it ends {when}"),
            (true, false) => "cancellation taken back".to_owned(),
            (true, true) if old.and_then(|o| end(o, self.before)) != end(new, self.after) => {
                format!("cancellation moved: it ends {when}")
            }
            _ => return None,
        };
        Some(ChangeKind::Cancellation.note(words))
    }

    fn collection(&self) -> Option<ChangeNote> {
        let new = self.after.latest.as_ref()?;
        let old = self.before.latest.as_ref().is_some_and(|s| s.collection_paused);
        let word = match (old, new.collection_paused) {
            (false, true) => "paused",
            (true, false) => "resumed",
            _ => return None,
        };
        Some(ChangeKind::Collection.note(format!("collection of payments {word}; this changes nothing by itself")))
    }

    fn payment(&self) -> Vec<ChangeNote> {
        let mut notes = Vec::new();
        if self.after.ever_paid && !self.before.ever_paid {
            notes.push(ChangeKind::FirstPayment.note("first payment: ever_paid is true from here on"));
        }
        // The invoice of a held change is named by `held_change`.
        let suspending = |state: &'a Subscription| state.suspended.as_ref().map(|h| h.invoice.as_str());
        let suspending = [suspending(self.before), suspending(self.after)];
        let names = |state: &'a Subscription| {
            let ids = state.failed.iter().map(|f| f.invoice.as_str());
            ids.filter(move |id| !suspending.contains(&Some(id)))
                .collect::<Vec<_>>()
        };
        let (old, new) = (names(self.before), names(self.after));
        let added = new.iter().filter(|id| !old.contains(id));
        notes.extend(added.map(|id| ChangeKind::Unpaid.note(format!("{id} counts as unpaid"))));
        let gone = old.iter().filter(|id| !new.contains(id));
        notes.extend(gone.map(|id| ChangeKind::Settled.note(format!("{id} no longer counts as unpaid"))));
        notes
    }

    fn held_change(&self) -> Option<ChangeNote> {
        match (&self.before.suspended, &self.after.suspended) {
            (old, Some(held)) if old.as_ref().map(|h| &h.invoice) != Some(&held.invoice) => {
                let (change, id) = (held_change(held, self.after.plan.as_ref()), &held.invoice);
                Some(ChangeKind::ChangeHeld.note(format!(
                    "the change {change} does not count: the payment of {id} failed; what was before counts until {id} or \
                     the invoice of a later period is paid"
                )))
            }
            (Some(held), None) if self.after.entitled() => {
                let why = match &self.fact.body {
                    FactBody::Invoice(i) if i.step == InvoiceStep::Paid && i.invoice == held.invoice => {
                        format!("{} is paid", held.invoice)
                    }
                    FactBody::Invoice(i) if i.step == InvoiceStep::Paid => {
                        format!("{} of a later period is paid", i.invoice)
                    }
                    _ => "the subscription changed again".to_owned(),
                };
                let now = tier(self.after.plan.as_ref());
                Some(ChangeKind::ChangeCounts.note(format!("what Stripe shows counts again ({why}): {now}")))
            }
            _ => None,
        }
    }

    fn highest(&self) -> Option<ChangeNote> {
        let tier = self.after.highest.as_ref().map(|p| &p.tier)?;
        let risen = self.before.highest.as_ref().map(|p| &p.tier) != Some(tier);
        risen.then(|| ChangeKind::Highest.note(format!("highest tier so far: {tier}")))
    }

    fn access(&self) -> Option<ChangeNote> {
        let old = gives(self.before, self.at(), self.free_tier);
        let new = self.gives()?;
        Some(ChangeKind::Access.note(format!("gives {new} (before: {old})")))
    }

    /// The tier that the subscription gives, if it is another one than before.
    pub(super) fn gives(&self) -> Option<&'a str> {
        let old = gives(self.before, self.at(), self.free_tier);
        let new = gives(self.after, self.at(), self.free_tier);
        (old != new).then_some(new)
    }
}

/// A held change in words: from what counts to what Stripe shows.
pub(super) fn held_change(held: &SuspendedChange, shown: Option<&Plan>) -> String {
    let base = &held.base.plan;
    match shown {
        Some(shown) if shown.tier != base.tier => format!("from {} to {}", base.tier, shown.tier),
        Some(shown) if shown.price != base.price => format!("from price {} to {}", base.price, shown.price),
        Some(shown) => format!("from quantity {} to {}", base.quantity, shown.quantity),
        None => format!("from {}", base.tier),
    }
}

/// The link to a user, if it changes.
pub(super) fn linked(old: Option<&OwnerClaim>, new: Option<&OwnerClaim>) -> Option<ChangeNote> {
    let new = new?;
    if old.is_some_and(|old| old.user == new.user) {
        return None;
    }
    let by_metadata = match new.source {
        ClaimSource::OwnMetadata => Some("subscription"),
        ClaimSource::CustomerMetadata => Some("customer"),
        _ => None,
    };
    let handed = new.handed.len().checked_sub(2).map(|place| &new.handed[place].user);
    let from = old.filter(|old| old.source == new.source).map(|old| &old.user);
    if let Some((object, from)) = by_metadata.zip(from.or(handed.filter(|_| old.is_none()))) {
        let to = &new.user;
        return Some(ChangeKind::Linked.note(format!(
            "handed over from {from} to {to}, by metadata.user_id of the {object}; what was used and bought stays with \
             {from}, and the running period is divided between both by time"
        )));
    }
    let old = old.map(|c| &c.user);
    let by = match new.source {
        ClaimSource::OwnMetadata => "by metadata.user_id of the subscription".to_owned(),
        ClaimSource::SessionMetadata => "by metadata.user_id of its checkout session".to_owned(),
        ClaimSource::SessionReference => "by client_reference_id of its checkout session".to_owned(),
        ClaimSource::CustomerMetadata => "by metadata.user_id of its customer".to_owned(),
        ClaimSource::Customer => format!("as the user of its customer, whom {} names", new.event_id),
    };
    let instead = old.map_or(String::new(), |user| format!(" instead of {user}"));
    Some(ChangeKind::Linked.note(format!("linked to {}{instead}, {by}", new.user)))
}
