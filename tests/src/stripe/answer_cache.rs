//! Answers that are given again (Stripe: API reference, Idempotent requests).

use super::refusal::Refusal;
use super::reply::Reply;
use std::collections::HashMap;

/// What was answered under each key.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<String, (String, Reply)>);

impl Kept {
    /// The answer to a request that was made before under `key`; `request` is all that it says.
    pub(super) fn answer(&self, key: &str, request: &str) -> Result<Option<Reply>, Refusal> {
        match self.0.get(key) {
            None => Ok(None),
            Some((before, reply)) if before == request => Ok(Some(reply.again())),
            Some(_) => Err(Refusal::other_parameters(key)),
        }
    }

    /// Keeps an answer, whatever it says: a 500 too is given again, for a day at Stripe.
    pub(super) fn keep(&mut self, key: &str, request: &str, reply: &Reply) {
        self.0.insert(key.to_owned(), (request.to_owned(), reply.clone()));
    }
}
