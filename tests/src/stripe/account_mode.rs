//! What an account holds, in test mode and in live mode.

use super::refusal::Refusal;
use super::resource::{self, RESOURCES, Resource};
use super::table::Table;
use serde_json::{Map, Value, json};
use std::collections::HashMap;

/// The version of Stripe's API that answers and events have.
pub(super) const VERSION: &str = "2026-05-27.dahlia";

/// The objects of one mode.
#[derive(Debug)]
pub(super) struct Mode {
    pub(super) is_live: bool,
    tables: HashMap<&'static str, Table>,
    /// How often a test clock will still be seen advancing, by its id.
    pub(super) advancing: HashMap<String, u32>,
}

impl Mode {
    pub(super) fn new(is_live: bool) -> Self {
        let tables = RESOURCES
            .iter()
            .map(|resource| (resource.collection, Table::new(resource)));
        Self {
            is_live,
            tables: tables.collect(),
            advancing: HashMap::new(),
        }
    }

    pub(super) fn table(&self, collection: &str) -> Option<&Table> {
        self.tables.get(collection)
    }

    /// The object `id`, as it is kept.
    pub(super) fn find(&self, collection: &str, id: &str) -> Option<Value> {
        Some(self.table(collection)?.row(id)?.value())
    }

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

    /// The ids of those in `collection` whose indexed field at `pointer` is `value`.
    pub(super) fn having(&self, collection: &str, pointer: &'static str, value: &str) -> Vec<Value> {
        let table = self.table(collection);
        let all = (i64::MIN, 0)..=(i64::MAX, u64::MAX);
        let rows = table
            .into_iter()
            .flat_map(|table| table.range_of((pointer, &Value::from(value)), all.clone()));
        rows.map(super::table::Row::value).collect()
    }
}

/// A request that is being served.
#[derive(Debug)]
pub(super) struct Call<'a> {
    pub(super) mode: &'a mut Mode,
    pub(super) params: &'a Map<String, Value>,
    /// Unix time.
    pub(super) now: i64,
    /// How many ids were made.
    pub(super) ids: &'a mut u64,
}

impl Call<'_> {
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

    /// The text of a parameter.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.params.get(name).and_then(Value::as_str)
    }

    /// Makes an event of what happened to `object`, whose delivery worked.
    pub(super) fn tell(&mut self, kind: &str, object: &Value, previous: Option<Value>) {
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

    /// Whether a parameter is given.
    pub(super) fn has(&self, name: &str) -> bool {
        self.params.contains_key(name)
    }

    /// The object that the parameter `param` names.
    pub(super) fn need(&self, param: &str, collection: &str, id: &str) -> Result<Value, Refusal> {
        let object = self.mode.find(collection, id);
        let what = resource::named(collection).map_or(collection, |resource: &Resource| resource.object);
        object.ok_or_else(|| Refusal::unheard_of(param, what, id))
    }
}
