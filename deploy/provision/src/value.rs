//! Fields of Stripe's objects as they are compared and written: each by its
//! path in Stripe's notation, `recurring[interval]`, with a JSON value.

use serde_json::Value;
use std::collections::BTreeMap;
use stripe_api::Form;

/// Values by their paths.
pub type Fields = BTreeMap<String, Value>;

/// The fields of an object, its inner objects opened; but what a path of `whole`
/// names is one value, since Stripe takes it only whole. A list is one value too.
#[must_use]
pub fn fields(object: &Value, whole: &[&str]) -> Fields {
    let mut fields = Fields::new();
    open("", object, whole, &mut fields);
    fields
}

fn open(path: &str, value: &Value, whole: &[&str], fields: &mut Fields) {
    match value {
        Value::Object(inner) if !whole.contains(&path) => {
            for (key, value) in inner {
                open(&below(path, key), value, whole, fields);
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

/// The value at a path; null if it is not there.
#[must_use]
pub fn at<'a>(object: &'a Value, path: &str) -> &'a Value {
    let keys = path.split(['[', ']']).filter(|key| !key.is_empty());
    keys.fold(object, |value, key| &value[key])
}

/// Whether a value says nothing. Stripe leaves out what is empty, or says null, or an empty text or list.
#[must_use]
pub fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

/// Whether Stripe has what is wanted: it may say more of an object than was
/// asked for, and lists are sets.
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

/// Adds a value to a form. What says nothing is sent as an explicit empty value,
/// which empties the field.
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

/// Puts other names for prices: the value is one, or a list of what the portal
/// offers, whose entries name their product too, by an id of its own.
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
    fn what_has_the_name_of_a_price_but_is_none_keeps_it() {
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
    fn an_object_is_opened_but_for_lists_and_what_stays_whole() {
        let object = json!({"a": {"b": 1, "c": [{"d": 2}]}, "e": {"f": 3}, "g": null});
        let opened = fields(&object, &["e"]);
        let paths: Vec<&str> = opened.keys().map(String::as_str).collect();
        assert_eq!(paths, ["a[b]", "a[c]", "e", "g"]);
        for (path, value) in &opened {
            assert_eq!(at(&object, path), value, "{path}");
        }
        assert_eq!(at(&object, "a[x][y]"), &Value::Null);
    }

    #[test]
    fn stripe_may_say_more_and_in_another_order() {
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
