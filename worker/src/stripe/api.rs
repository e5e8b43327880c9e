//! Asking Stripe for what its events leave out. The client is async-stripe's;
//! its typed answers require fields that older shapes and stand-ins lack, so
//! what is needed is read into a small struct of our own.

use crate::metrics;
use ::stripe::{Client, ClientBuilder, StripeError, StripeRequest};
use miniserde::Deserialize;
use shared::settings::{SettingError, Settings};
use std::{collections::HashMap, time::Duration};
use stripe_client_core::{RequestBuilder, StripeMethod};

/// How long an answer may take.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

const KEY: &str = "STRIPE_SECRET_KEY";
const BASE: &str = "STRIPE_API_BASE";

/// Stripe's API. Its `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct Api(Client);

/// Why Stripe did not say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It does not know the object: asking again is of no use.
    #[error("Stripe does not know it (404); STRIPE_SECRET_KEY must be of the event's account and mode")]
    NotFound,
    /// It does not let us ask.
    #[error("Stripe refuses STRIPE_SECRET_KEY ({0}); it must be valid, and if restricted may read checkout sessions")]
    Denied(u16),
    /// It answered with an error of another status.
    #[error("Stripe answered with status {0}")]
    Status(u16),
    /// No answer, or one that we cannot read.
    #[error("Stripe gave no answer of use: {0}")]
    Unavailable(StripeError),
    /// No answer in time.
    #[error("Stripe did not answer within {} s", TIME_LIMIT.as_secs())]
    TooSlow,
}

/// What one line of a checkout session sold: Stripe's API reference, "The line
/// item object".
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineItem {
    /// How many; absent is one.
    pub quantity: Option<i64>,
    /// Of what.
    pub price: Option<Price>,
}

/// The price of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Price {
    /// `price_…`
    pub id: Option<String>,
    /// Our own name for it.
    pub lookup_key: Option<String>,
    /// What was noted on it.
    pub metadata: Option<HashMap<String, String>>,
}

#[derive(Deserialize)]
struct List {
    data: Vec<LineItem>,
}

/// `GET /v1/checkout/sessions/{id}/line_items`. A session has 100 at the most.
struct LineItems<'a>(&'a str);

impl StripeRequest for LineItems<'_> {
    type Output = List;

    fn build(&self) -> RequestBuilder {
        let mut request = RequestBuilder::new(StripeMethod::Get, format!("/checkout/sessions/{}/line_items", self.0));
        request.query = Some("limit=100".to_owned());
        request
    }
}

impl Api {
    /// A client, if `STRIPE_SECRET_KEY` is set.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        let base = settings.text(BASE);
        if let Some(base) = base
            && !base.starts_with("https://")
            && !base.starts_with("http://")
        {
            return Err(SettingError::new(
                BASE,
                format!("'{base}' does not start with https:// or http://"),
            ));
        }
        let Some(key) = settings.secret(KEY)? else {
            return Ok(None);
        };
        let key = key.expose();
        if !(key.starts_with("sk_") || key.starts_with("rk_")) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(SettingError::new(
                KEY,
                "is not a secret key of Stripe's; it starts with sk_, or rk_ if it is restricted",
            ));
        }
        let mut client = ClientBuilder::new(key).timeout(TIME_LIMIT);
        if let Some(base) = base {
            // The client appends its paths to it as it is.
            client = client.url(format!("{}/", base.trim_end_matches('/')));
        }
        let client = client.build();
        client
            .map(|client| Some(Self(client)))
            .map_err(|error| SettingError::new(BASE, error.to_string()))
    }

    /// What a checkout session sold. Asked once: who asks decides about another time.
    pub async fn line_items(&self, session: &str) -> Result<Vec<LineItem>, AskError> {
        // It becomes a part of the path; Stripe's own ids have nothing else.
        if session.is_empty() || !session.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(AskError::NotFound);
        }
        let mut request = metrics::StripeRequest::begin();
        let answer = LineItems(session).customize().send(&self.0).await;
        let answer = answer.map(|list| list.data).map_err(AskError::from);
        request.outcome = answer.as_ref().err().map_or("ok", AskError::label);
        answer
    }
}

impl From<StripeError> for AskError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Stripe(_, 404) => Self::NotFound,
            StripeError::Stripe(_, status @ (401 | 403)) => Self::Denied(status),
            // Its text may be long, and is Stripe's: the status says enough.
            StripeError::Stripe(_, status) => Self::Status(status),
            StripeError::Timeout => Self::TooSlow,
            error => Self::Unavailable(error),
        }
    }
}

impl AskError {
    fn label(&self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Denied(_) => "denied",
            Self::Status(_) => "status",
            Self::Unavailable(_) => "unavailable",
            Self::TooSlow => "timeout",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> String {
        let api = Api::from_settings(&Settings::from_pairs(pairs));
        api.expect_err("must be refused").to_string()
    }

    #[test]
    fn there_is_a_client_if_there_is_a_key() {
        for (pairs, expected) in [
            (&[][..], false),
            (&[(BASE, "http://127.0.0.1:1")], false),
            (&[(KEY, "sk_test_hush")], true),
            (
                &[(KEY, "rk_live_hush"), (BASE, "https://stripe.example.com/stand-in/")],
                true,
            ),
        ] {
            let api = Api::from_settings(&Settings::from_pairs(pairs)).expect("can be used");
            assert_eq!(api.is_some(), expected, "{pairs:?}");
            assert!(!format!("{api:?}").contains("hush"), "{api:?}");
        }
    }

    #[test]
    fn what_is_no_key_and_what_is_no_url_is_refused_by_name_and_not_shown() {
        for key in ["pk_test_hush", "whsec_hush", "hush", "sk_hu sh", "sk_hüsh"] {
            let error = refused(&[(KEY, key)]);
            assert!(
                error.starts_with("STRIPE_SECRET_KEY: is not") && !error.contains(key),
                "{error}"
            );
        }
        for base in ["stripe.com", "ftp://stripe.com", "https://", "http://a b"] {
            let error = refused(&[(KEY, "sk_test_1"), (BASE, base)]);
            assert!(error.starts_with("STRIPE_API_BASE: "), "{error}");
        }
    }

    #[test]
    fn a_line_is_read_with_what_it_has_and_without_what_it_lacks() {
        let read = |json: &str| miniserde::json::from_str::<List>(json).expect("Stripe's shape").data;
        let lines = read(
            r#"{"object":"list","url":"/v1/x","has_more":false,"data":[
                {"id":"li_1","object":"item","amount_total":500,"quantity":3,"taxes":[{"amount":1}],
                 "price":{"id":"price_1","lookup_key":"k","metadata":{"pack":"p"},"product":"prod_1","tiers":null}},
                {"quantity":null,"price":{"lookup_key":null,"metadata":{}}},
                {"price":null}, {}]}"#,
        );
        assert_eq!(lines.len(), 4);
        let price = lines[0].price.as_ref().expect("a price");
        assert_eq!((lines[0].quantity, price.lookup_key.as_deref()), (Some(3), Some("k")));
        assert_eq!(
            price.metadata.as_ref().and_then(|m| m.get("pack")).map(String::as_str),
            Some("p")
        );
        assert_eq!(lines[1].quantity, None);
        assert!(lines[2].price.is_none() && lines[3].price.is_none());
        assert!(read(r#"{"data":[]}"#).is_empty());
    }
}
