//! What must change so that Stripe holds what the catalog says: values in, a list
//! out. Nothing here asks Stripe, and nothing here writes.

use crate::{
    actual::{Actual, Found},
    desired::{Desired, MARK},
    kind::Kind,
    note::notes,
    promotion,
    refused::{self, Refused},
    retire, value,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// It is not there.
    Create,
    /// It differs.
    Update,
    /// It is taken out of use; nothing is ever deleted.
    Archive,
}

/// A field that differs.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// In Stripe's notation.
    pub path: String,
    /// What Stripe has; null if nothing.
    pub from: Value,
    /// What the catalog says; null if nothing.
    pub to: Value,
}

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// What is done.
    pub action: Action,
    /// To what.
    pub kind: Kind,
    /// What it is found by.
    pub key: String,
    /// Stripe's id, if it is there.
    pub id: Option<String>,
    /// What is written.
    pub fields: Vec<Field>,
    /// Whether the new price takes the lookup key from another one.
    pub takes_key: bool,
}

/// Something to know, about which nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// About what.
    pub kind: Kind,
    /// What it is found by.
    pub key: String,
    /// What there is to know.
    pub what: String,
}

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Writes, in their order.
    pub changes: Vec<Change>,
    /// If there is one, there are no changes.
    pub refused: Vec<Refused>,
    /// To know.
    pub notes: Vec<Note>,
    /// What is as it should be.
    pub unchanged: Vec<(Kind, String)>,
}

/// Compares. Prices whose lookup key is in `replace`, and that differ for good,
/// are replaced by new ones. Any other difference for good leaves nothing to write.
#[must_use]
pub fn diff(desired: &[Desired], actual: &Actual, replace: &BTreeSet<String>) -> Plan {
    let replaced = replaced(desired, actual, replace);
    let state = State {
        actual,
        desired,
        replaced: &replaced,
    };
    let mut plan = Plan {
        notes: notes(desired, actual),
        ..Plan::default()
    };
    for price in &replaced {
        let keeps = known_without_key(desired, price);
        if !keeps.fields.is_empty() {
            plan.changes.push(keeps);
        }
    }
    for object in desired {
        match object.kind {
            Kind::Promotion => promotion::compare(object, &state, &mut plan),
            _ => compare(object, state.find(object), &state, &mut plan),
        }
    }
    retire::retire(&state, &mut plan);
    if !plan.refused.is_empty() {
        plan.changes.clear();
    }
    plan
}

/// What a comparison looks at.
pub(crate) struct State<'a> {
    pub(crate) actual: &'a Actual,
    pub(crate) desired: &'a [Desired],
    /// Prices whose lookup key goes to new ones: as if they had none any more.
    pub(crate) replaced: &'a [&'a Found],
}

impl<'a> State<'a> {
    /// The object that the catalog means. Of several endpoints with one URL it is
    /// the one that is ours, is enabled, is the oldest.
    fn find(&self, object: &Desired) -> Option<&'a Found> {
        let same = self
            .actual
            .of(object.kind)
            .filter(|found| found.key.as_ref() == Some(&object.key));
        same.filter(|found| !self.is_replaced(found))
            .min_by_key(|found| (!found.is_ours(), !found.is_active(), found.number("created"), &found.id))
    }

    pub(crate) fn is_replaced(&self, found: &Found) -> bool {
        self.replaced.iter().any(|price| price.id == found.id)
    }

    /// What Stripe has there, with prices named by their lookup keys, as the catalog names them.
    fn named(&self, found: &Found, path: &str) -> Value {
        let mut actual = value::at(&found.object, path).clone();
        if found.kind.names_prices(path) {
            let prices = self.actual.of(Kind::Price).filter(|price| !self.is_replaced(price));
            let keys = prices.filter_map(|price| Some((price.id.as_str(), price.key.as_deref()?)));
            let keys: BTreeMap<_, _> = keys.collect();
            value::rename_prices(&mut actual, &|id| keys.get(id).copied());
        }
        actual
    }

    /// The fields in which an object differs: those that Stripe never changes, and the others.
    pub(crate) fn differing(&self, object: &Desired, found: &Found) -> (Vec<Field>, Vec<Field>) {
        let mut fields = Vec::new();
        for (path, to) in &object.fields {
            let from = self.named(found, path);
            let same = match (object.kind, path.as_str()) {
                // Case does not matter in what customers type.
                (Kind::Promotion, "code") => found
                    .key
                    .as_ref()
                    .is_some_and(|code| code.eq_ignore_ascii_case(&object.key)),
                (Kind::Promotion, path) => {
                    value::has(&from, to) || promotion::is_of_coupon(path, &from, to, self, found)
                }
                _ => value::has(&from, to),
            };
            if !same {
                let (path, to) = (path.clone(), to.clone());
                fields.push(Field { path, from, to });
            }
        }
        fields
            .into_iter()
            .partition(|field| object.kind.is_for_good(&field.path, &field.from))
    }
}

