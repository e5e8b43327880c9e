//! The objects of one kind, by id and in the order of their creation.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

/// The position of an object in a list: its `created`, then the number of its arrival.
pub(super) type ListPosition = (i64, u64);

/// What a table must know of the kind of its objects.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableLayout {
    /// The path below `/v1/`.
    pub(super) collection: &'static str,
    /// The `object` field of each object.
    pub(super) object: &'static str,
    /// Whether there is only one object, without an id.
    pub(super) is_single: bool,
    /// The fields, as JSON pointers, that lists can be filtered by.
    pub(super) columns: &'static [&'static str],
    /// Those of `columns` that have an index.
    pub(super) indexed: &'static [&'static str],
    /// The fields, as JSON pointers, that an answer has only if they are expanded.
    pub(super) hidden: &'static [&'static str],
}

/// An object as text: a hundred thousand subscriptions as trees would take gigabytes. The fields that
/// lists are filtered by are kept beside it.
#[derive(Debug)]
pub(super) struct StoredObject {
    pub(super) text: Box<str>,
    columns: Box<[Value]>,
}

impl StoredObject {
    pub(super) fn value(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// The field at `pointer`, which must be one of the `columns` of the object's kind.
    pub(super) fn column(&self, columns: &[&str], pointer: &str) -> &Value {
        let column = columns.iter().position(|column| *column == pointer);
        &self.columns[column.expect("lists of a kind are filtered by its columns")]
    }
}

/// All objects of one kind.
#[derive(Debug)]
pub(super) struct ObjectTable {
    pub(super) layout: TableLayout,
    rows: BTreeMap<ListPosition, StoredObject>,
    places: HashMap<String, ListPosition>,
    /// By indexed column and value.
    index: HashMap<(&'static str, String), BTreeSet<ListPosition>>,
    arrivals: u64,
}

impl ObjectTable {
    pub(super) fn new(layout: TableLayout) -> Self {
        Self {
            layout,
            rows: BTreeMap::new(),
            places: HashMap::new(),
            index: HashMap::new(),
            arrivals: 0,
        }
    }

    pub(super) fn place(&self, id: &str) -> Option<ListPosition> {
        self.places.get(id).copied()
    }

    pub(super) fn row(&self, id: &str) -> Option<&StoredObject> {
        self.rows.get(&self.place(id)?)
    }

    /// Adds an object, or replaces the one with the same id.
    pub(super) fn put(&mut self, object: &Value) {
        let id = if self.layout.is_single {
            ""
        } else {
            object["id"].as_str().unwrap_or_default()
        };
        let place = self.remove(id).unwrap_or_else(|| {
            self.arrivals += 1;
            (object["created"].as_i64().unwrap_or_default(), self.arrivals)
        });
        let columns = self.layout.columns.iter();
        let columns = columns.map(|pointer| object.pointer(pointer).cloned().unwrap_or_default());
        let row = StoredObject {
            text: object.to_string().into(),
            columns: columns.collect(),
        };
        for key in self.keys(&row) {
            self.index.entry(key).or_default().insert(place);
        }
        self.rows.insert(place, row);
        self.places.insert(id.to_owned(), place);
    }

    /// Removes an object, and returns its position.
    pub(super) fn remove(&mut self, id: &str) -> Option<ListPosition> {
        let place = self.places.remove(id)?;
        let row = self.rows.remove(&place)?;
        for key in self.keys(&row) {
            if let Some(places) = self.index.get_mut(&key) {
                places.remove(&place);
            }
        }
        Some(place)
    }

    fn keys(&self, row: &StoredObject) -> Vec<(&'static str, String)> {
        let columns = self.layout.columns;
        let indexed = self.layout.indexed.iter();
        let keys = indexed.map(|pointer| (*pointer, row.column(columns, pointer).to_string()));
        keys.collect()
    }

    /// The objects in `range`, oldest first.
    pub(super) fn range(
        &self,
        range: RangeInclusive<ListPosition>,
    ) -> Box<dyn DoubleEndedIterator<Item = &StoredObject> + '_> {
        if range.is_empty() {
            return Box::new(std::iter::empty());
        }
        Box::new(self.rows.range(range).map(|(_, row)| row))
    }

    /// The objects in `range` whose indexed field at `pointer` is `value`, oldest first.
    pub(super) fn range_of(
        &self,
        (pointer, value): (&'static str, &Value),
        range: RangeInclusive<ListPosition>,
    ) -> Box<dyn DoubleEndedIterator<Item = &StoredObject> + '_> {
        match self.index.get(&(pointer, value.to_string())) {
            Some(places) if !range.is_empty() => Box::new(places.range(range).filter_map(|place| self.rows.get(place))),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// All objects, oldest first.
    pub(super) fn rows(&self) -> impl Iterator<Item = &StoredObject> {
        self.rows.values()
    }
}
