//! The public routes.

use crate::{
    body::{self, BodyError},
    envelope::Envelope,
    error::{Refusal, json},
    metrics::{
        BODY_BYTES, HANDLE_SECONDS, REFUSALS, REQUESTS, SECRET_USED, USAGE_EVENTS, USAGE_HANDLE_SECONDS, VERIFY_SECONDS,
    },
    publish,
    signature::{self, Secrets},
    token,
    traced::Traced,
    usage::{self, Form},
};
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use shared::{
    message,
    publisher::Publisher,
    token::Token,
    trace::{HeaderExtractor, TraceContext},
    usage::USAGE_TYPE,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime},
};

/// What the handlers work with.
#[derive(Debug)]
pub struct App {
    /// The webhook's signing secrets.
    pub secrets: Secrets,
    /// The token of reports of use; without it there is no such route.
    pub usage_token: Option<Token>,
    /// Where events go.
    pub publisher: Publisher,
    /// The queue they go to.
    pub queue: String,
    /// Limits of a body.
    pub body_limits: body::Limits,
}

/// All public routes. A path or method that is not there is answered in JSON too.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new().route("/webhooks/stripe", only(post(stripe)));
    if app.usage_token.is_some() {
        router = router.route("/v1/usage", only(post(report)));
    }
    router.fallback(async || refuse(Refusal::NotFound)).with_state(app)
}

fn only(method: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    method.fallback(async || refuse(Refusal::MethodNotAllowed))
}

async fn stripe(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let response = match app.receive(request).await {
        Ok(()) => accept(StatusCode::OK, &serde_json::json!({ "received": true })),
        Err(refusal) => refuse(refusal),
    };
    HANDLE_SECONDS.observe(started.elapsed().as_secs_f64());
    response
}

async fn report(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let response = match app.receive_usage(request).await {
        Ok(events) => accept(StatusCode::ACCEPTED, &serde_json::json!({ "accepted": events })),
        Err(refusal) => refuse(refusal),
    };
    USAGE_HANDLE_SECONDS.observe(started.elapsed().as_secs_f64());
    response
}

impl App {
    /// `Ok` once the event is stored; nothing reads the body before its
    /// signature has passed.
    async fn receive(&self, request: Request) -> Result<(), Refusal> {
        let (arrived, received_at_ms) = (SystemTime::now(), message::now_ms());
        let (head, body) = request.into_parts();
        let body = self.read(body).await?;
        self.verify(&head.headers, &body, received_at_ms)?;
        let envelope = Envelope::read(&body)?;
        let (event_id, event_type) = (&envelope.id, for_log(&envelope.kind));
        let mut trace = Traced::begin("/webhooks/stripe", &self.queue, None, arrived);
        trace.about(event_id, &event_type);
        let context = trace.context();
        let outcome = publish::event(&self.publisher, &self.queue, &envelope, &body, received_at_ms, context).await;
        trace.end(StatusCode::OK, &outcome);

        let trace_id = context.trace_id();
        match &outcome {
            Ok(()) => tracing::info!(%event_id, event_type, trace_id, bytes = body.len(), "event accepted"),
            Err(error) => {
                tracing::warn!(%event_id, event_type, trace_id, %error, "event not accepted; Stripe sends it again");
            }
        }
        Ok(outcome?)
    }

    /// How many reports of use, once all of them are stored. Who has no token
    /// has no byte of its body looked at.
    async fn receive_usage(&self, request: Request) -> Result<usize, Refusal> {
        let (arrived, received_at_ms) = (SystemTime::now(), message::now_ms());
        let (head, body) = request.into_parts();
        let form = match self.usage_form(&head.headers) {
            Ok(form) => form,
            Err(refusal) => {
                body::discard(body).await;
                return Err(refusal);
            }
        };
        let body = self.read(body).await?;
        let reports = usage::read(form, &body)?;
        // The whole batch can be followed by its first, and is one trace: that of the application's
        // own work, if it says so.
        let (events, first) = (reports.len(), reports.first().map(|report| report.key.as_str()));
        let parent = TraceContext::extract(&HeaderExtractor(&head.headers));
        let mut trace = Traced::begin("/v1/usage", &self.queue, parent, arrived);
        trace.about(first.unwrap_or_default(), USAGE_TYPE);
        let context = trace.context();
        let outcome = publish::usage(&self.publisher, &self.queue, &reports, received_at_ms, context).await;
        trace.end(StatusCode::ACCEPTED, &outcome);

        let trace_id = context.trace_id();
        match &outcome {
            Ok(()) => tracing::info!(events, event_id = first, trace_id, bytes = body.len(), "usage accepted"),
            Err(error) => {
                tracing::warn!(events, event_id = first, trace_id, %error, "usage not accepted; it has to come again");
            }
        }
        outcome?;
        USAGE_EVENTS.inc_by(events as u64);
        Ok(events)
    }

    fn usage_form(&self, headers: &HeaderMap) -> Result<Form, Refusal> {
        if !self
            .usage_token
            .as_ref()
            .is_some_and(|of_usage| token::admits(of_usage, headers))
        {
            return Err(Refusal::Unauthorized);
        }
        Form::of(headers)
    }

    async fn read(&self, body: Body) -> Result<Vec<u8>, BodyError> {
        let body = body::read(body, self.body_limits).await?;
        #[expect(clippy::cast_precision_loss, reason = "a histogram is not exact")]
        BODY_BYTES.observe(body.len() as f64);
        Ok(body)
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

fn accept(status: StatusCode, body: &serde_json::Value) -> Response {
    counted(json(status, body))
}

fn refuse(refusal: Refusal) -> Response {
    REFUSALS.with_label_values(&[refusal.reason()]).inc();
    log(&refusal);
    counted(refusal.into_response())
}

fn counted(response: Response) -> Response {
    REQUESTS.with_label_values(&[response.status().as_str()]).inc();
    response
}

/// Anyone can be refused, as often as they like, so this must not flood the
/// logs: one line a second at most. The metrics count all of them.
fn log(refusal: &Refusal) {
    static LAST_MS: AtomicI64 = AtomicI64::new(0);
    match refusal {
        // Logged with the event's id, as many lines as Stripe sends events.
        Refusal::NotPublished(_) => return,
        // Only who has the token gets so far, and wants to know what is wrong.
        Refusal::Usage(error) => return tracing::warn!(reason = refusal.reason(), %error, "usage refused"),
        Refusal::MediaType | Refusal::BatchTooLong => {
            return tracing::warn!(reason = refusal.reason(), "usage refused");
        }
        _ => {}
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
