//! The public routes: `POST /webhooks/stripe` and `POST /v1/usage`.

use crate::{
    body::{self, BodyError, BodyLimits},
    envelope::EventHead,
    error::{RequestRefusal, json},
    metrics::{
        BODY_BYTES, HANDLE_SECONDS, REFUSALS, REQUESTS, SECRET_USED, USAGE_EVENTS, USAGE_HANDLE_SECONDS, VERIFY_SECONDS,
    },
    publish,
    signature::{self, Secrets, SignatureError},
    token,
    traced::RequestSpans,
    usage::{self, UsageFormat, UsageTimes},
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
    time::{Duration, Instant, SystemTime},
};

/// The state that the handlers share.
#[derive(Debug)]
pub struct App {
    /// The webhook's signing secrets.
    pub secrets: Secrets,
    /// The token of `POST /v1/usage`. Without it that route does not exist.
    pub usage_token: Option<Token>,
    /// How far back the time of a usage report may lie.
    pub usage_age_max: Duration,
    /// The connection to RabbitMQ.
    pub publisher: Publisher,
    /// The name of the work queue.
    pub queue: String,
    /// Limits of a request's body.
    pub body_limits: BodyLimits,
}

/// All public routes. An unknown path or method gets a JSON answer too.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new().route("/webhooks/stripe", post_only(post(stripe)));
    if app.usage_token.is_some() {
        router = router.route("/v1/usage", post_only(post(usage_reports)));
    }
    router
        .fallback(async || refuse(RequestRefusal::NotFound))
        .with_state(app)
}

fn post_only(method: MethodRouter<Arc<App>>) -> MethodRouter<Arc<App>> {
    method.fallback(async || refuse(RequestRefusal::MethodNotAllowed))
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

async fn usage_reports(State(app): State<Arc<App>>, request: Request) -> Response {
    let started = Instant::now();
    let response = match app.receive_usage(request).await {
        Ok(events) => accept(StatusCode::ACCEPTED, &serde_json::json!({ "accepted": events })),
        Err(refusal) => refuse(refusal),
    };
    USAGE_HANDLE_SECONDS.observe(started.elapsed().as_secs_f64());
    response
}

impl App {
    /// Returns `Ok` once the event is stored. Nothing reads the body before its signature is
    /// verified.
    async fn receive(&self, request: Request) -> Result<(), RequestRefusal> {
        let (arrived, received_at_ms) = (SystemTime::now(), message::now_ms());
        let (head, body) = request.into_parts();
        let body = self.read(body).await?;
        self.verify(&head.headers, &body, received_at_ms)?;
        let event = EventHead::read(&body)?;
        let (event_id, event_type) = (&event.id, for_log(&event.kind));
        let mut spans = RequestSpans::begin("/webhooks/stripe", &self.queue, None, arrived);
        spans.set_event(event_id, &event_type);
        let context = spans.context();
        let outcome = publish::event(&self.publisher, &self.queue, &event, &body, received_at_ms, context).await;
        spans.end(StatusCode::OK, &outcome);

        let trace_id = context.trace_id();
        match &outcome {
            Ok(()) => tracing::info!(%event_id, event_type, trace_id, bytes = body.len(), "event accepted"),
            Err(error) => {
                tracing::warn!(%event_id, event_type, trace_id, %error, "event not accepted; Stripe will send it again");
            }
        }
        Ok(outcome?)
    }

    /// Returns the number of usage reports once all of them are stored. Without the token nothing
    /// reads the body.
    async fn receive_usage(&self, request: Request) -> Result<usize, RequestRefusal> {
        let (arrived, received_at_ms) = (SystemTime::now(), message::now_ms());
        let (head, body) = request.into_parts();
        let format = match self.usage_format(&head.headers) {
            Ok(format) => format,
            Err(refusal) => {
                body::discard(body).await;
                return Err(refusal);
            }
        };
        let body = self.read(body).await?;
        let times = UsageTimes {
            now: received_at_ms.div_euclid(1_000),
            age_max: self.usage_age_max,
        };
        let reports = usage::read(format, &body, times)?;
        // A batch is one trace, named after its first report. It continues the application's trace
        // if the request has a `traceparent`.
        let (events, first) = (reports.len(), reports.first().map(|report| report.key.as_str()));
        let parent = TraceContext::extract(&HeaderExtractor(&head.headers));
        let mut spans = RequestSpans::begin("/v1/usage", &self.queue, parent, arrived);
        spans.set_event(first.unwrap_or_default(), USAGE_TYPE);
        let context = spans.context();
        let outcome = publish::usage(&self.publisher, &self.queue, &reports, received_at_ms, context).await;
        spans.end(StatusCode::ACCEPTED, &outcome);

        let trace_id = context.trace_id();
        match &outcome {
            Ok(()) => tracing::info!(events, event_id = first, trace_id, bytes = body.len(), "usage accepted"),
            Err(error) => {
                tracing::warn!(events, event_id = first, trace_id, %error, "usage not accepted; the application must send it again");
            }
        }
        outcome?;
        USAGE_EVENTS.inc_by(events as u64);
        Ok(events)
    }

    fn usage_format(&self, headers: &HeaderMap) -> Result<UsageFormat, RequestRefusal> {
        let token = self.usage_token.as_ref();
        if !token.is_some_and(|token| token::is_authorized(token, headers)) {
            return Err(RequestRefusal::Unauthorized);
        }
        Ok(UsageFormat::of(headers)?)
    }

    async fn read(&self, body: Body) -> Result<Vec<u8>, BodyError> {
        let body = body::read(body, self.body_limits).await?;
        #[expect(clippy::cast_precision_loss, reason = "a histogram is not exact")]
        BODY_BYTES.observe(body.len() as f64);
        Ok(body)
    }

    fn verify(&self, headers: &HeaderMap, body: &[u8], now_ms: i64) -> Result<(), SignatureError> {
        let mut given = headers.get_all("stripe-signature").iter();
        let header = given.next().map(axum::http::HeaderValue::as_bytes);
        if given.next().is_some() {
            return Err(SignatureError::Malformed);
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

fn refuse(refusal: RequestRefusal) -> Response {
    REFUSALS.with_label_values(&[refusal.reason()]).inc();
    log(&refusal);
    counted(refusal.into_response())
}

fn counted(response: Response) -> Response {
    REQUESTS.with_label_values(&[response.status().as_str()]).inc();
    response
}

/// Logs a refused request. Anybody can send bad requests, so at most one line a second is
/// logged for requests without a token or signature. The metrics count all of them.
fn log(refusal: &RequestRefusal) {
    static LAST_MS: AtomicI64 = AtomicI64::new(0);
    match refusal {
        // The handler has logged it, with the event's id.
        RequestRefusal::NotPublished(_) => return,
        // The sender has the token, so these lines cannot flood the log.
        RequestRefusal::Usage(error) => return tracing::warn!(reason = refusal.reason(), %error, "usage refused"),
        _ => {}
    }
    let (now_ms, last_ms) = (message::now_ms(), LAST_MS.load(Ordering::Relaxed));
    let due = now_ms.abs_diff(last_ms) >= 1_000;
    let swap = || LAST_MS.compare_exchange(last_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed);
    if due && swap().is_ok() {
        tracing::warn!(reason = refusal.reason(), "request refused");
    }
}

/// An event's type for the log: short, and without control characters.
fn for_log(kind: &str) -> String {
    const CHARS_MAX: usize = 100;
    kind.chars().take(CHARS_MAX).flat_map(char::escape_debug).collect()
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
