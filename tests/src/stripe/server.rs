//! The HTTP/1.1 server of the stand-in, with keep-alive, on its own port.

use super::fault::Fault;
use super::received_request::ReceivedRequest;
use super::state::StandInState;
use anyhow::{Result, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;

/// The state behind a lock, shared by all connections.
#[derive(Debug, Clone)]
pub(super) struct SharedState(Arc<Mutex<StandInState>>);

impl SharedState {
    pub(super) fn new(state: StandInState) -> Self {
        Self(Arc::new(Mutex::new(state)))
    }

    /// Whether the stand-in panicked during a request. The caller of that request lost its connection.
    pub(super) fn is_broken(&self) -> bool {
        self.0.is_poisoned()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, StandInState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Answers all connections until the test's runtime ends.
pub(super) async fn listen(listener: TcpListener, shared: SharedState) {
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let service = service_fn(move |request| answer(shared.clone(), request));
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

/// Answers a request. After an error hyper closes the connection.
async fn answer(shared: SharedState, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let form = std::str::from_utf8(&body)?;
    let query = head.uri.query().unwrap_or_default();
    let text = |name| header(&head.headers, name);
    let asked = ReceivedRequest {
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
        .ok_or_else(|| anyhow!("the test asked to drop this connection"))?
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
