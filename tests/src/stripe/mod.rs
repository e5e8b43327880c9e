//! A stand-in for Stripe's API, ours: what Stripe refuses it refuses, what Stripe keeps it keeps.
//!
//! A test starts a [`Stripe`], tells a program to use its [`base`](Stripe::base), and then looks at
//! what was [asked](Stripe::requests) and what is [there](Stripe::objects). Every request is held
//! against Stripe's own OpenAPI document (`spec`, `check`): what that does not know is refused as
//! Stripe refuses it, and is among the [`violations`](Stripe::violations), of which there must be
//! none. Objects are described by a table (`resource`) and a file for each kind (`objects`); all
//! else is one for all of them: pages (`list`), expansion (`expand`), changes (`merge`), and
//! repeated answers (`idempotency`). A test has [`Fault`]s strike [`When`] it wishes.
//!
//! The document (of May 2026) knows all that our programs say, so that nothing is added to it. Not
//! played is what none of them asks for: payments that fail, prorations, changes of a subscription's
//! items. What the stand-in cannot do it answers with 501 and counts as a violation.

mod account;
mod check;
mod cli;
mod expand;
mod fault;
mod form;
mod idempotency;
mod journal;
mod list;
mod merge;
mod objects;
mod refusal;
mod reply;
mod resource;
mod serve;
mod server;
mod shape;
mod spec;
mod state;
mod table;

pub use cli::cli;
pub use fault::{Fault, When};
pub use journal::Asked;

use anyhow::Result;
use serde_json::{Value, json};
use server::Shared;
use spec::Spec;
use state::State;
use std::collections::BTreeMap;
use tokio::net::TcpListener;

/// A stand-in for Stripe's API, with an account of its own. Its clones are the same.
#[derive(Debug, Clone)]
pub struct Stripe {
    shared: Shared,
    base: String,
}

impl Stripe {
    /// The id of its account.
    pub const ACCOUNT_ID: &'static str = objects::single::ACCOUNT_ID;

    /// Listens until the test's runtime ends.
    ///
    /// # Errors
    /// When Stripe's OpenAPI document cannot be had.
    pub async fn start() -> Result<Self> {
        let spec = tokio::task::spawn_blocking(Spec::get).await??;
        let shared = Shared::new(State::new(spec));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        tokio::spawn(server::listen(listener, shared.clone()));
        Ok(Self { shared, base })
    }

    /// Where it listens, such as `http://127.0.0.1:40321`.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sets its clock (Unix time), which stands from now on.
    pub fn set_now(&self, seconds: i64) {
        self.shared.lock().now = Some(seconds);
    }

    /// Has `fault` strike requests from now on.
    pub fn inject(&self, fault: Fault, when: When) {
        self.shared.lock().faults.add(fault, when);
    }

    /// Ends all faults that have not struck.
    pub fn heal(&self) {
        self.shared.lock().faults.clear();
    }

    /// Takes permissions, such as `product_write` or `plan_read`, from a restricted key.
    pub fn deny(&self, key: &str, permissions: &[&str]) {
        let mut state = self.shared.lock();
        let denied = state.denied.entry(key.to_owned()).or_default();
        denied.extend(permissions.iter().map(|permission| (*permission).to_owned()));
    }

    /// All requests so far.
    #[must_use]
    pub fn requests(&self) -> Vec<Asked> {
        self.shared.lock().asked.clone()
    }

    /// Those of them that ask for a change.
    #[must_use]
    pub fn writes(&self) -> Vec<Asked> {
        let state = self.shared.lock();
        state.asked.iter().filter(|asked| asked.is_write()).cloned().collect()
    }

    /// How many requests there were of each kind, such as `GET /v1/products/{id}`.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let state = self.shared.lock();
        let kinds = state
            .asked
            .iter()
            .map(|asked| format!("{} {}", asked.method, asked.template));
        kinds.fold(BTreeMap::new(), |mut counts, kind| {
            *counts.entry(kind).or_default() += 1;
            counts
        })
    }

    /// What was asked for that Stripe's document does not know, or the stand-in does not play; and
    /// whether it made a mistake of its own.
    #[must_use]
    pub fn violations(&self) -> Vec<String> {
        let mut violations = self.shared.lock().violations.clone();
        if self.shared.is_broken() {
            violations.push("the stand-in panicked: see the test's output".to_owned());
        }
        violations
    }

    /// How an answer to a request with `method` for `path` differs from what Stripe's document says of
    /// it: a field that is missing or unknown, or a value of another kind.
    #[must_use]
    pub fn differences(&self, method: &str, path: &str, answer: &Value) -> Vec<String> {
        let spec = self.shared.lock().spec;
        let found = spec.find(path);
        let operation = found.and_then(|found| spec.operation(&method.to_lowercase(), found.template));
        let schema = operation.map(|operation| &operation["answer"]);
        let differences = schema.map(|schema| shape::differences(spec, schema, answer, ""));
        differences.unwrap_or_else(|| vec![format!("Stripe has no {method} {path}")])
    }

    /// All objects of a collection, such as `products` or `billing_portal/configurations`, as they
    /// are kept: with what is answered only if expanded. Oldest first, those of live mode last.
    #[must_use]
    pub fn objects(&self, collection: &str) -> Vec<Value> {
        let state = self.shared.lock();
        let tables = state.modes.iter().filter_map(|mode| mode.table(collection));
        tables.flat_map(|table| table.rows().map(table::Row::value)).collect()
    }

    /// Puts an object there as it is, unchecked, or in the place of the one with its id. Its
    /// `livemode` says where to; `created`, in lists, where among others.
    ///
    /// # Panics
    /// When there is no such collection.
    pub fn put(&self, collection: &str, object: &Value) {
        let is_live = object["livemode"] == true;
        self.shared.lock().modes[usize::from(is_live)].put(collection, object);
    }

    /// Puts an event there, whose delivery worked or failed.
    pub fn emit(&self, event: &Value, delivered: bool) {
        let mut event = event.clone();
        event["pending_webhooks"] = json!(i32::from(!delivered));
        self.put("events", &event);
    }

    /// Has the event `id` delivered after all.
    pub fn deliver(&self, id: &str) {
        let event = self.shared.lock().modes.iter().find_map(|mode| mode.find("events", id));
        if let Some(event) = event {
            self.emit(&event, true);
        }
    }
}
