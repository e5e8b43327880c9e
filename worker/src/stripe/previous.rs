//! The object before a change, from the object after it and
//! `previous_attributes`: hashes are merged, arrays are whole, null means
//! absent (Stripe's "event object" page).

use serde_json::{Map, Value};

/// The object as it was before.
#[must_use]
pub(super) fn before(now: &Map<String, Value>, previous: &Map<String, Value>) -> Map<String, Value> {
    let mut object = now.clone();
    merge(&mut object, previous);
    object
}

fn merge(object: &mut Map<String, Value>, previous: &Map<String, Value>) {
    for (key, old) in previous {
        match (object.get_mut(key), old) {
            (Some(Value::Object(inner)), Value::Object(old)) => merge(inner, old),
            (_, Value::Null) => {
                object.remove(key);
            }
            (_, old) => {
                object.insert(key.clone(), old.clone());
            }
        }
    }
}
