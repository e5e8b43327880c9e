//! Compares an answer with the schema of its operation: it has all required fields and no unknown ones.

use super::spec::Spec;
use serde_json::Value;

/// The differences between `value` and `schema`, each with its path below `at`.
pub(super) fn differences(spec: &Spec, schema: &'static Value, value: &Value, at: &str) -> Vec<String> {
    if value.is_null() && schema["nullable"] == true {
        return Vec::new();
    }
    let schema = spec.resolve(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        let mut all = choices.iter().map(|choice| differences(spec, choice, value, at));
        let first = all.next().unwrap_or_default();
        // The choice with the fewest differences is the intended one.
        return all.fold(
            first,
            |fewest, these| if these.len() < fewest.len() { these } else { fewest },
        );
    }
    let words = schema["enum"].as_array();
    if words.is_some_and(|words| !words.contains(value)) {
        return vec![format!("{at}: {value} is none of {}", schema["enum"])];
    }
    let is_kind = match schema["type"].as_str() {
        Some("object") => return fields(spec, schema, value, at),
        Some("array") => return items(spec, schema, value, at),
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        _ => true,
    };
    if is_kind {
        return Vec::new();
    }
    vec![format!("{at}: {value} is no {}", schema["type"])]
}

fn items(spec: &Spec, schema: &'static Value, value: &Value, at: &str) -> Vec<String> {
    let Some(items) = value.as_array() else {
        return vec![format!("{at}: {value} is no array")];
    };
    let items = items.iter().enumerate();
    items
        .flat_map(|(number, item)| differences(spec, &schema["items"], item, &format!("{at}[{number}]")))
        .collect()
}

fn fields(spec: &Spec, schema: &'static Value, value: &Value, at: &str) -> Vec<String> {
    let Some(fields) = value.as_object() else {
        return vec![format!("{at}: {value} is no object")];
    };
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let missing = required.filter(|name| !fields.contains_key(*name));
    let mut found: Vec<String> = missing.map(|name| format!("{at}.{name} is missing")).collect();
    let further = &schema["additionalProperties"];
    for (name, value) in fields {
        let at = format!("{at}.{name}");
        match schema["properties"].get(name) {
            Some(schema) => found.extend(differences(spec, schema, value, &at)),
            None if further.is_object() => found.extend(differences(spec, further, value, &at)),
            // An object without properties may have any fields.
            None if schema["properties"].as_object().is_none_or(serde_json::Map::is_empty) => {}
            None => found.push(format!("{at} is unknown")),
        }
    }
    found
}
