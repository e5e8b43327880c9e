//! The public routes.

use crate::{
    body,
    envelope::Envelope,
    error::{Refusal, json},
    metrics::{BODY_BYTES, HANDLE_SECONDS, REFUSALS, REQUESTS, SECRET_USED, VERIFY_SECONDS},
    publish,
    signature::{self, Secrets},
};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::post,
};
use shared::{message, publisher::Publisher};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

/// What the handlers work with.
#[derive(Debug)]
pub struct App {
    /// The webhook's signing secrets.
    pub secrets: Secrets,
    /// Where events go.
    pub publisher: Publisher,
    /// The queue they go to.
    pub queue: String,
    /// Limits of a body.
    pub body_limits: body::Limits,
}

/// All public routes. A path or method that is not there is answered in JSON too.
pub fn router(app: Arc<App>) -> Router {
    Router::new()
        .route(
            "/webhooks/stripe",
            post(stripe).fallback(async || answer(Err(Refusal::MethodNotAllowed))),
        )
        .fallback(async || answer(Err(Refusal::NotFound)))
        .with_state(app)
}

async fn stripe(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let response = answer(app.receive(request).await);
    HANDLE_SECONDS.observe(started.elapsed().as_secs_f64());
    response
}

impl App {
    /// `Ok` once the event is stored; nothing reads the body before its
    /// signature has passed.
    async fn receive(&self, request: Request) -> Result<(), Refusal> {
        let received_at_ms = message::now_ms();
        let (head, body) = request.into_parts();
        let body = body::read(body, self.body_limits).await?;
        #[expect(clippy::cast_precision_loss, reason = "a histogram is not exact")]
        BODY_BYTES.observe(body.len() as f64);

        self.verify(&head.headers, &body, received_at_ms)?;
        let envelope = Envelope::read(&body)?;
        let outcome = publish::event(&self.publisher, &self.queue, &envelope, &body, received_at_ms).await;

        let (event_id, event_type) = (&envelope.id, for_log(&envelope.kind));
        match &outcome {
            Ok(()) => tracing::info!(%event_id, event_type, bytes = body.len(), "event accepted"),
            Err(error) => tracing::warn!(%event_id, event_type, %error, "event not accepted; Stripe sends it again"),
        }
        Ok(outcome?)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Result<(), signature::Refusal> {
        let mut given = headers.get_all("stripe-signature").iter();
        let header = given.next().map(axum::http::HeaderValue::as_bytes);
        if given.next().is_some() {
            return Err(signature::Refusal::Malformed);
        }
        let verified = {
            let _timer = VERIFY_SECONDS.start_timer();
            signature::verify(&self.secrets, header, body, now_ms.div_euclid(1_000))
        };
        let position = verified? + 1;
        SECRET_USED.with_label_values(&[position.to_string()]).inc();
        Ok(())
    }
}

/// Counts, logs and writes out what became of a request.
fn answer(outcome: Result<(), Refusal>) -> Response {
    let response = match outcome {
        Ok(()) => json(StatusCode::OK, &serde_json::json!({ "received": true })),
        Err(refusal) => {
            REFUSALS.with_label_values(&[refusal.reason()]).inc();
            log(&refusal);
            refusal.into_response()
        }
    };
    REQUESTS.with_label_values(&[response.status().as_str()]).inc();
    response
}

/// Anyone can be refused, as often as they like, so this must not flood the
/// logs: one line a second at most. The metrics count all of them.
fn log(refusal: &Refusal) {
    static LAST_MS: AtomicI64 = AtomicI64::new(0);
    if matches!(refusal, Refusal::NotPublished(_)) {
        return; // Logged with the event's id, as many lines as Stripe sends events.
    }
    let (now_ms, last_ms) = (message::now_ms(), LAST_MS.load(Ordering::Relaxed));
    let due = now_ms.abs_diff(last_ms) >= 1_000;
    let swap = || LAST_MS.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed);
    if due && swap().is_ok() {
        tracing::warn!(reason = refusal.reason(), "request refused");
    }
}

/// An event's type as it may stand in a log: short, and no control characters.
fn for_log(kind: &str) -> String {
    const CHARS_MOST: usize = 100;
    kind.chars().take(CHARS_MOST).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_in_the_log_is_one_short_line() {
        assert_eq!(for_log("invoice.paid"), "invoice.paid");
        assert_eq!(for_log("a\r\nb"), "a\\r\\nb");
        assert_eq!(for_log(&"x".repeat(1_000)).len(), 100);
    }
}
