//! One difference between a stored row and the events, and how two values differ.

use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeSet, fmt};

/// A stored row that is not what the events say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which row, such as `entitlement of user_ada`.
    pub row: String,
    /// What is stored, and what the events say.
    pub what: String,
}

impl Difference {
    /// A difference of a row.
    pub fn of(row: impl Into<String>, what: impl Into<String>) -> Self {
        let (row, what) = (row.into(), what.into());
        Self { row, what }
    }

    fn field(row: &str, field: &str, stored: &Value, expected: &Value) -> Self {
        Self::of(
            row,
            format!("{field} is {}, the events say {}", shown(stored), shown(expected)),
        )
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.row, self.what)
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

/// The leaves in which two JSON values differ. `path` names where they are in the row.
pub(super) fn fields(row: &str, path: &str, stored: &Value, expected: &Value) -> Vec<Difference> {
    match (stored, expected) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            let of = |name: &String| {
                let path = if path.is_empty() {
                    name.clone()
                } else {
                    format!("{path}.{name}")
                };
                fields(
                    row,
                    &path,
                    a.get(name).unwrap_or(&Value::Null),
                    b.get(name).unwrap_or(&Value::Null),
                )
            };
            names.into_iter().flat_map(of).collect()
        }
        _ if stored == expected => Vec::new(),
        _ => vec![Difference::field(row, path, stored, expected)],
    }
}

/// The leaves in which two values differ, by their JSON.
pub(super) fn differing<T: Serialize + PartialEq>(row: &str, path: &str, stored: &T, expected: &T) -> Vec<Difference> {
    if stored == expected {
        return Vec::new();
    }
    // Only types of this program get here, and those serialize.
    let value = |of: &T| serde_json::to_value(of).unwrap_or_default();
    fields(row, path, &value(stored), &value(expected))
}
