//! Sends `POST` and `DELETE` requests to Stripe, with async-stripe's client.

use crate::{error::ApiError, form::Form};
use serde_json::Value;
use stripe::{Client, IdempotencyKey, RequestStrategy};
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

/// The idempotency key of one operation. Stripe carries out only one of the requests with
/// the same key within 24 hours (API reference, "Idempotent requests").
#[derive(Debug, Clone)]
pub struct OperationKey(IdempotencyKey);

impl OperationKey {
    /// A new random key.
    ///
    /// # Errors
    /// If the system gives no random bytes.
    pub fn fresh() -> Result<Self, ApiError> {
        let no_key = |error: &dyn std::fmt::Display| ApiError::Unavailable(format!("no idempotency key: {error}"));
        let mut bytes = [0_u8; 16];
        getrandom::fill(&mut bytes).map_err(|e| no_key(&e))?;
        let key = IdempotencyKey::new(format!("tollbridge-{}", hex::encode(bytes)));
        key.map(Self).map_err(|e| no_key(&e))
    }
}

/// A request that changes something. We write its parameters ourselves: async-stripe's
/// types lack some of them, and cannot send an empty list.
struct WriteRequest<'a> {
    method: StripeMethod,
    path: &'a str,
    form: &'a Form,
}

impl StripeRequest for WriteRequest<'_> {
    // async-stripe's typed answers require fields that other API versions leave out.
    type Output = miniserde::json::Value;

    fn build(&self) -> RequestBuilder {
        let mut request = RequestBuilder::new(self.method, self.path);
        request.body = self.form.encoded();
        request
    }
}

pub(crate) async fn post(client: &Client, path: &str, form: &Form, key: &OperationKey) -> Result<Value, ApiError> {
    let change = WriteRequest {
        method: StripeMethod::Post,
        path,
        form,
    };
    let strategy = RequestStrategy::Idempotent(key.0.clone());
    let answer = change.customize().request_strategy(strategy).send(client).await?;
    value(&answer)
}

pub(crate) async fn delete(client: &Client, path: &str) -> Result<Value, ApiError> {
    let change = WriteRequest {
        method: StripeMethod::Delete,
        path,
        form: &Form::new(),
    };
    let answer = change.customize().send(client).await?;
    value(&answer)
}

fn value(answer: &miniserde::json::Value) -> Result<Value, ApiError> {
    let text = miniserde::json::to_string(answer);
    serde_json::from_str(&text).map_err(|error| ApiError::Unavailable(format!("its JSON: {error}")))
}
