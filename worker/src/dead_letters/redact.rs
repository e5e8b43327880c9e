//! A payload without what is secret or personal. What is not known to be
//! harmless is hidden: a value is shown only if it looks like an id, a word of
//! Stripe's, a number or a time, and its key names nothing personal.

use serde_json::Value;
use std::net::IpAddr;

/// What stands in a hidden value's place.
pub const HIDDEN: &str = "[redacted]";

/// Parts of keys below which nothing is shown, in lower case.
const PERSONAL: [&str; 38] = [
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

/// Whole words of keys, between underscores, below which nothing is shown.
const PERSONAL_WORDS: [&str; 5] = ["ip", "addr", "key", "code", "pin"];
/// Keys that hold one of these words and are ours, or Stripe's own.
const KNOWN: [&str; 5] = [
    "lookup_key",
    "idempotency_key",
    "decline_code",
    "failure_code",
    "reason_code",
];
/// All that is shown of metadata, which may hold anything: what we read.
const METADATA: [&str; 4] = ["user_id", "pack", "quantity", "tier"];

/// Words that hold a part of those above and yet are nothing personal.
const HARMLESS: [&str; 2] = ["tokens", "nickname"];

/// A payload for people: indented JSON with what is secret or personal hidden;
/// for what is not JSON only how long it is.
#[must_use]
pub fn redacted(body: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(body) else {
        return format!("{} bytes that are not JSON; --raw shows them", body.len());
    };
    hide(&mut value, "");
    serde_json::to_string_pretty(&value).unwrap_or_default()
}

fn hide(value: &mut Value, key: &str) {
    match value {
        _ if personal(key) && !value.is_null() => *value = Value::String(HIDDEN.to_owned()),
        Value::String(text) if !harmless(text) => HIDDEN.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|item| hide(item, "")),
        Value::Object(fields) => {
            // A key may be an e-mail address too.
            let odd: Vec<String> = fields.keys().filter(|key| !harmless(key)).cloned().collect();
            for (number, key) in odd.into_iter().enumerate() {
                fields.remove(&key);
                fields.insert(format!("{HIDDEN} {}", number + 1), Value::String(HIDDEN.to_owned()));
            }
            for (name, item) in fields.iter_mut() {
                if key == "metadata" && !METADATA.contains(&name.as_str()) && !item.is_null() {
                    *item = Value::String(HIDDEN.to_owned());
                } else {
                    hide(item, name);
                }
            }
        }
        _ => {}
    }
}

fn personal(key: &str) -> bool {
    let mut key = key.to_lowercase();
    for word in HARMLESS {
        key = key.replace(word, "");
    }
    let mut words = key.split('_');
    PERSONAL.iter().any(|part| key.contains(part))
        || (!KNOWN.contains(&key.as_str()) && words.any(|word| PERSONAL_WORDS.contains(&word)))
}

/// Whether a text is an id, a word, a number or a time: at most 255 letters,
/// digits and what stands between them. No white space, so no sentence; no `@`,
/// so no e-mail; no `/`, so no link; no `+`, so no phone number.
fn harmless(text: &str) -> bool {
    let between = |c: char| matches!(c, '_' | '-' | '.' | ':' | '#');
    let key_of_stripes = ["sk_", "rk_", "pk_", "whsec_"]
        .iter()
        .any(|start| text.starts_with(start));
    let address = text.parse::<IpAddr>().is_ok();
    text.len() <= 255 && !key_of_stripes && !address && text.chars().all(|c| c.is_ascii_alphanumeric() || between(c))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_words_numbers_and_times_are_shown_and_everything_else_is_not() {
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
    fn of_what_is_no_json_only_the_length_is_told() {
        assert_eq!(redacted(b"secret"), "6 bytes that are not JSON; --raw shows them");
    }
}
