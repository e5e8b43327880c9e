//! Decodes parameters such as `a[b][]=c` in a query or a form, by the rules of Ruby's Rack, as Stripe does.

use super::stripe_error::StripeError;
use serde_json::{Map, Value};

/// Decodes texts into one tree of hashes and lists, whose leaves are strings.
///
/// # Errors
/// When a name has both a value and parts.
pub(super) fn decode<'a>(encoded: impl IntoIterator<Item = &'a str>) -> Result<Map<String, Value>, StripeError> {
    let mut tree = Map::new();
    for text in encoded {
        for (key, value) in form_urlencoded::parse(text.as_bytes()) {
            let (name, steps) = split(&key);
            let slot = tree.entry(name).or_insert(Value::Null);
            insert(slot, &steps, &value)
                .ok_or_else(|| StripeError::of(&key, "Invalid request: parameters conflict"))?;
        }
    }
    Ok(tree)
}

/// Splits `a[b][]` into `a` and its steps: `b`, and an empty text for the list.
fn split(key: &str) -> (&str, Vec<&str>) {
    let Some((name, rest)) = key.split_once('[') else {
        return (key, Vec::new());
    };
    (name, rest.trim_end_matches(']').split("][").collect())
}

fn insert(slot: &mut Value, steps: &[&str], value: &str) -> Option<()> {
    let Some((step, rest)) = steps.split_first() else {
        // If a value is given twice, the last one counts.
        (slot.is_null() || slot.is_string()).then(|| *slot = Value::from(value))?;
        return Some(());
    };
    if step.is_empty() {
        if slot.is_null() {
            *slot = Value::Array(Vec::new());
        }
        let items = slot.as_array_mut()?;
        // `a[][b]=1&a[][c]=2` is one hash, `a[][b]=1&a[][b]=2` are two.
        let goes_on = items.last().is_some_and(|last| last.is_object() && !holds(last, rest));
        if rest.is_empty() || !goes_on {
            items.push(Value::Null);
        }
        return insert(items.last_mut()?, rest, value);
    }
    if slot.is_null() {
        *slot = Value::Object(Map::new());
    }
    insert(slot.as_object_mut()?.entry(*step).or_insert(Value::Null), rest, value)
}

/// Whether a hash has a value at `steps`.
fn holds(hash: &Value, steps: &[&str]) -> bool {
    steps
        .split_first()
        .is_none_or(|(step, rest)| hash.get(*step).is_some_and(|part| holds(part, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn parameters_are_read_as_rack_reads_them() {
        for (text, tree) in [
            ("", json!({})),
            ("a=1&b=", json!({"a": "1", "b": ""})),
            ("a=1&a=2", json!({"a": "2"})),
            ("a[b][c]=x%26y&a[d]=z", json!({"a": {"b": {"c": "x&y"}, "d": "z"}})),
            ("a%5B%5D=1&a%5B%5D=2", json!({"a": ["1", "2"]})),
            ("a[0]=1&a[1]=2", json!({"a": {"0": "1", "1": "2"}})),
            (
                "a[][b]=1&a[][c]=2&a[][b]=3",
                json!({"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
            ),
            (
                "a[][b][c]=1&a[][b][d]=2&a[][e][]=3&a[][e][]=4&a[][b][c]=5",
                json!({"a": [{"b": {"c": "1", "d": "2"}, "e": ["3", "4"]}, {"b": {"c": "5"}}]}),
            ),
        ] {
            assert_eq!(decode([text]).map(Value::Object), Ok(tree), "{text}");
        }
        assert!(decode(["a=1&a[b]=2"]).is_err());
        assert!(decode(["a[b]=1&a=2"]).is_err());
    }
}
