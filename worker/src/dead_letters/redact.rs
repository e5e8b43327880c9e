//! Hides secret and personal data in a payload. A value is shown only if it looks
//! like an id, a word of Stripe's, a number or a time, and its key names nothing
//! personal. Everything else is hidden.

use serde_json::Value;
use shared::message::NAME_BYTES_MAX;
use std::net::IpAddr;

/// The text that replaces a hidden value.
pub const HIDDEN: &str = "[redacted]";

/// If a key contains one of these in any case, its value is hidden.
const PERSONAL_PARTS: [&str; 38] = [
    "name",
    "email",
    "phone",
    "mobile",
    "address",
    "city",
    "street",
    "postal",
    "line1",
    "line2",
    "birth",
    "dob",
    "ssn",
    "tax_id",
    "id_number",
    "iban",
    "bic",
    "bank",
    "account_number",
    "routing",
    "sort_code",
    "branch",
    "bsb",
    "last4",
    "fingerprint",
    "exp_month",
    "exp_year",
    "user_agent",
    "secret",
    "token",
    "password",
    "authorization",
    "url",
    "signature",
    "descri",
    "custom_fields",
    "tracking",
    "evidence",
];

/// If one of these is a whole word of a key, between underscores, its value is hidden.
const PERSONAL_WORDS: [&str; 5] = ["ip", "addr", "key", "code", "pin"];
/// Keys with one of these words that are not personal: Tollbridge's and Stripe's.
const KNOWN_KEYS: [&str; 5] = [
    "lookup_key",
    "idempotency_key",
    "decline_code",
    "failure_code",
    "reason_code",
];
/// The keys of metadata that Tollbridge reads. Only these are shown, because
/// metadata may contain anything.
const METADATA_KEYS: [&str; 4] = ["user_id", "pack", "quantity", "tier"];

/// Words that contain a personal part but are not personal.
const HARMLESS_WORDS: [&str; 2] = ["tokens", "nickname"];
/// The keys that identify a usage report. They are shown: the dead letter's id is
/// made of them, and every page and command shows it.
const USAGE_ID_KEYS: [&str; 2] = ["source", "id"];

/// A payload for operators: indented JSON with secret and personal data hidden. Of a
/// payload that is not JSON it says only the length.
#[must_use]
pub fn redacted(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return format!("{} bytes that are not JSON; --raw shows them", body.len());
    };
    let usage_id = usage_id(&value);
    hide(&mut value, "");
    if let Some(fields) = value.as_object_mut() {
        fields.extend(usage_id);
    }
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

/// The fields that identify a usage report, a `CloudEvents` object with a
/// `specversion`. Empty for any other payload.
fn usage_id(value: &Value) -> Vec<(String, Value)> {
    if value.get("specversion").is_none() {
        return Vec::new();
    }
    let field = |key: &str| Some((key.to_owned(), value.get(key)?.clone()));
    let fields = USAGE_ID_KEYS.into_iter().filter_map(field);
    fields.filter(|(_, value)| value.is_string()).collect()
}

fn hide(value: &mut Value, key: &str) {
    match value {
        _ if is_personal(key) && !value.is_null() => *value = Value::String(HIDDEN.to_owned()),
        Value::String(text) if !is_harmless(text) => HIDDEN.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, "")),
        Value::Object(fields) => {
            // A key may be personal too, such as an e-mail address.
            let odd_keys: Vec<String> = fields.keys().filter(|key| !is_harmless(key)).cloned().collect();
            for (number, key) in odd_keys.into_iter().enumerate() {
                fields.remove(&key);
                fields.insert(format!("{HIDDEN} {}", number + 1), Value::String(HIDDEN.to_owned()));
            }
            for (name, item) in fields.iter_mut() {
                if key == "metadata" && !METADATA_KEYS.contains(&name.as_str()) && !item.is_null() {
                    *item = Value::String(HIDDEN.to_owned());
                } else {
                    hide(item, name);
                }
            }
        }
        _ => {}
    }
}

fn is_personal(key: &str) -> bool {
    let mut key = key.to_lowercase();
    for word in HARMLESS_WORDS {
        key = key.replace(word, "");
    }
    let mut words = key.split('_');
    PERSONAL_PARTS.iter().any(|part| key.contains(part))
        || (!KNOWN_KEYS.contains(&key.as_str()) && words.any(|word| PERSONAL_WORDS.contains(&word)))
}

