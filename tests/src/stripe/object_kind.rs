//! How a kind of objects is described.

use super::account_mode::ServedRequest;
use super::object_table::{StoredObject, TableLayout};
use super::stripe_error::StripeError;
use serde_json::{Map, Value, json};

/// What is special about a kind of objects.
#[derive(Debug)]
pub(super) struct ObjectKind {
    /// The path below `/v1/`.
    pub(super) collection: &'static str,
    /// The `object` field of each object.
    pub(super) object: &'static str,
    /// The prefix of the ids.
    pub(super) prefix: &'static str,
    /// The permission of restricted keys, without its ending `_read` or `_write`.
    pub(super) permission: &'static str,
    /// The first part of its event types, before `.created` and the like; empty if there are none.
    pub(super) events: &'static str,
    /// Whether an account has only one such object, without an id.
    pub(super) is_single: bool,
    /// The fields, as JSON pointers, that lists can be filtered by.
    pub(super) columns: &'static [&'static str],
    /// Those of `columns` that have an index, because they select few of many objects.
    pub(super) indexed: &'static [&'static str],
    /// The filters of a list, beside `created` and the parameters of pages.
    pub(super) filters: &'static [(&'static str, ListFilter)],
    /// Whether a list shows an object that passes the filters; takes the list's parameters and the
    /// present time (Unix time).
    pub(super) shows: fn(&ObjectKind, &StoredObject, &Map<String, Value>, i64) -> bool,
    /// The fields, as JSON pointers, that an answer has only if they are expanded.
    pub(super) hidden: &'static [&'static str],
    /// The fields that only the answer to the creation has.
    pub(super) once: &'static [&'static str],
    /// The parameters that do not become fields.
    pub(super) aside: &'static [&'static str],
    /// A new object before its parameters are applied; `None` if a request cannot create one.
    pub(super) blank: Option<fn(&ServedRequest) -> Value>,
    /// Checks a new or changed object and computes its dependent fields. Takes the object before the
    /// change, if there was one, and the object with the parameters applied.
    pub(super) settle: fn(&mut ServedRequest, Option<&Value>, &mut Value) -> Result<(), StripeError>,
    /// Whether a deleted object can still be retrieved by its id.
    pub(super) leaves_stub: bool,
    /// Checks a deletion, and deletes the dependent objects.
    pub(super) deleted: fn(&mut ServedRequest, &Value) -> Result<(), StripeError>,
}

/// A kind without special rules.
pub(super) const PLAIN: ObjectKind = ObjectKind {
    collection: "",
    object: "",
    prefix: "",
    permission: "",
    events: "",
    is_single: false,
    columns: &[],
    indexed: &[],
    filters: &[],
    shows: |_, _, _, _| true,
    hidden: &[],
    once: &[],
    aside: &[],
    blank: None,
    settle: |_, _, _| Ok(()),
    leaves_stub: false,
    deleted: |_, _| Ok(()),
};

impl ObjectKind {
    /// The layout of the table of its objects.
    pub(super) const fn layout(&self) -> TableLayout {
        TableLayout {
            collection: self.collection,
            object: self.object,
            is_single: self.is_single,
            columns: self.columns,
            indexed: self.indexed,
            hidden: self.hidden,
        }
    }
}

/// How a parameter of a list selects objects. The text of most variants is the JSON pointer of a field.
#[derive(Debug)]
pub(super) enum ListFilter {
    /// The field equals the parameter.
    Is(&'static str),
    /// The field equals the parameter, in upper or lower case.
    IsInAnyCase(&'static str),
    /// The field equals the parameter, or begins with it if the parameter ends with `*`.
    Like(&'static str),
    /// The field is in the list that the parameter gives.
    In(&'static str),
    /// The number in the field is 0 if the parameter is true, and not 0 if it is false.
    IsZero(&'static str),
    /// The kind's `shows` decides.
    ByShows,
}

impl ListFilter {
    /// Whether it selects `row` for the parameter's value `wish`.
    pub(super) fn selects(&self, kind: &ObjectKind, row: &StoredObject, wish: &Value) -> bool {
        match self {
            Self::Is(pointer) => row.column(kind.columns, pointer) == wish,
            Self::In(pointer) => {
                let column = row.column(kind.columns, pointer);
                wish.as_array().is_some_and(|wishes| wishes.contains(column))
            }
            Self::IsZero(pointer) => *wish == json!(*row.column(kind.columns, pointer) == 0),
            Self::IsInAnyCase(pointer) => match (row.column(kind.columns, pointer), wish) {
                (Value::String(field), Value::String(wish)) => field.eq_ignore_ascii_case(wish),
                _ => false,
            },
            Self::Like(pointer) => match (row.column(kind.columns, pointer), wish) {
                (Value::String(field), Value::String(wish)) => match wish.strip_suffix('*') {
                    Some(start) => field.starts_with(start),
                    None => field == wish,
                },
                _ => false,
            },
            Self::ByShows => true,
        }
    }
}

/// Whether `row` is on the test clock that the list asks for. A list that asks for none shows only objects
/// without a clock.
pub(super) fn is_on_requested_clock(kind: &ObjectKind, row: &StoredObject, params: &Map<String, Value>) -> bool {
    let clock = row.column(kind.columns, "/test_clock");
    params
        .get("test_clock")
        .map_or(clock.is_null(), |wished| wished == clock)
}
