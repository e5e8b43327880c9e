//! Events. Stripe makes them; here a test puts them.

use crate::fixtures::DAY;
use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};

/// How long Stripe lists an event (API reference, List all events).
const KEPT_SECONDS: i64 = 30 * DAY;

pub(crate) const EVENTS: ObjectKind = ObjectKind {
    collection: "events",
    object: "event",
    prefix: "evt",
    permission: "event",
    // An event is delivered once no webhook is pending.
    columns: &["/created", "/pending_webhooks", "/type"],
    filters: &[
        ("delivery_success", ListFilter::IsZero("/pending_webhooks")),
        ("type", ListFilter::Like("/type")),
        ("types", ListFilter::In("/type")),
    ],
    shows: |kind, row, _, now| row.column(kind.columns, "/created").as_i64() >= Some(now - KEPT_SECONDS),
    ..PLAIN
};
