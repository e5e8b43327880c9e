//! Our stand-in for Stripe's API.
//!
//! A test starts a [`Stripe`] and gives its [`base`](Stripe::base) to a program as the address of
//! Stripe's API. Then it looks at the [requests](Stripe::requests) and at the stored
//! [objects](Stripe::objects). Every request is checked against Stripe's own OpenAPI document (`spec`,
//! `check`). An invalid request gets Stripe's error and is a [violation](Stripe::violations); a test
//! expects none. A test can inject a [`Fault`] into the requests that a [`When`] selects.
//!
//! `object_kinds` is the table of all kinds of objects; `objects` has a file for each kind. All kinds
//! share lists (`list`), expansion (`expand`), changes (`merge`) and idempotency keys (`answer_cache`).
//!
//! The document (of May 2026) covers all requests of our programs. The stand-in does not support what
//! our programs do not use: failing payments, prorations, and changes of a subscription's items. It
//! answers such a request with 501 and counts it as a violation.

mod account_mode;
mod answer_cache;
mod check;
mod cli;
mod expand;
mod fault;
mod form;
mod list;
mod merge;
mod object_kind;
mod object_kinds;
mod object_table;
mod objects;
mod operations;
mod received_request;
mod reply;
mod server;
mod shape;
mod spec;
mod state;
mod stripe_error;

pub use cli::cli;
pub use fault::{Fault, When};
pub use received_request::ReceivedRequest;

use anyhow::Result;
use serde_json::{Value, json};
use server::SharedState;
use spec::Spec;
use state::StandInState;
use std::collections::BTreeMap;
use tokio::net::TcpListener;

/// A stand-in for Stripe's API with one account. Clones share it.
#[derive(Debug, Clone)]
pub struct Stripe {
    shared: SharedState,
    base: String,
}

impl Stripe {
    /// The id of its account.
    pub const ACCOUNT_ID: &'static str = objects::account_settings::ACCOUNT_ID;

    /// Starts a stand-in that listens until the test's runtime ends.
    ///
    /// # Errors
    /// When Stripe's OpenAPI document is not installed.
    pub async fn start() -> Result<Self> {
        let spec = tokio::task::spawn_blocking(Spec::get).await??;
        let shared = SharedState::new(StandInState::new(spec));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(server::listen(listener, shared.clone()));
        Ok(Self { shared, base })
    }

    /// Its address, such as `http://127.0.0.1:40321`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Stops its clock at `seconds` (Unix time).
    pub fn set_now(&self, seconds: i64) {
        self.shared.lock().now = Some(seconds);
    }

    /// Injects `fault` into the requests that `when` selects.
    pub fn inject(&self, fault: Fault, when: When) {
        self.shared.lock().faults.add(fault, when);
    }

    /// Ends all faults.
    pub fn heal(&self) {
        self.shared.lock().faults.clear();
    }

    /// Removes permissions, such as `product_write` or `plan_read`, from a restricted key.
    pub fn deny(&self, key: &str, permissions: &[&str]) {
        let mut state = self.shared.lock();
        let denied = state.denied.entry(key.to_owned()).or_default();
        denied.extend(permissions.iter().map(|permission| (*permission).to_owned()));
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.lock().requests.clone()
    }

    /// All requests so far that change something.
    #[must_use]
    pub fn writes(&self) -> Vec<ReceivedRequest> {
        let state = self.shared.lock();
        state
            .requests
            .iter()
            .filter(|asked| asked.is_write())
            .cloned()
            .collect()
    }

    /// The number of requests by method and path, such as `GET /v1/products/{id}`.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let state = self.shared.lock();
        let kinds = state
            .requests
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.template));
        kinds.fold(BTreeMap::new(), |mut counts, kind| {
            *counts.entry(kind).or_default() += 1;
            counts
        })
    }

    /// All requests that Stripe's document or the stand-in does not support, and a panic of the stand-in.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let mut violations = self.shared.lock().violations.clone();
        if self.shared.is_broken() {
            violations.push("the stand-in panicked: see the test's output".to_owned());
        }
        violations
    }

    /// The differences between the `answer` to `method` at `path` and Stripe's document: missing or
    /// unknown fields, and values of another type.
    #[must_use]
    pub fn differences(&self, method: &str, path: &str, answer: &Value) -> Vec<String> {
        let spec = self.shared.lock().spec;
        let found = spec.find(path);
        let operation = found.and_then(|found| spec.operation(&method.to_lowercase(), found.template));
        let schema = operation.map(|operation| &operation["answer"]);
        let differences = schema.map(|schema| shape::differences(spec, schema, answer, ""));
        differences.unwrap_or_else(|| vec![format!("Stripe has no {method} {path}")])
    }

    /// All stored objects of a collection, such as `products` or `billing_portal/configurations`, with
    /// their hidden fields. Oldest first; test mode before live mode.
    #[must_use]
    pub fn objects(&self, collection: &str) -> Vec<Value> {
        let state = self.shared.lock();
        let tables = state.modes.iter().filter_map(|mode| mode.table(collection));
        tables
            .flat_map(|table| table.rows().map(object_table::StoredObject::value))
            .collect()
    }

    /// Stores an object without any check, or replaces the one with the same id. Its field `livemode`
    /// selects the mode; `created` gives its position in lists.
    ///
    /// # Panics
    /// When there is no such collection.
    pub fn put(&self, collection: &str, object: &Value) {
        let is_live = object["livemode"] == true;
        self.shared.lock().modes[usize::from(is_live)].put(collection, object);
    }

    /// Stores an event as delivered or as not delivered.
    pub fn emit(&self, event: &Value, delivered: bool) {
        let mut event = event.clone();
        event["pending_webhooks"] = json!(i32::from(!delivered));
        self.put("events", &event);
    }

    /// Marks the event `id` as delivered.
    pub fn deliver(&self, id: &str) {
        let event = self.shared.lock().modes.iter().find_map(|mode| mode.find("events", id));
        if let Some(event) = event {
            self.emit(&event, true);
        }
    }
}
