//! Events. Stripe makes them; a test does it here.

use crate::fixtures::DAY;
use crate::stripe::resource::{Filter, PLAIN, Resource};

/// How long Stripe lists an event (API reference, List all events).
const KEPT_SECONDS: i64 = 30 * DAY;

pub(crate) const EVENTS: Resource = Resource {
    collection: "events",
    object: "event",
    prefix: "evt",
    permission: "event",
    // An event that waits for no webhook was delivered.
    columns: &["/created", "/pending_webhooks", "/type"],
    filters: &[
        ("delivery_success", Filter::IsZero("/pending_webhooks")),
        ("type", Filter::Like("/type")),
        ("types", Filter::In("/type")),
    ],
    shows: |resource, row, _, now| row.column(resource, "/created").as_i64() >= Some(now - KEPT_SECONDS),
    ..PLAIN
};
