//! What a script remembers of a subscription.

use crate::fixtures::{Charge, Invoice, Line, Price, Session, Subscription};
use crate::merchant::UserLink;
use std::collections::BTreeSet;

/// A subscription as Stripe shows it, and its unfinished parts.
#[derive(Clone, Debug)]
pub(super) struct ScriptedSubscription {
    /// As Stripe shows it.
    pub(super) shown: Subscription,
    /// The object that identifies its user.
    pub(super) link: UserLink,
    /// The checkout session, while it is open.
    pub(super) session: Option<Session>,
    /// The first invoice, while the subscription is incomplete.
    pub(super) first: Option<Invoice>,
    /// The invoice of a failed or pending upgrade.
    pub(super) upgrade: Option<Invoice>,
    /// The invoice of a renewal that failed.
    pub(super) cycle: Option<Invoice>,
    /// The price that is scheduled for the next period.
    pub(super) scheduled: Option<Price>,
    /// The prorations that wait for the next invoice.
    pub(super) items: Vec<Line>,
    /// The subscription before its last change; announcements show it.
    pub(super) before: Subscription,
    /// The packs of its checkout, until they are granted.
    pub(super) packs: Vec<(Price, i64)>,
    /// The invoice of that checkout, and the numbers of the granted packs in the books.
    pub(super) granted: Option<(String, Vec<usize>)>,
    /// The ids of invoices of the current period whose payment failed, until they are paid.
    pub(super) failed: BTreeSet<String>,
    /// Whether an end of the access ended a grace. The rules do not say if it comes back.
    pub(super) has_lost_grace: bool,
    /// The paid invoices with their charges.
    pub(super) paid: Vec<(Invoice, Charge)>,
}
