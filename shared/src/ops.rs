//! The routes of the private listener: health, readiness and metrics.

use crate::metrics;
use axum::{
    Router,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::{Value, json};
use std::{pin::Pin, sync::Arc};

/// Why a process is not ready. Empty if it is ready.
pub type Reasons = Vec<String>;
type Check = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Reasons> + Send>> + Send + Sync>;

/// `GET /healthz`, `/readyz` and `/metrics`. `/readyz` runs `check` each time. It answers
/// 200 if `check` returns no reasons, and else 503 with the reasons as JSON.
pub fn router<F, R>(check: F) -> Router
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Reasons> + Send + 'static,
{
    let check: Check = Arc::new(move || Box::pin(check()));
    Router::new()
        .route(
            "/healthz",
            get(|| async { json(StatusCode::OK, &json!({"status": "alive"})) }),
        )
        .route("/readyz", get(move || readyz(Arc::clone(&check))))
        .route(
            "/metrics",
            get(|| async { ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], metrics::render()) }),
        )
}

async fn readyz(check: Check) -> Response {
    let reasons = check().await;
    if reasons.is_empty() {
        return json(StatusCode::OK, &json!({"status": "ready"}));
    }
    json(
        StatusCode::SERVICE_UNAVAILABLE,
        &json!({"status": "not ready", "reasons": reasons}),
    )
}

fn json(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}
