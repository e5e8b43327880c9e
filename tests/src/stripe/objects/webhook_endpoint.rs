//! Webhook endpoints.

use crate::stripe::account_mode::ServedRequest;
use crate::stripe::object_kind::{ObjectKind, PLAIN};
use crate::stripe::stripe_error::StripeError;
use serde_json::{Value, json};

const ENDPOINTS_MAX: usize = 16;

pub(crate) const WEBHOOK_ENDPOINTS: ObjectKind = ObjectKind {
    collection: "webhook_endpoints",
    object: "webhook_endpoint",
    prefix: "we",
    permission: "webhook",
    once: &["secret"],
    aside: &["connect", "disabled"],
    blank: Some(|call| {
        json!({
            "api_version": null,
            "application": null,
            "description": null,
            "enabled_events": [],
            "livemode": call.mode.is_live,
            "metadata": {},
            "status": "enabled",
            "url": null
        })
    }),
    settle,
    ..PLAIN
};

fn settle(call: &mut ServedRequest, old: Option<&Value>, endpoint: &mut Value) -> Result<(), StripeError> {
    let url = endpoint["url"].as_str().unwrap_or_default();
    let is_allowed = url.starts_with("https://") || (!call.mode.is_live && url.starts_with("http://"));
    if !is_allowed {
        let message = "Invalid URL: An explicit scheme (such as https) must be provided.";
        return Err(StripeError::of("url", message).code("url_invalid"));
    }
    if let Some(disabled) = call.params.get("disabled") {
        endpoint["status"] = json!(if *disabled == true { "disabled" } else { "enabled" });
    }
    if old.is_none() {
        let table = call.mode.table(WEBHOOK_ENDPOINTS.collection);
        if table.is_some_and(|table| table.rows().count() >= ENDPOINTS_MAX) {
            let message = format!("You have reached the maximum of {ENDPOINTS_MAX} test webhook endpoints.");
            return Err(StripeError::new(400, message));
        }
        endpoint["secret"] = json!(call.id("whsec"));
    }
    Ok(())
}
