//! What a script remembers of a subscription.

use crate::fixtures::{Invoice, Line, Price, Session, Subscription};
use crate::merchant::UserLink;

/// The unfinished parts of a subscription, beside its expected state.
#[derive(Clone, Debug)]
pub(super) struct ScriptedSubscription {
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
}