/// Whether a text looks like an id, a word, a number or a time: at most 255 ASCII
/// letters, digits and a few separators. There is no white space, so it is no
/// sentence. Likewise `@`, `/` and `+` are not allowed: no e-mail address, no link,
/// no phone number.
fn is_harmless(text: &str) -> bool {
    let is_separator = |c: char| matches!(c, '_' | '-' | '.' | ':' | '#');
    let is_secret_key = ["sk_", "rk_", "pk_", "whsec_"]
        .iter()
        .any(|start| text.starts_with(start));
    let is_ip_address = text.parse::<IpAddr>().is_ok();
    text.len() <= NAME_BYTES_MAX
        && !is_secret_key
        && !is_ip_address
        && text.chars().all(|c| c.is_ascii_alphanumeric() || is_separator(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_ids_words_numbers_and_times_are_shown() {
        let body = json!({
            "id": "evt_1", "type": "customer.subscription.updated", "created": 1_700_000_000, "livemode": false,
            "data": {"object": {
                "id": "sub_1", "status": "active", "customer": "cus_1", "currency": "eur",
                "customer_email": "a@example.com", "customer_details": {"name": "Ann", "phone": "+49 1"},
                "shipping": {"address": {"line1": "Road", "country": "DE"}},
                "client_secret": "cs_1", "hosted_invoice_url": "https://x", "description": "for Ann",
                "metadata": {"user_id": "user_1", "pack": "tokens_5m", "note": "call me", "mobile": 1_701_234_567, "street": "Roadstr.5", "ann@example.com": "1"},
                "payment_method_details": {"card": {"brand": "visa", "last4": "4242"}},
                "data": {"meter": "tokens", "quantities": {"input_tokens": 7}, "nickname": "max"},
                "empty": null, "other": "sk_live_1", "ip": "10.0.0.1", "list": ["a b", "ab", {"email": 1}],
                "evidence": {"customer_purchase_ip": "203.0.113.7"}, "seen_from": "203.0.113.8",
                "custom_fields": [{"text": {"value": "Buyer"}}], "dob": {"year": 1970}, "statement_descriptor": "Annie",
                "lookup_key": "plus_monthly",
            }},
        });
        let text = redacted(body.to_string().as_bytes());
        let shown: Value = serde_json::from_str(&text).expect("JSON");
        let object = &shown["data"]["object"];
        for (key, value) in [
            ("id", "sub_1"),
            ("status", "active"),
            ("customer", "cus_1"),
            ("currency", "eur"),
        ] {
            assert_eq!(object[key], value);
        }
        assert_eq!(object["metadata"]["user_id"], "user_1");
        assert_eq!(object["metadata"]["pack"], "tokens_5m");
        assert_eq!(object["data"]["meter"], "tokens");
        assert_eq!(object["payment_method_details"]["card"]["brand"], "visa");
        assert_eq!(object["data"]["quantities"]["input_tokens"], 7);
        assert_eq!(object["lookup_key"], "plus_monthly");
        assert_eq!(object["list"], json!([HIDDEN, "ab", {"email": HIDDEN}]));
        assert_eq!(
            (&shown["created"], &object["empty"]),
            (&json!(1_700_000_000), &Value::Null)
        );
        let secret = [
            "Ann", "ann", "example", "+49", "Road", "cs_1", "https", "call", "4242", "sk_live", "10.0",
        ];
        for part in secret {
            assert!(!text.contains(part), "{part} is in {text}");
        }
    }

    #[test]
    fn of_a_payload_that_is_not_json_only_the_length_is_shown() {
        assert_eq!(redacted(b"secret"), "6 bytes that are not JSON; --raw shows them");
    }

    #[test]
    fn the_source_and_the_id_of_a_usage_report_are_shown() {
        let report = json!({
            "specversion": "1.0", "type": "usage", "source": "/chat", "id": "answer 7", "subject": "ann@example.com",
            "data": {"meter": "tokens", "source": "/chat"},
        });
        let shown: Value = serde_json::from_str(&redacted(report.to_string().as_bytes())).expect("JSON");
        assert_eq!((&shown["source"], &shown["id"]), (&json!("/chat"), &json!("answer 7")));
        assert_eq!(
            (&shown["subject"], &shown["data"]["source"]),
            (&json!(HIDDEN), &json!(HIDDEN))
        );
        let event = json!({"id": "evt_1", "source": "/chat"});
        let shown: Value = serde_json::from_str(&redacted(event.to_string().as_bytes())).expect("JSON");
        assert_eq!(shown["source"], HIDDEN);
    }
}
