//! What a fact changed: the state before it beside the state after it, in words.

use super::{
    grace,
    transition::{ChangeKind, ChangeNote, Transition},
    words::{Moment, span, tier},
};
use crate::domain::{
    fact::{FactBody, InvoiceStep, Phase, Seconds, Snapshot},
    subscription::{
        link::{Claim, Witness},
        state::Subscription,
    },
};

/// The tier that a subscription gives at a moment.
pub(super) fn gives<'a>(subscription: &'a Subscription, at: Seconds, free_tier: &'a str) -> &'a str {
    if !subscription.entitled() {
        return free_tier;
    }
    let running = subscription.grace.as_ref().filter(|g| g.until > at).map(|g| &g.plan);
    running.or(subscription.counting_plan()).map_or(free_tier, |p| &p.tier)
}

impl<'a> Transition<'a> {
    /// All that changed but for whose it is; in the order in which it is understood.
    pub(super) fn changes(&self) -> Vec<ChangeNote> {
        let mut told = Vec::new();
        told.extend(self.shown());
        told.extend(self.period());
        told.extend(self.cancellation());
        told.extend(self.collection());
        told.extend(self.payment());
        told.extend(self.upgrade());
        told.extend(grace::changes(self));
        told.extend(self.highest());
        told.extend(self.access());
        told
    }

    /// The snapshots before and after, if both were seen.
    fn both(&self) -> Option<(&'a Snapshot, &'a Snapshot)> {
        self.before.latest.as_ref().zip(self.after.latest.as_ref())
    }

    fn shown(&self) -> Vec<ChangeNote> {
        let Some((old, new)) = self.both() else {
            return self.began().into_iter().collect();
        };
        let mut told = Vec::new();
        let ends = self.after.ended && !self.before.ended;
        let over = if ends { "; it is over for good" } else { "" };
        if old.status != new.status {
            told.push(ChangeKind::Status.is(format!("status {} -> {}{over}", old.status, new.status)));
        } else if ends {
            told.push(ChangeKind::Status.is(format!("status {}{over}", new.status)));
        }
        let (from, to) = (self.before.plan.as_ref(), self.after.plan.as_ref());
        if from.map(|p| &p.tier) != to.map(|p| &p.tier) {
            told.push(ChangeKind::Tier.is(format!("tier {} -> {}", tier(from), tier(to))));
        } else if let (Some(from), Some(to)) = (from, to)
            && from.price != to.price
        {
            let words = format!(
                "price {} -> {}; the tier is {} as before",
                from.price, to.price, to.tier
            );
            told.push(ChangeKind::Price.is(words));
        }
        if old.trial_end != new.trial_end {
            let words = new.trial_end.map_or("no trial any more".to_owned(), |end| {
                format!("trial until {}", Moment(end))
            });
            told.push(ChangeKind::Trial.is(words));
        }
        told
    }

    fn began(&self) -> Option<ChangeNote> {
        let new = self.after.latest.as_ref().filter(|_| self.before.latest.is_none())?;
        let created = matches!(&self.fact.body, FactBody::Subscription(s) if s.phase == Phase::Created);
        let how = if created {
            "begins"
        } else {
            "is told of for the first time"
        };
        let trial = new
            .trial_end
            .map_or(String::new(), |end| format!(", trial until {}", Moment(end)));
        Some(ChangeKind::Began.is(format!(
            "{how}: {}, {}{trial}",
            new.status,
            tier(self.after.plan.as_ref())
        )))
    }

    fn period(&self) -> Option<ChangeNote> {
        let period = self.after.period.filter(|p| self.before.period != Some(*p))?;
        Some(ChangeKind::Period.is(format!("period {}", span(period))))
    }

    fn cancellation(&self) -> Option<ChangeNote> {
        let new = self.after.latest.as_ref().filter(|_| !self.after.ended)?;
        let end = |snapshot: &Snapshot, state: &Subscription| {
            let with_period = state.period.map(|p| p.end).filter(|_| snapshot.cancel_at_period_end);
            snapshot.cancel_at.or(with_period)
        };
        let asked = |snapshot: &Snapshot| snapshot.cancel_at_period_end || snapshot.cancel_at.is_some();
        let old = self.before.latest.as_ref();
        let when = end(new, self.after).map_or("with its period".to_owned(), |at| format!("at {}", Moment(at)));
        let words = match (old.is_some_and(asked), asked(new)) {
            (false, true) => format!("cancellation asked: it ends {when}"),
            (true, false) => "cancellation taken back".to_owned(),
            (true, true) if old.and_then(|o| end(o, self.before)) != end(new, self.after) => {
                format!("cancellation moved: it ends {when}")
            }
            _ => return None,
        };
        Some(ChangeKind::Cancellation.is(words))
    }

