//! The objects of one kind: by id, and in the order in which they were created.

use super::resource::Resource;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

/// Where an object stands: by `created`, and by arrival within a second.
pub(super) type Place = (i64, u64);

/// An object. It is kept as text, since a hundred thousand subscriptions as trees are gigabytes,
/// with those of its fields beside it that lists are filtered by.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) text: Box<str>,
    columns: Box<[Value]>,
}

impl Row {
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The field at `pointer`, which must be one of the resource's columns.
    pub(super) fn column(&self, resource: &Resource, pointer: &str) -> &Value {
        let column = resource.columns.iter().position(|column| *column == pointer);
        &self.columns[column.expect("a resource filters by its columns")]
    }
}

/// All objects of a resource.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) resource: &'static Resource,
    rows: BTreeMap<Place, Row>,
    places: HashMap<String, Place>,
    /// By column, where the resource has it indexed, and value.
    index: HashMap<(&'static str, String), BTreeSet<Place>>,
    arrivals: u64,
}

impl Table {
    pub(super) fn new(resource: &'static Resource) -> Self {
        Self {
            resource,
            rows: BTreeMap::new(),
            places: HashMap::new(),
            index: HashMap::new(),
            arrivals: 0,
        }
    }

    pub(super) fn place(&self, id: &str) -> Option<Place> {
        self.places.get(id).copied()
    }

    pub(super) fn row(&self, id: &str) -> Option<&Row> {
        self.rows.get(&self.place(id)?)
    }

    /// Puts an object in, in the place of the one with its id if there is one.
    pub(super) fn put(&mut self, object: &Value) {
        let is_named = !self.resource.is_single;
        let id = object["id"].as_str().filter(|_| is_named).unwrap_or_default();
        let place = self.remove(id).unwrap_or_else(|| {
            self.arrivals += 1;
            (object["created"].as_i64().unwrap_or_default(), self.arrivals)
        });
        let columns = self.resource.columns.iter();
        let columns = columns.map(|pointer| object.pointer(pointer).cloned().unwrap_or_default());
        let row = Row {
            text: object.to_string().into(),
            columns: columns.collect(),
        };
        for key in self.keys(&row) {
            self.index.entry(key).or_default().insert(place);
        }
        self.rows.insert(place, row);
        self.places.insert(id.to_owned(), place);
    }

    /// Takes an object out, and says where it was.
    pub(super) fn remove(&mut self, id: &str) -> Option<Place> {
        let place = self.places.remove(id)?;
        let row = self.rows.remove(&place)?;
        for key in self.keys(&row) {
            if let Some(places) = self.index.get_mut(&key) {
                places.remove(&place);
            }
        }
        Some(place)
    }

    fn keys(&self, row: &Row) -> Vec<(&'static str, String)> {
        let indexed = self.resource.indexed.iter();
        let keys = indexed.map(|pointer| (*pointer, row.column(self.resource, pointer).to_string()));
        keys.collect()
    }

    /// The objects in `range`, oldest first.
    pub(super) fn range(&self, range: RangeInclusive<Place>) -> Box<dyn DoubleEndedIterator<Item = &Row> + '_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        Box::new(self.rows.range(range).map(|(_, row)| row))
    }

    /// Those in `range` whose indexed field at `pointer` is `value`, oldest first.
    pub(super) fn range_of(
        &self,
        (pointer, value): (&'static str, &Value),
        range: RangeInclusive<Place>,
    ) -> Box<dyn DoubleEndedIterator<Item = &Row> + '_> {
        match self.index.get(&(pointer, value.to_string())) {
            Some(places) if !range.is_empty() => Box::new(places.range(range).filter_map(|place| self.rows.get(place))),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// All objects, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }
}
