//! Checkout sessions. A checkout makes them; here a test puts them, with their `line_items`.

use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};

pub(crate) const SESSIONS: ObjectKind = ObjectKind {
    collection: "checkout/sessions",
    object: "checkout.session",
    prefix: "cs",
    permission: "checkout_session",
    columns: &["/customer", "/payment_intent", "/status", "/subscription"],
    indexed: &["/customer"],
    filters: &[
        ("customer", ListFilter::Is("/customer")),
        ("payment_intent", ListFilter::Is("/payment_intent")),
        ("status", ListFilter::Is("/status")),
        ("subscription", ListFilter::Is("/subscription")),
    ],
    hidden: &["/line_items"],
    ..PLAIN
};