pub(crate) fn compare(object: &Desired, found: Option<&Found>, state: &State<'_>, plan: &mut Plan) {
    let Some(found) = found else {
        match refused::new_coupon(object, state.actual.at) {
            Some(refused) => plan.refused.push(refused),
            None => plan.changes.push(create(object, state)),
        }
        return;
    };
    let (for_good, fields) = state.differing(object, found);
    if for_good.is_empty() && fields.is_empty() {
        plan.unchanged.push((object.kind, object.key.clone()));
    }
    if !for_good.is_empty() {
        plan.refused.push(refused::for_good(object, for_good));
    }
    if !fields.is_empty() {
        plan.changes.push(update(found, &object.key, fields));
    }
}

/// What is written of an object that is not there. What says nothing is left out.
pub(crate) fn create(object: &Desired, state: &State<'_>) -> Change {
    let only_updated = object.kind.traits().only_updated;
    let written = object
        .fields
        .iter()
        .filter(|(path, to)| !value::is_nothing(to) && !only_updated.contains(&path.as_str()));
    let fields = written.map(|(path, to)| Field {
        path: path.clone(),
        from: Value::Null,
        to: to.clone(),
    });
    let takes = |price: &&Found| price.key.as_ref() == Some(&object.key);
    Change {
        action: Action::Create,
        kind: object.kind,
        key: object.key.clone(),
        // It is written into its product, which has the catalog's own id.
        id: (object.kind == Kind::DefaultPrice).then(|| object.key.clone()),
        fields: fields.collect(),
        takes_key: object.kind == Kind::Price && state.replaced.iter().any(takes),
    }
}

pub(crate) fn update(found: &Found, key: &str, fields: Vec<Field>) -> Change {
    Change {
        action: Action::Update,
        kind: found.kind,
        key: key.to_owned(),
        id: Some(found.id.clone()),
        fields,
        takes_key: false,
    }
}

/// The prices that must be replaced, and may be.
fn replaced<'a>(desired: &'a [Desired], actual: &'a Actual, replace: &BTreeSet<String>) -> Vec<&'a Found> {
    let state = State {
        actual,
        desired,
        replaced: &[],
    };
    let prices = desired
        .iter()
        .filter(|object| object.kind == Kind::Price && replace.contains(&object.key));
    let differs = |object: &Desired| {
        let found = state.find(object)?;
        (!state.differing(object, found).0.is_empty()).then_some(found)
    };
    prices.filter_map(differs).collect()
}

/// Before a price loses its lookup key its metadata must say what it sells: by that
/// the worker knows it, and by our mark an apply that was cut off is finished.
fn known_without_key(desired: &[Desired], price: &Found) -> Change {
    let key = price.key.clone().unwrap_or_default();
    let wanted = desired
        .iter()
        .find(|object| object.kind == Kind::Price && object.key == key);
    let mut fields = Vec::new();
    for (path, to) in wanted.iter().flat_map(|object| &object.fields) {
        let from = value::at(&price.object, path);
        // A tier that it names already is the one that its customers have.
        let ours = path == "metadata[managed_by]" && *from != json!(MARK);
        if path.starts_with("metadata[") && (from.is_null() || ours) {
            fields.push(Field {
                path: path.clone(),
                from: from.clone(),
                to: to.clone(),
            });
        }
    }
    update(price, &price.id, fields)
}
