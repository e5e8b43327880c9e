//! `expand[]` (Stripe: API reference, Expanding Responses): replaces ids by objects, and adds hidden
//! fields.

use super::account_mode::AccountMode;
use super::spec::Spec;
use super::stripe_error::StripeError;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

const LEVELS_MAX: usize = 4;

/// The collection of the object whose id is in a field.
const COLLECTION_OF_FIELD: [(&str, &str); 9] = [
    ("coupon", "coupons"),
    ("customer", "customers"),
    ("default_price", "prices"),
    ("latest_invoice", "invoices"),
    ("price", "prices"),
    ("product", "products"),
    ("promotion_code", "promotion_codes"),
    ("subscription", "subscriptions"),
    ("test_clock", "test_helpers/test_clocks"),
];

/// The fields to expand, and the fields to expand within each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ExpandTree(BTreeMap<String, ExpandTree>);

impl ExpandTree {
    /// Reads `expand` of `params`, and checks it against the schema `answer`.
    pub(super) fn read(spec: &Spec, answer: &'static Value, params: &Map<String, Value>) -> Result<Self, StripeError> {
        let mut tree = Self::default();
        let wishes = params.get("expand").and_then(Value::as_array).into_iter().flatten();
        for wish in wishes.filter_map(Value::as_str) {
            let steps: Vec<&str> = wish.split('.').collect();
            if steps.len() > LEVELS_MAX {
                let message = format!("You cannot expand more than {LEVELS_MAX} levels of a property: {wish}");
                return Err(StripeError::of("expand", message));
            }
            if !is_known(spec, answer, &steps) {
                return Err(refused(spec, answer, wish, &steps));
            }
            steps
                .iter()
                .fold(&mut tree, |tree, step| tree.0.entry((*step).to_owned()).or_default());
        }
        Ok(tree)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields to expand within `field`.
    pub(super) fn within(&self, field: &str) -> Self {
        self.0.get(field).cloned().unwrap_or_default()
    }

    fn has(&self, pointer: &str) -> bool {
        let mut steps = pointer.split('/').skip(1);
        steps.try_fold(self, |tree, step| tree.0.get(step)).is_some()
    }
}

fn is_known(spec: &Spec, schema: &'static Value, steps: &[&str]) -> bool {
    let Some((step, rest)) = steps.split_first() else {
        return true;
    };
    let schema = spec.resolve(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        return choices.iter().any(|choice| is_known(spec, choice, steps));
    }
    if schema["type"] == "array" {
        return is_known(spec, &schema["items"], steps);
    }
    let expandable = schema["x-expandableFields"].as_array().into_iter().flatten();
    expandable.into_iter().any(|field| field == step) && is_known(spec, &schema["properties"][*step], rest)
}

fn refused(spec: &Spec, answer: &'static Value, wish: &str, steps: &[&str]) -> StripeError {
    let hint = if is_known(spec, answer, &[&["data"], steps].concat()) {
        format!(" You may want to try expanding 'data.{wish}' instead.")
    } else {
        String::new()
    };
    StripeError::of("expand", format!("This property cannot be expanded ({wish}).{hint}"))
}

/// An object as an answer has it: without hidden fields that are not expanded, and with expanded objects.
pub(super) fn render(mode: &AccountMode, mut object: Value, hidden: &[&str], tree: &ExpandTree) -> Value {
    for pointer in hidden.iter().filter(|pointer| !tree.has(pointer)) {
        if let Some((parent, field)) = pointer.rsplit_once('/') {
            let parent = object.pointer_mut(parent).and_then(Value::as_object_mut);
            parent.map(|parent| parent.remove(field));
        }
    }
    expand(mode, &mut object, tree);
    object
}

fn expand(mode: &AccountMode, value: &mut Value, tree: &ExpandTree) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| expand(mode, item, tree)),
        Value::Object(fields) => {
            for (field, within) in &tree.0 {
                if let Some(value) = fields.get_mut(field) {
                    open(mode, field, value, within);
                }
            }
        }
        _ => {}
    }
}

fn open(mode: &AccountMode, field: &str, value: &mut Value, within: &ExpandTree) {
    let Some(id) = value.as_str() else {
        return expand(mode, value, within);
    };
    let collection = COLLECTION_OF_FIELD.iter().find(|(name, _)| *name == field);
    let found = collection.and_then(|(_, collection)| {
        let table = mode.table(collection)?;
        Some((table.row(id)?.value(), table.layout.hidden))
    });
    if let Some((object, hidden)) = found {
        *value = render(mode, object, hidden, within);
    }
}
