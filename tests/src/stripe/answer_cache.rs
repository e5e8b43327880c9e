//! Answers kept by idempotency key (Stripe: API reference, Idempotent requests).

use super::reply::StandInReply;
use super::stripe_error::StripeError;
use std::collections::HashMap;

/// The request and the answer of each key.
#[derive(Debug, Default)]
pub(super) struct AnswerCache(HashMap<String, (String, StandInReply)>);

impl AnswerCache {
    /// The kept answer to the same `request` (method, path and parameters as text) under `key`. Another
    /// request under this key is an error.
    pub(super) fn find(&self, key: &str, request: &str) -> Result<Option<StandInReply>, StripeError> {
        match self.0.get(key) {
            None => Ok(None),
            Some((before, reply)) if before == request => Ok(Some(reply.again())),
            Some(_) => Err(StripeError::other_parameters(key)),
        }
    }

    /// Keeps an answer of any status. Stripe also repeats a 500, for a day.
    pub(super) fn keep(&mut self, key: &str, request: &str, reply: &StandInReply) {
        self.0.insert(key.to_owned(), (request.to_owned(), reply.clone()));
    }
}
