//! Stripe's errors (Stripe: API reference, Errors, and Error codes).

use serde_json::{Value, json};

/// An error in Stripe's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct StripeError {
    pub(super) status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    pub(super) message: String,
    param: Option<String>,
    /// Whether a program of ours that gets this error is wrong.
    pub(super) is_violation: bool,
}

impl StripeError {
    /// The error for an invalid request.
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
            is_violation: false,
        }
    }

    /// The error for an invalid parameter `param`.
    pub(super) fn of(param: &str, message: impl Into<String>) -> Self {
        Self {
            param: Some(param.to_owned()),
            ..Self::new(400, message)
        }
    }

    pub(super) fn code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    pub(super) fn violation(self) -> Self {
        Self {
            is_violation: true,
            ..self
        }
    }

    fn kind(self, kind: &'static str) -> Self {
        Self { kind, ..self }
    }

    pub(super) fn unknown(params: &[String]) -> Self {
        let (plural, first) = (if params.len() > 1 { "s" } else { "" }, &params[0]);
        let message = format!("Received unknown parameter{plural}: {}", params.join(", "));
        Self::of(first, message).code("parameter_unknown")
    }

    pub(super) fn missing(param: &str) -> Self {
        Self::of(param, format!("Missing required param: {param}.")).code("parameter_missing")
    }

    pub(super) fn empty(param: &str) -> Self {
        let message = format!(
            "You passed an empty string for '{param}'. We assume empty values are an attempt to unset a parameter; \
             however '{param}' cannot be unset. You should remove '{param}' from your request or supply a non-empty \
             value."
        );
        Self::of(param, message).code("parameter_invalid_empty")
    }

    /// The error for an unknown id in the path.
    pub(super) fn absent(what: &str, id: &str) -> Self {
        let absent = Self::no_such("id", what, id);
        Self { status: 404, ..absent }
    }

    /// The error for an unknown id in a parameter.
    pub(super) fn no_such(param: &str, what: &str, id: &str) -> Self {
        Self::of(param, format!("No such {}: '{id}'", what.replace('_', " "))).code("resource_missing")
    }

    pub(super) fn taken(param: &str, message: impl Into<String>) -> Self {
        Self::of(param, message).code("resource_already_exists")
    }

    pub(super) fn unrecognized(method: &str, path: &str) -> Self {
        let message = format!(
            "Unrecognized request URL ({method}: {path}). If you are trying to list objects, remove the trailing \
             slash. If you are trying to retrieve an object, make sure you passed a valid (non-empty) identifier in \
             your code. Please see https://stripe.com/docs or we can help at https://support.stripe.com/."
        );
        Self::new(404, message)
    }

    pub(super) fn other_parameters(key: &str) -> Self {
        let message = format!(
            "Keys for idempotent requests can only be used with the same parameters they were first used with. Try \
             using a key other than '{key}' if you meant to execute a different request."
        );
        Self::new(400, message).kind("idempotency_error")
    }

    /// The error for a request that Stripe supports and the stand-in does not.
    pub(super) fn not_supported(what: &str) -> Self {
        Self::new(501, format!("the stand-in for Stripe does not {what}"))
            .kind("api_error")
            .violation()
    }

    pub(super) fn not_a_key(key: &str) -> Self {
        if key.is_empty() {
            let message = "You did not provide an API key. You need to provide your API key in the Authorization \
                           header, using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY'). See \
                           https://stripe.com/docs/api#authentication for details, or we can help at \
                           https://support.stripe.com/.";
            return Self::new(401, message);
        }
        Self::new(401, format!("Invalid API Key provided: {}", masked(key)))
    }

    pub(super) fn not_permitted(key: &str, account: &str, permission: &str) -> Self {
        let message = format!(
            "The provided key '{}' does not have the required permissions for this endpoint on account '{account}'. \
             Having the 'rak_{permission}' permission would allow this request to continue.",
            masked(key)
        );
        Self::new(403, message)
    }

    pub(super) fn too_many() -> Self {
        let message = "Request rate limit exceeded. Learn more about rate limits here \
                       https://stripe.com/docs/rate-limits.";
        Self::new(429, message).code("rate_limit")
    }

    pub(super) fn broken(status: u16) -> Self {
        let message = "Sorry! There was an error while talking to Stripe. Our engineers have been notified.";
        Self::new(status, message).kind("api_error")
    }

    pub(super) fn body(&self) -> Value {
        let mut error = json!({"message": self.message, "type": self.kind});
        if let Some(code) = self.code {
            error["code"] = json!(code);
            error["doc_url"] = json!(format!(
                "https://stripe.com/docs/error-codes/{}",
                code.replace('_', "-")
            ));
        }
        if let Some(param) = &self.param {
            error["param"] = json!(param);
        }
        json!({"error": error})
    }
}

/// A key as Stripe shows it in an error.
fn masked(key: &str) -> String {
    let end = key.char_indices().rev().nth(3).map_or(0, |(place, _)| place);
    let kind = key.match_indices('_').nth(1).map_or(0, |(place, _)| place + 1).min(end);
    format!("{}{}{}", &key[..kind], "*".repeat(end - kind), &key[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_repeated_without_its_middle() {
        for (key, shown) in [
            ("sk_test_123456", "sk_test_**3456"),
            ("rk_live_12", "rk_live_12"),
            ("hello", "*ello"),
            ("", ""),
        ] {
            assert_eq!(masked(key), shown);
        }
    }
}
