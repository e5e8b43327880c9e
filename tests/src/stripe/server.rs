//! HTTP/1.1 on a port of its own, with connections that are kept.

use super::fault::Fault;
use super::journal::Asked;
use super::state::State;
use anyhow::{Result, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// The state, for one at a time.
#[derive(Debug, Clone)]
pub(super) struct Shared(Arc<Mutex<State>>);

impl Shared {
    pub(super) fn new(state: State) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Whether a request made the stand-in itself panic, which its caller sees as a lost connection.
    pub(super) fn is_broken(&self) -> bool {
        self.0.is_poisoned()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers whoever connects, until the test's runtime ends.
pub(super) async fn listen(listener: TcpListener, shared: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(shared.clone(), request));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// An answer, or an error, at which hyper closes the connection.
async fn answer(shared: Shared, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let form = std::str::from_utf8(&body)?;
    let query = head.uri.query().unwrap_or_default();
    let text = |name| header(&head.headers, name);
    let asked = Asked {
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        template: "",
        params: Value::Null,
        key: text("authorization").map(bearer).unwrap_or_default(),
        idempotency_key: text("idempotency-key"),
        version: text("stripe-version"),
        status: None,
        is_replay: false,
    };
    let ((reply, fault), now) = {
        let mut state = shared.lock();
        (state.answer(asked, [query, form]), state.now())
    };
    match fault {
        Some(Fault::Slow(duration)) => tokio::time::sleep(duration).await,
        Some(Fault::Waits(until)) => until.notified().await,
        _ => {}
    }
    reply
        .ok_or_else(|| anyhow!("dropped, as the test wishes"))?
        .response(now)
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(headers.get(name)?.to_str().ok()?.to_owned())
}

fn bearer(authorization: String) -> String {
    match authorization.strip_prefix("Bearer") {
        Some(key) => key.trim().to_owned(),
        None => authorization,
    }
}
