//! The objects of an account in one mode, and a request to it.

use super::object_table::{ObjectTable, StoredObject, TableLayout};
use super::stripe_error::StripeError;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The version of Stripe's API of answers and events.
pub(super) const VERSION: &str = "2026-05-27.dahlia";

/// The objects of an account in test mode or in live mode.
#[derive(Debug)]
pub(super) struct AccountMode {
    pub(super) is_live: bool,
    tables: HashMap<&'static str, ObjectTable>,
    /// How many more times a test clock shows as advancing, by its id.
    pub(super) advancing: HashMap<String, u32>,
}

impl AccountMode {
    /// Empty tables with these layouts.
    pub(super) fn new(is_live: bool, layouts: impl Iterator<Item = TableLayout>) -> Self {
        Self {
            is_live,
            tables: layouts
                .map(|layout| (layout.collection, ObjectTable::new(layout)))
                .collect(),
            advancing: HashMap::new(),
        }
    }

    pub(super) fn table(&self, collection: &str) -> Option<&ObjectTable> {
        self.tables.get(collection)
    }

    /// The object `id` as it is stored.
    pub(super) fn find(&self, collection: &str, id: &str) -> Option<Value> {
        Some(self.table(collection)?.row(id)?.value())
    }

    /// Adds an object, or replaces the one with the same id.
    ///
    /// # Panics
    /// When there is no such collection: a mistake in a test.
    pub(super) fn put(&mut self, collection: &str, object: &Value) {
        let table = self.tables.get_mut(collection);
        let table = table.unwrap_or_else(|| panic!("the stand-in has no collection {collection}"));
        table.put(object);
    }

    pub(super) fn remove(&mut self, collection: &str, id: &str) {
        self.tables.get_mut(collection).and_then(|table| table.remove(id));
    }

    /// The objects in `collection` whose indexed field at `pointer` is `value`.
    pub(super) fn objects_with(&self, collection: &str, pointer: &'static str, value: &str) -> Vec<Value> {
        let table = self.table(collection);
        let all = (i64::MIN, 0)..=(i64::MAX, u64::MAX);
        let rows = table
            .into_iter()
            .flat_map(|table| table.range_of((pointer, &Value::from(value)), all.clone()));
        rows.map(StoredObject::value).collect()
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct ServedRequest<'a> {
    pub(super) mode: &'a mut AccountMode,
    pub(super) params: &'a Map<String, Value>,
    /// Unix time.
    pub(super) now: i64,
    /// The number of ids made so far.
    pub(super) ids: &'a mut u64,
}

impl ServedRequest<'_> {
    /// A new id.
    pub(super) fn id(&mut self, prefix: &str) -> String {
        *self.ids += 1;
        let end = format!("1Tollbridge{:012}", *self.ids);
        if prefix.is_empty() {
            end
        } else {
            format!("{prefix}_{end}")
        }
    }

    /// The value of a parameter, if it is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.params.get(name).and_then(Value::as_str)
    }

    /// Adds an event about `object`, as delivered to all webhooks.
    pub(super) fn add_event(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
        let id = self.id("evt");
        let mut data = json!({"object": object});
        if let Some(previous) = previous {
            data["previous_attributes"] = previous;
        }
        let event = json!({
            "id": id,
            "object": "event",
            "api_version": VERSION,
            "created": self.now,
            "data": data,
            "livemode": self.mode.is_live,
            "pending_webhooks": 0,
            "request": {"id": null, "idempotency_key": null},
            "type": kind
        });
        self.mode.put("events", &event);
    }

    /// Whether the request has this parameter.
    pub(super) fn has(&self, name: &str) -> bool {
        self.params.contains_key(name)
    }

    /// The object in `collection` that the parameter `param` names by its `id`.
    pub(super) fn need(&self, param: &str, collection: &str, id: &str) -> Result<Value, StripeError> {
        let object = self.mode.find(collection, id);
        let what = self
            .mode
            .table(collection)
            .map_or(collection, |table| table.layout.object);
        object.ok_or_else(|| StripeError::no_such(param, what, id))
    }
}
