//! Applies parameters to an object: a missing parameter changes nothing, an empty one clears its field.

use serde_json::{Map, Value};

/// Writes `params` into `target`, hash by hash. An empty value empties a list and makes other fields null;
/// in metadata it removes the key.
pub(super) fn merge(target: &mut Value, params: &Map<String, Value>) {
    for (name, given) in params {
        let old = &mut target[name.as_str()];
        match given {
            Value::Object(pairs) if name == "metadata" => note(old, pairs),
            Value::String(text) if text.is_empty() => *old = emptied(name, old),
            Value::Object(parts) if old.is_object() => merge(old, parts),
            given => *old = given.clone(),
        }
    }
}

fn note(metadata: &mut Value, pairs: &Map<String, Value>) {
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    let Some(metadata) = metadata.as_object_mut() else {
        return;
    };
    for (key, value) in pairs {
        if value == "" {
            metadata.remove(key);
        } else {
            metadata.insert(key.clone(), value.clone());
        }
    }
}

fn emptied(name: &str, old: &Value) -> Value {
    match old {
        Value::Array(_) => Value::Array(Vec::new()),
        Value::Object(_) if name == "metadata" => Value::Object(Map::new()),
        _ => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_sent_stays_and_what_is_sent_empty_is_emptied() {
        for (old, params, new) in [
            (json!({"a": 1, "b": 2}), json!({"b": 3}), json!({"a": 1, "b": 3})),
            (json!({"a": "x"}), json!({"a": ""}), json!({"a": null})),
            (json!({"a": ["x"]}), json!({"a": ""}), json!({"a": []})),
            (json!({"a": ["x"]}), json!({"a": ["y"]}), json!({"a": ["y"]})),
            (
                json!({"a": {"b": {"c": 1, "d": 2}}}),
                json!({"a": {"b": {"c": 3}}}),
                json!({"a": {"b": {"c": 3, "d": 2}}}),
            ),
            (json!({"a": null}), json!({"a": {"b": 1}}), json!({"a": {"b": 1}})),
            (
                json!({"metadata": {"a": "1", "b": "2"}}),
                json!({"metadata": {"a": "", "c": "3"}}),
                json!({"metadata": {"b": "2", "c": "3"}}),
            ),
            (
                json!({"metadata": {"a": "1"}}),
                json!({"metadata": ""}),
                json!({"metadata": {}}),
            ),
        ] {
            let mut merged = old.clone();
            merge(&mut merged, params.as_object().expect("parameters are a hash"));
            assert_eq!(merged, new, "{old} and {params}");
        }
    }
}
