//! Checkout sessions. Customers make them; a test does it here, with their `line_items`.

use crate::stripe::resource::{Filter, PLAIN, Resource};

pub(crate) const SESSIONS: Resource = Resource {
    collection: "checkout/sessions",
    object: "checkout.session",
    prefix: "cs",
    permission: "checkout_session",
    columns: &["/customer", "/payment_intent", "/status", "/subscription"],
    indexed: &["/customer"],
    filters: &[
        ("customer", Filter::Is("/customer")),
        ("payment_intent", Filter::Is("/payment_intent")),
        ("status", Filter::Is("/status")),
        ("subscription", Filter::Is("/subscription")),
    ],
    hidden: &["/line_items"],
    ..PLAIN
};
