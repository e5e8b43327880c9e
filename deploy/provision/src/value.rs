//! The fields of Stripe's objects: each has a path in Stripe's notation, such as
//! `recurring[interval]`, and a JSON value.

use serde_json::Value;
use std::collections::BTreeMap;
use stripe_api::Form;

/// Values by their paths, such as `recurring[interval]`.
pub type Fields = BTreeMap<String, Value>;

/// The fields of an object, with inner objects flattened. A list stays one value, and so
/// does an inner object whose path is in `sent_whole`.
#[must_use]
pub fn fields(object: &Value, sent_whole: &[&str]) -> Fields {
    let mut fields = Fields::new();
    flatten("", object, sent_whole, &mut fields);
    fields
}

fn flatten(path: &str, value: &Value, sent_whole: &[&str], fields: &mut Fields) {
    match value {
        Value::Object(inner) if !sent_whole.contains(&path) => {
            for (key, value) in inner {
                flatten(&below(path, key), value, sent_whole, fields);
            }
        }
        _ => {
            fields.insert(path.to_owned(), value.clone());
        }
    }
}

fn below(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}[{key}]")
    }
}

/// The value at a path; null if the object has no such field.
#[must_use]
pub fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    let keys = path.split(['[', ']']).filter(|key| !key.is_empty());
    keys.fold(object, |value, key| &value[key])
}

/// Whether a value is empty. For an empty field Stripe sends null, an empty text or list,
/// or no field at all.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Whether Stripe's value agrees with the wanted one. Stripe's objects may have more
/// fields, and the order of a list does not matter.
#[must_use]
pub fn has(actual: &Value, wanted: &Value) -> bool {
    match (actual, wanted) {
        _ if is_nothing(wanted) => is_nothing(actual),
        (Value::Object(_), Value::Object(wanted)) => wanted.iter().all(|(key, value)| has(&actual[key], value)),
        (Value::Array(actual), Value::Array(wanted)) => {
            let found = |value| actual.iter().any(|actual| has(actual, value));
            actual.len() == wanted.len() && wanted.iter().all(found)
        }
        (Value::Number(actual), Value::Number(wanted)) => actual == wanted || actual.as_f64() == wanted.as_f64(),
        _ => actual == wanted,
    }
}

/// Adds a value to a form. An empty value is sent as an empty text: it clears the field
/// (Stripe's API reference, "Update" of each object).
pub fn push(form: &mut Form, path: &str, value: &Value) {
    match value {
        value if is_nothing(value) => form.push(path, ""),
        Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                push(form, &format!("{path}[{index}]"), value);
            }
        }
        Value::Object(inner) => {
            for (key, value) in inner.iter().filter(|(_, value)| !is_nothing(value)) {
                push(form, &below(path, key), value);
            }
        }
        Value::String(text) => form.push(path, text),
        other => form.push(path, other),
    }
}

/// Replaces names of prices. The value is a price's name or a list of the portal's
/// products; an entry of that list also has a `product`, which stays as it is.
pub(crate) fn rename_prices<'a>(value: &mut Value, name: &impl Fn(&str) -> Option<&'a str>) {
    match value {
        Value::String(text) => {
            if let Some(name) = name(text) {
                name.clone_into(text);
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| rename_prices(value, name)),
        Value::Object(entry) => {
            if let Some(prices) = entry.get_mut("prices") {
                rename_prices(prices, name);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_names_of_prices_are_replaced() {
        let name = |text: &str| (text == "a").then_some("price_1");
        for (mut value, renamed) in [
            (json!("a"), json!("price_1")),
            (
                json!([{"product": "a", "prices": ["a", "b"]}]),
                json!([{"product": "a", "prices": ["price_1", "b"]}]),
            ),
        ] {
            rename_prices(&mut value, &name);
            assert_eq!(value, renamed);
        }
    }

    #[test]
    fn an_object_is_flattened_except_lists_and_objects_that_are_sent_whole() {
        let object = json!({"a": {"b": 1, "c": [{"d": 2}]}, "e": {"f": 3}, "g": null});
        let flat = fields(&object, &["e"]);
        let paths: Vec<&str> = flat.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a[b]", "a[c]", "e", "g"]);
        for (path, value) in &flat {
            assert_eq!(at(&object, path), value, "{path}");
        }
        assert_eq!(at(&object, "a[x][y]"), &Value::Null);
    }

    #[test]
    fn stripe_may_send_more_fields_and_another_order() {
        for (actual, wanted, same) in [
            (json!(null), json!(""), true),
            (json!([]), json!(null), true),
            (json!(false), json!(null), false),
            (json!(12.0), json!(12), true),
            (json!(["b", "a"]), json!(["a", "b"]), true),
            (json!(["b", "a", "c"]), json!(["a", "b"]), false),
            (
                json!([{"type": "x", "more": 1}, {"type": "y"}]),
                json!([{"type": "y"}, {"type": "x"}]),
                true,
            ),
            (json!({"a": 1, "b": null}), json!({"a": 1}), true),
            (json!({"b": 1}), json!({"a": 1}), false),
            (json!("1"), json!(1), false),
        ] {
            assert_eq!(has(&actual, &wanted), same, "{actual} {wanted}");
        }
    }

    #[test]
    fn a_form_has_stripes_notation_and_explicit_empty_values() {
        let mut form = Form::new();
        for (path, value) in [
            ("a[b]", json!([{"type": "x", "none": null}, {"type": "y"}])),
            ("list", json!([])),
            ("text", json!("t")),
            ("flag", json!(false)),
            ("amount", json!(1000)),
        ] {
            push(&mut form, path, &value);
        }
        let pairs: Vec<_> = form.pairs().iter().map(|(k, v)| format!("{k}={v}")).collect();
        assert_eq!(
            pairs,
            [
                "a[b][0][type]=x",
                "a[b][1][type]=y",
                "list=",
                "text=t",
                "flag=false",
                "amount=1000"
            ]
        );
    }
}
