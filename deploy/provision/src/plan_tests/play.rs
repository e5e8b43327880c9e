//! A stand-in for Stripe: it carries out a plan on values.

use crate::{
    actual::{ActualObjects, FoundObject},
    desired::{DesiredObject, desired_objects},
    diff::diff,
    kind::ObjectKind,
    plan::{ChangeAction, ChangePlan, FieldChange},
    value::rename_prices,
};
use serde_json::{Value, json};
use shared::catalog::Catalog;
use std::collections::{BTreeMap, BTreeSet};

pub(super) const SHIPPED: &str = include_str!("../../../catalog.toml");

pub(super) fn wanted(changes: &[(&str, &str)]) -> Vec<DesiredObject> {
    let text = changes.iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in the shipped catalog");
        text.replacen(from, to, 1)
    });
    desired_objects(&Catalog::parse(&text).expect("a catalog"))
}

pub(super) fn plan(desired: &[DesiredObject], actual: &ActualObjects) -> ChangePlan {
    diff(desired, actual, &BTreeSet::new())
}

/// Sets the value at a path.
pub(super) fn set(object: &mut Value, path: &str, to: &Value) {
    let keys = path.split(['[', ']']).filter(|key| !key.is_empty());
    let inner = keys.fold(object, |value, key| &mut value[key]);
    *inner = to.clone();
}

/// Does to `actual` what Stripe would do.
pub(super) fn carry_out(plan: &ChangePlan, actual: &mut ActualObjects) {
    for change in &plan.changes {
        let ids = prices(actual);
        let write = |object: &mut Value| {
            for FieldChange { path, to, .. } in &change.fields {
                let mut to = to.clone();
                if change.kind.names_prices(path) {
                    rename_prices(&mut to, &|key| ids.get(key).map(String::as_str));
                }
                set(object, path, &to);
            }
        };
        if change.action == ChangeAction::Create && change.kind != ObjectKind::DefaultPrice {
            if change.takes_key {
                let old = actual
                    .found
                    .iter_mut()
                    .find(|f| f.kind == ObjectKind::Price && f.key.as_ref() == Some(&change.key));
                let old = old.expect("a price that has the lookup key");
                set(&mut old.object, "lookup_key", &Value::Null);
                *old = FoundObject::new(old.kind, old.object.clone());
            }
            let number = actual.found.len();
            let mut object =
                json!({"id": format!("new_{number}"), "status": "enabled", "active": true, "created": number});
            write(&mut object);
            actual.add(change.kind, vec![object]);
            continue;
        }
        for found in &mut actual.found {
            // A product and its default price are two views of one object.
            let product = |kind: ObjectKind| kind == ObjectKind::Product || kind == ObjectKind::DefaultPrice;
            let same = found.kind == change.kind || product(found.kind) && product(change.kind);
            if same && change.id.as_ref() == Some(&found.id) {
                write(&mut found.object);
            }
        }
    }
}

pub(super) fn prices(actual: &ActualObjects) -> BTreeMap<String, String> {
    let keyed = actual
        .of(ObjectKind::Price)
        .filter_map(|p| Some((p.key.clone()?, p.id.clone())));
    keyed.collect()
}

/// Stripe's objects after the first apply.
pub(super) fn applied(desired: &[DesiredObject]) -> ActualObjects {
    let mut actual = ActualObjects {
        read_at: 1_800_000_000,
        ..ActualObjects::default()
    };
    // Every account has tax settings.
    actual.add(
        ObjectKind::Tax,
        vec![json!({"object": "tax.settings", "defaults": {}, "head_office": null})],
    );
    carry_out(&plan(desired, &actual), &mut actual);
    actual
}

pub(super) fn lines(plan: &ChangePlan) -> Vec<String> {
    plan.changes
        .iter()
        .map(|c| format!("{} {} {}", c.action.as_str(), c.kind.traits().name, c.key))
        .collect()
}

pub(super) fn of<'a>(actual: &'a mut ActualObjects, kind: ObjectKind, key: &str) -> &'a mut Value {
    let mut found = actual
        .found
        .iter_mut()
        .filter(|f| f.kind == kind && f.key.as_deref() == Some(key));
    &mut found.next().unwrap_or_else(|| panic!("no {key}")).object
}