    fn collection(&self) -> Option<ChangeNote> {
        let new = self.after.latest.as_ref()?;
        let old = self.before.latest.as_ref().is_some_and(|s| s.collection_paused);
        let word = match (old, new.collection_paused) {
            (false, true) => "paused",
            (true, false) => "resumed",
            _ => return None,
        };
        Some(ChangeKind::Collection.is(format!(
            "collection of payments {word}, which changes nothing by itself"
        )))
    }

    fn payment(&self) -> Vec<ChangeNote> {
        let mut told = Vec::new();
        if self.after.ever_paid && !self.before.ever_paid {
            told.push(ChangeKind::FirstPayment.is("first payment: has ever paid"));
        }
        // What holds an upgrade is told with it.
        let held = |state: &'a Subscription| state.held.as_ref().map(|h| h.invoice.as_str());
        let holds = [held(self.before), held(self.after)];
        let names = |state: &'a Subscription| {
            let ids = state.failed.iter().map(|f| f.invoice.as_str());
            ids.filter(move |id| !holds.contains(&Some(id))).collect::<Vec<_>>()
        };
        let (old, new) = (names(self.before), names(self.after));
        let added = new.iter().filter(|id| !old.contains(id));
        told.extend(added.map(|id| ChangeKind::Unpaid.is(format!("{id} counts as not paid"))));
        let gone = old.iter().filter(|id| !new.contains(id));
        told.extend(gone.map(|id| ChangeKind::Settled.is(format!("{id} does not count as unpaid any more"))));
        told
    }

    fn upgrade(&self) -> Option<ChangeNote> {
        let wanted = |state: &'a Subscription| tier(state.plan.as_ref());
        match (&self.before.held, &self.after.held) {
            (old, Some(held)) if old.as_ref().map(|h| &h.invoice) != Some(&held.invoice) => {
                let (upgrade, counts, id) = (wanted(self.after), &held.counts.plan.tier, &held.invoice);
                Some(ChangeKind::Held.is(format!(
                    "the upgrade to {upgrade} is held, since its payment failed ({id}): {counts} counts until that is paid"
                )))
            }
            (Some(held), None) if self.after.entitled() => {
                let why = match &self.fact.body {
                    FactBody::Invoice(i) if i.step == InvoiceStep::Paid && i.invoice == held.invoice => "is paid now",
                    FactBody::Invoice(i) if i.step == InvoiceStep::Paid => "a later renewal is paid",
                    _ => "the subscription changed again",
                };
                let upgrade = wanted(self.after);
                Some(ChangeKind::Released.is(format!(
                    "the held upgrade does not wait any more ({why}): {upgrade} counts"
                )))
            }
            _ => None,
        }
    }

    fn highest(&self) -> Option<ChangeNote> {
        let tier = self.after.highest.as_ref().map(|p| &p.tier)?;
        let risen = self.before.highest.as_ref().map(|p| &p.tier) != Some(tier);
        risen.then(|| ChangeKind::Highest.is(format!("highest tier so far: {tier}")))
    }

    fn access(&self) -> Option<ChangeNote> {
        let old = gives(self.before, self.at(), self.free_tier);
        let new = self.gives()?;
        Some(ChangeKind::Access.is(format!("gives {new} (before: {old})")))
    }

    /// The tier that it gives, if another than before.
    pub(super) fn gives(&self) -> Option<&'a str> {
        let old = gives(self.before, self.at(), self.free_tier);
        let new = gives(self.after, self.at(), self.free_tier);
        (old != new).then_some(new)
    }
}

/// Whose it is from here on, if that changes.
pub(super) fn linked(old: Option<&Claim>, new: Option<&Claim>) -> Option<ChangeNote> {
    let new = new?;
    let old = old.map(|c| &c.user);
    if old == Some(&new.user) {
        return None;
    }
    let by = match new.witness {
        Witness::OwnMetadata => "by metadata.user_id of the subscription".to_owned(),
        Witness::SessionMetadata => "by metadata.user_id of its checkout session".to_owned(),
        Witness::SessionReference => "by client_reference_id of its checkout session".to_owned(),
        Witness::Customer => format!("as the user of its customer, named by {}", new.event_id),
    };
    let instead = old.map_or(String::new(), |user| format!(" instead of {user}"));
    Some(ChangeKind::Linked.is(format!("linked to {}{instead}, {by}", new.user)))
}
