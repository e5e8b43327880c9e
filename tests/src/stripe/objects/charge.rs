//! Charges. Customers make them; a test does it here.

use crate::stripe::resource::{Filter, PLAIN, Resource};

pub(crate) const CHARGES: Resource = Resource {
    collection: "charges",
    object: "charge",
    prefix: "ch",
    permission: "charge",
    columns: &["/customer", "/payment_intent"],
    indexed: &["/customer"],
    filters: &[
        ("customer", Filter::Is("/customer")),
        ("payment_intent", Filter::Is("/payment_intent")),
    ],
    ..PLAIN
};
