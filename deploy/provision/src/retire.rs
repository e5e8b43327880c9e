//! What is ours and no longer in the catalog: taken out of use, never deleted.

use crate::{
    actual::Found,
    diff::{Action, Change, Field, Note, Plan, State},
    kind::Kind,
};
use serde_json::json;

/// In this order: what another one holds on to comes after it.
const ORDER: [Kind; 5] = [Kind::Promotion, Kind::Price, Kind::Product, Kind::Webhook, Kind::Coupon];

pub(crate) fn retire(state: &State<'_>, plan: &mut Plan) {
    for kind in ORDER {
        for found in state.actual.of(kind).filter(|found| found.is_active()) {
            let is_gone = state.is_replaced(found) || found.is_ours() && !is_wanted(state, found);
            if is_gone {
                one(state, found, plan);
            }
        }
    }
}

fn one(state: &State<'_>, found: &Found, plan: &mut Plan) {
    let kind = found.kind;
    let key = if kind == Kind::Price {
        &found.id
    } else {
        found.key.as_ref().unwrap_or(&found.id)
    };
    let note = |what: &str| Note {
        kind,
        key: key.clone(),
        what: what.to_owned(),
    };
    let Some((field, value)) = kind.traits().retired else {
        plan.notes.push(note(
            "not in the catalog any more; Stripe cannot deactivate it, only the Dashboard delete it",
        ));
        return;
    };
    if kind == Kind::Price && is_held(state, found) {
        plan.notes.push(note(
            "not in the catalog any more; it stays, as the default price of its product",
        ));
        return;
    }
    let change = Field {
        path: field.to_owned(),
        from: json!(!value),
        to: json!(value),
    };
    plan.changes.push(Change {
        action: Action::Archive,
        kind,
        key: key.clone(),
        id: Some(found.id.clone()),
        fields: vec![change],
        takes_key: false,
    });
}

/// Whether the catalog has it. Of endpoints with one URL, and of one code, all are meant.
fn is_wanted(state: &State<'_>, found: &Found) -> bool {
    let mut same = state.desired.iter().filter(|object| object.kind == found.kind);
    same.any(|object| match &found.key {
        Some(key) if found.kind == Kind::Promotion => key.eq_ignore_ascii_case(&object.key),
        key => key.as_ref() == Some(&object.key),
    })
}

/// A product gives up its default price only for another one.
fn is_held(state: &State<'_>, price: &Found) -> bool {
    let product = price.text("product").unwrap_or_default();
    let mut defaults = state.actual.of(Kind::DefaultPrice).filter(|found| found.id == product);
    let is_default = defaults.any(|found| found.text("default_price") == Some(price.id.as_str()));
    let gets_another = state
        .desired
        .iter()
        .any(|object| object.kind == Kind::DefaultPrice && object.key == product);
    is_default && !gets_another
}
