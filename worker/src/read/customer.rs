//! Finds the customer of a refused message, so that dead letters can be found by customer.

use serde_json::Value;
use shared::message::{NAME_BYTES_MAX, Source};

/// The Stripe customer of an event, or the user of a usage report. `None` if the body names
/// none, or cannot be read.
#[must_use]
pub fn customer_of(body: &[u8], source: Source) -> Option<String> {
    let message: Value = serde_json::from_slice(body).ok()?;
    let id = match source {
        Source::Usage => message.get("subject")?.as_str()?,
        Source::Webhook | Source::Backfill | Source::Snapshot | Source::Direct => {
            let object = message.get("data")?.get("object")?;
            let is_customer = object.get("object").and_then(Value::as_str) == Some("customer");
            match object.get(if is_customer { "id" } else { "customer" })? {
                Value::String(id) => id,
                expanded => expanded.get("id")?.as_str()?,
            }
        }
    };
    let usable = !id.is_empty() && id.len() <= NAME_BYTES_MAX && !id.contains('\0');
    usable.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_customer_is_found_in_every_shape_that_names_one() {
        let long = format!(r#"{{"data":{{"object":{{"customer":"{}"}}}}}}"#, "c".repeat(256));
        for (body, source, expected) in [
            (
                r#"{"data":{"object":{"customer":"cus_1"}}}"#,
                Source::Webhook,
                Some("cus_1"),
            ),
            (
                r#"{"data":{"object":{"customer":{"id":"cus_2"}}}}"#,
                Source::Direct,
                Some("cus_2"),
            ),
            (
                r#"{"data":{"object":{"object":"customer","id":"cus_3"}}}"#,
                Source::Webhook,
                Some("cus_3"),
            ),
            (r#"{"data":{"object":{"customer":null}}}"#, Source::Webhook, None),
            (r#"{"data":{"object":{"id":"sub_1"}}}"#, Source::Webhook, None),
            (r#"{"data":[]}"#, Source::Webhook, None),
            (r#"{"data":{"object":{"customer":"a\u0000b"}}}"#, Source::Webhook, None),
            (&long, Source::Webhook, None),
            ("not JSON", Source::Webhook, None),
            (r#"{"subject":"user_1"}"#, Source::Usage, Some("user_1")),
            (r#"{"subject":"user_1"}"#, Source::Webhook, None),
        ] {
            assert_eq!(customer_of(body.as_bytes(), source).as_deref(), expected, "{body}");
        }
    }
}
