//! Drift: the fields of a subscription in which our state and Stripe's answer
//! differ.

use super::state::Subscription;
use crate::domain::{
    fact::{Period, Seconds, Snapshot},
    ids::UserId,
    moment::Moment,
};
use serde::Serialize;
use std::fmt;

/// All values of [`Drift::field`]; metrics use them as labels.
pub const FIELDS: [&str; 13] = [
    "missing",
    "status",
    "price",
    "period",
    "cancel_at_period_end",
    "cancel_at",
    "canceled_at",
    "trial_end",
    "latest_invoice",
    "user_id",
    "customer",
    "pause_collection",
    "created",
];

/// One field that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// One of [`FIELDS`]. `missing` means that we have no snapshot to compare.
    pub field: &'static str,
    /// Our value.
    pub ours: String,
    /// Stripe's value.
    pub theirs: String,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} here, {} at Stripe", self.field, self.ours, self.theirs)
    }
}

/// Compares our state of a subscription with Stripe's answer. A subscription that
/// has ended here has no drift: nothing revives it, and the answer may be from
/// before its end.
#[must_use]
pub fn drift(ours: Option<&Subscription>, theirs: &Snapshot) -> Vec<Drift> {
    if ours.is_some_and(|s| s.ended) {
        return Vec::new();
    }
    let Some(latest) = ours.and_then(|s| s.latest.as_ref()) else {
        return vec![Drift {
            field: "missing",
            ours: "no snapshot".to_owned(),
            theirs: theirs.status.clone(),
        }];
    };
    let mut found = Vec::new();
    let mut compare = |field: &'static str, ours: String, theirs: String| {
        if ours != theirs {
            found.push(Drift { field, ours, theirs });
        }
    };
    let (a, b) = (latest, theirs);
    let text = |text: Option<&str>| text.unwrap_or("none").to_owned();
    compare("status", a.status.clone(), b.status.clone());
    compare("price", text(a.price()), text(b.price()));
    compare("period", span(a.period), span(b.period));
    compare(
        "cancel_at_period_end",
        a.cancel_at_period_end.to_string(),
        b.cancel_at_period_end.to_string(),
    );
    compare("cancel_at", moment(a.cancel_at), moment(b.cancel_at));
    compare("canceled_at", moment(a.canceled_at), moment(b.canceled_at));
    compare("trial_end", moment(a.trial_end), moment(b.trial_end));
    compare(
        "latest_invoice",
        text(a.latest_invoice.as_deref()),
        text(b.latest_invoice.as_deref()),
    );
    let user = |s: &Snapshot| text(s.user.as_ref().map(UserId::as_str));
    compare("user_id", user(a), user(b));
    compare("customer", text(a.customer.as_deref()), text(b.customer.as_deref()));
    compare(
        "pause_collection",
        a.collection_paused.to_string(),
        b.collection_paused.to_string(),
    );
    compare("created", a.subscribed_at.to_string(), b.subscribed_at.to_string());
    found
}

fn moment(at: Option<Seconds>) -> String {
    at.map_or("none".to_owned(), |at| Moment(at).to_string())
}

fn span(period: Option<Period>) -> String {
    period.map_or("none".to_owned(), |p| {
        format!("{} to {}", moment(Some(p.start)), moment(Some(p.end)))
    })
}

#[cfg(test)]
#[path = "drift_tests.rs"]
mod tests;
