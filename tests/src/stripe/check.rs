//! Checks the parameters of a request against the schema of its operation, as Stripe does.

use super::stripe_error::StripeError;
use serde_json::{Map, Value};

/// Stripe's limits for metadata (API reference, Metadata).
const PAIRS_MAX: usize = 50;
const KEY_LENGTH_MAX: usize = 40;
const VALUE_LENGTH_MAX: usize = 500;

/// Converts `form`, whose leaves are strings, into values of the types of `schema`. `at` is the name of the
/// object, empty for the whole request.
pub(super) fn object(schema: &Value, form: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, StripeError> {
    let further = &schema["additionalProperties"];
    let schema_of = |name: &str| match &schema["properties"][name] {
        Value::Null => Some(further).filter(|further| further.is_object()),
        known => Some(known),
    };
    let unknown: Vec<String> = form
        .keys()
        .filter(|name| schema_of(name).is_none())
        .map(|name| path(at, name))
        .collect();
    if !unknown.is_empty() {
        return Err(StripeError::unknown(&unknown));
    }
    if at == "metadata" || at.ends_with("[metadata]") {
        return metadata(form, at);
    }
    let required = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    for name in required {
        if !form.contains_key(name) {
            return Err(StripeError::missing(&path(at, name)));
        }
    }
    let typed = form
        .iter()
        .filter_map(|(name, given)| Some((name, given, schema_of(name)?)));
    typed
        .map(|(name, given, schema)| Ok((name.clone(), value(schema, given, &path(at, name))?)))
        .collect()
}

fn path(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}[{name}]")
    }
}

/// Metadata has any keys. An empty value removes its key.
fn metadata(form: &Map<String, Value>, at: &str) -> Result<Map<String, Value>, StripeError> {
    if form.len() > PAIRS_MAX {
        return Err(StripeError::of(at, format!("Metadata can have up to {PAIRS_MAX} keys")));
    }
    for (key, given) in form {
        let Some(text) = given.as_str() else {
            return Err(StripeError::of(&path(at, key), "Metadata values must be strings"));
        };
        for (what, text, most) in [
            ("keys", key.as_str(), KEY_LENGTH_MAX),
            ("values", text, VALUE_LENGTH_MAX),
        ] {
            let length = text.chars().count();
            if length > most {
                let message = format!(
                    "Metadata {what} can have up to {most} characters, but you passed in one that is {length} \
                     characters. Invalid: {text}"
                );
                return Err(StripeError::of(&path(at, key), message));
            }
        }
    }
    Ok(form.clone())
}

fn value(schema: &Value, given: &Value, at: &str) -> Result<Value, StripeError> {
    if let Some(choices) = schema["anyOf"].as_array() {
        return any_of(choices, given, at);
    }
    match schema["type"].as_str() {
        Some("object") => match given {
            Value::Object(form) => Ok(Value::Object(object(schema, form, at)?)),
            Value::String(text) if text.is_empty() => Err(StripeError::empty(at)),
            _ => Err(StripeError::of(at, "Invalid object")),
        },
        Some("array") => match given {
            Value::String(text) if text.is_empty() => Err(StripeError::empty(at)),
            _ => list(&schema["items"], given, at),
        },
        kind => match given {
            Value::String(text) => scalar(schema, kind.unwrap_or("string"), text, at),
            _ => Err(StripeError::of(at, format!("Invalid {}", kind.unwrap_or("string")))),
        },
    }
}

/// The value by the first choice that accepts it; otherwise the error of the nearest choice.
fn any_of(choices: &[Value], given: &Value, at: &str) -> Result<Value, StripeError> {
    let clears = |choice: &&Value| {
        choice["enum"]
            .as_array()
            .is_some_and(|words| words.len() == 1 && words[0] == "")
    };
    if given == "" && choices.iter().any(|choice| clears(&choice)) {
        return Ok(given.clone());
    }
    let has_parts = |choice: &&Value| choice["type"] == "object" || choice["type"] == "array";
    let (parts, scalars): (Vec<&Value>, Vec<&Value>) = choices.iter().filter(|c| !clears(c)).partition(has_parts);
    let (near, far) = if given.is_string() {
        (scalars, parts)
    } else {
        (parts, scalars)
    };
    let mut error = None;
    for choice in near.into_iter().chain(far) {
        match value(choice, given, at) {
            Ok(value) => return Ok(value),
            Err(refused) => error = error.or(Some(refused)),
        }
    }
    Err(error.unwrap_or_else(|| StripeError::empty(at)))
}

/// A list, written as `a[]=x` or `a[0]=x`.
fn list(schema: &Value, given: &Value, at: &str) -> Result<Value, StripeError> {
    let items: Vec<&Value> = match given {
        Value::Array(items) => items.iter().collect(),
        Value::Object(numbered) => {
            let number = |(key, item)| Some((str::parse::<u32>(key).ok()?, item));
            let items: Option<std::collections::BTreeMap<u32, &Value>> = numbered
                .iter()
                .map(|(key, item)| number((key.as_str(), item)))
                .collect();
            items
                .ok_or_else(|| StripeError::of(at, "Invalid array"))?
                .into_values()
                .collect()
        }
        _ => return Err(StripeError::of(at, "Invalid array")),
    };
    let items = items.into_iter().enumerate();
    items
        .map(|(number, item)| value(schema, item, &format!("{at}[{number}]")))
        .collect()
}

fn scalar(schema: &Value, kind: &str, text: &str, at: &str) -> Result<Value, StripeError> {
    if let Some(words) = schema["enum"].as_array() {
        if words.iter().any(|word| word == text) {
            return Ok(Value::from(text));
        }
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        let message = match words.as_slice() {
            [only] => format!("Invalid {at}: must be {only}"),
            [first @ .., last] => format!("Invalid {at}: must be one of {}, or {last}", first.join(", ")),
            [] => format!("Invalid {at}"),
        };
        return Err(StripeError::of(at, message));
    }
    if text.is_empty() {
        return Err(StripeError::empty(at));
    }
    match kind {
        "boolean" => match text {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            _ => Err(StripeError::of(at, format!("Invalid boolean: {text}"))),
        },
        "integer" => {
            let number = text.parse::<i64>().map(Value::from);
            number
                .map_err(|_| StripeError::of(at, format!("Invalid integer: {text}")).code("parameter_invalid_integer"))
        }
        "number" => {
            let number = text.parse::<serde_json::Number>().map(Value::Number);
            number.map_err(|_| StripeError::of(at, format!("Invalid decimal: {text}")))
        }
        _ => {
            let most = schema["maxLength"].as_u64().and_then(|most| usize::try_from(most).ok());
            match most.filter(|most| text.chars().count() > *most) {
                None => Ok(Value::from(text)),
                Some(most) => {
                    let message = format!("Invalid string: {text}; must be at most {most} characters");
                    Err(StripeError::of(at, message).code("parameter_invalid_string_length"))
                }
            }
        }
    }
}
