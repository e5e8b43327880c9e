//! What a script remembers of a bought pack.

use crate::fixtures::{Dispute, Pack, Price, Refund};
use serde_json::{Value, json};

/// A payment for packs.
#[derive(Clone, Debug)]
pub(super) struct ScriptedPack {
    /// The session and its charge.
    pub(super) pack: Pack,
    /// What was sold, with its quantity.
    pub(super) sold: Vec<(Price, i64)>,
    /// The numbers of its purchases in the books. An unpaid session has none yet.
    pub(super) purchases: Vec<usize>,
    /// Its refunds that did not fail.
    pub(super) refunds: Vec<Refund>,
    /// Its open dispute.
    pub(super) dispute: Option<Dispute>,
}

impl ScriptedPack {
    /// Its line items, if the session does not name the pack.
    pub(super) fn line_items(&self) -> Option<(String, Value)> {
        let session = &self.pack.session;
        if session.metadata.contains_key("pack") || session.mode != "payment" {
            return None;
        }
        let lines = self.sold.iter().enumerate().map(|(number, (price, quantity))| {
            let cents = price.cents * quantity;
            json!({
                "id": format!("li_{number}"),
                "object": "item",
                "amount_discount": 0,
                "amount_subtotal": cents,
                "amount_tax": 0,
                "amount_total": cents,
                "currency": "eur",
                "description": price.lookup_key,
                "price": price.render(crate::fixtures::ApiVersion::Y2026),
                "quantity": quantity
            })
        });
        Some((session.id.clone(), Value::Array(lines.collect())))
    }
}
