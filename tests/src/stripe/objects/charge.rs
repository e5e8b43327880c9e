//! Charges. A customer's payment makes them; here a test puts them.

use crate::stripe::object_kind::{ListFilter, ObjectKind, PLAIN};

pub(crate) const CHARGES: ObjectKind = ObjectKind {
    collection: "charges",
    object: "charge",
    prefix: "ch",
    permission: "charge",
    columns: &["/customer", "/payment_intent"],
    indexed: &["/customer"],
    filters: &[
        ("customer", ListFilter::Is("/customer")),
        ("payment_intent", ListFilter::Is("/payment_intent")),
    ],
    ..PLAIN
};
