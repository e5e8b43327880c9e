//! The public routes without a broker: all answers except 200 and 202 with events. Those need a
//! broker; the stories in the `tests` crate test them.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response, StatusCode},
};
use futures_util::stream;
use hmac::{Hmac, Mac};
use ingest::{
    body::BodyLimits,
    routes::{App, router},
    signature::Secrets,
};
use sha2::Sha256;
use shared::{
    broker::Broker, message, publisher::Publisher, settings::Settings, shutdown::CancellationToken, token::Token,
    topology::Topology,
};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

const SECRET: &str = "whsec_test";
const TOKEN: &str = "token-0123456789";
const USAGE: &str = r#"{"specversion":"1.0","type":"usage","source":"/chat","id":"req_1","subject":"payload",
    "data":{"meter":"payload","amount":1200}}"#;
const EVENT: &str = r#"{"id":"evt_1","type":"invoice.paid","created":1700000000,"note":"payload"}"#;

fn app() -> Router {
    app_with(Token::new(TOKEN))
}

fn app_with(usage_token: Option<Token>) -> Router {
    let settings = Settings::from_pairs(&[]);
    let broker = Broker::from_settings(&settings, "ingest").expect("defaults");
    let topology = Topology::from_settings(&settings).expect("defaults");
    let queue = topology.work();
    // Nothing runs its connection, so the broker cannot be reached.
    let (publisher, _) = Publisher::start(broker, topology, Duration::from_secs(1), CancellationToken::new());
    router(Arc::new(App {
        secrets: Secrets::new(&[SECRET]),
        usage_token,
        usage_age_max: Duration::from_hours(24),
        publisher,
        queue,
        body_limits: BodyLimits {
            bytes_max: 1_000,
            timeout: Duration::from_millis(50),
        },
    }))
}

fn signature(body: &[u8]) -> String {
    let now = message::now_ms() / 1_000;
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("any length is a key");
    mac.update(format!("{now}.").as_bytes());
    mac.update(body);
    format!("t={now},v1={}", hex::encode(mac.finalize().into_bytes()))
}

fn post(body: impl Into<Body>, signatures: &[&str]) -> Request<Body> {
    let mut request = Request::post("/webhooks/stripe");
    for signature in signatures {
        request = request.header("Stripe-Signature", *signature);
    }
    request.body(body.into()).expect("a request")
}

fn signed(body: &str) -> Request<Body> {
    post(body.to_owned(), &[&signature(body.as_bytes())])
}

/// The answer, after checking that it is one short JSON object without the payload.
async fn answer(request: Request<Body>, status: StatusCode) -> Response<()> {
    let (head, body) = app().oneshot(request).await.expect("infallible").into_parts();
    assert_eq!(head.status, status);
    assert_eq!(head.headers["content-type"], "application/json");
    let body = to_bytes(body, 200).await.expect("a short body");
    let object: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
    let error = object["error"].as_str().expect("an error");
    assert!(object.as_object().is_some_and(|o| o.len() == 1), "{object}");
    assert!(!error.contains("payload") && !error.contains("evt_1"), "{error}");
    Response::from_parts(head, ())
}

#[tokio::test]
async fn an_unsigned_or_wrongly_signed_event_is_a_bad_request() {
    let good = signature(EVENT.as_bytes());
    let other = signature(b"another body");
    for signatures in [&[][..], &[""], &["payload"], &[&other], &[&good, &good]] {
        answer(post(EVENT, signatures), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_signed_body_that_is_not_an_event_is_a_bad_request() {
    for body in ["", "payload", "[]", r#"{"note":"payload"}"#, r#"{"id":"payload""#] {
        answer(signed(body), StatusCode::BAD_REQUEST).await;
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_too_large_even_if_it_is_signed() {
    answer(signed(&"payload".repeat(200)), StatusCode::PAYLOAD_TOO_LARGE).await;
}

#[tokio::test]
async fn a_body_that_stalls_is_a_timeout() {
    let stalled = Body::from_stream(stream::pending::<Result<&str, Infallible>>());
    answer(post(stalled, &["payload"]), StatusCode::REQUEST_TIMEOUT).await;
}

#[tokio::test]
async fn another_method_or_path_is_answered_in_json_too() {
    let get = Request::get("/webhooks/stripe").body(Body::empty()).expect("a request");
    let refused = answer(get, StatusCode::METHOD_NOT_ALLOWED).await;
    assert_eq!(refused.headers().get_all("allow").iter().collect::<Vec<_>>(), ["POST"]);
    let elsewhere = Request::post("/payload").body(Body::empty()).expect("a request");
    answer(elsewhere, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn without_a_broker_the_answer_asks_for_the_event_again() {
    let refused = answer(signed(EVENT), StatusCode::SERVICE_UNAVAILABLE).await;
    let seconds: u64 = refused.headers()["retry-after"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds");
    assert!((1..=60).contains(&seconds));
}

fn usage(token: &str, content_type: &str, body: impl Into<Body>) -> Request<Body> {
    Request::post("/v1/usage")
        .header("Authorization", token)
        .header("Content-Type", content_type)
        .body(body.into())
        .expect("a request")
}

const BEARER: &str = "Bearer token-0123456789";
const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json; charset=utf-8";

#[tokio::test]
async fn without_the_right_token_every_usage_request_is_unauthorized() {
    for (token, content_type, body) in [
        ("", ONE, USAGE),
        ("Bearer token-0123456788", ONE, USAGE),
        ("Basic token-0123456789", BATCH, "payload"),
        ("Bearer payload", "payload", ""),
    ] {
        let refused = answer(usage(token, content_type, body), StatusCode::UNAUTHORIZED).await;
        assert_eq!(refused.headers()["www-authenticate"], "Bearer");
    }
    let large = usage("Bearer payload", ONE, "payload".repeat(200));
    answer(large, StatusCode::UNAUTHORIZED).await;
    let stalled = Body::from_stream(stream::pending::<Result<&str, Infallible>>());
    answer(usage("Bearer payload", ONE, stalled), StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn each_wrong_report_gets_the_status_of_its_error() {
    for (content_type, body, status) in [
        ("application/json", USAGE, 415),
        ("", USAGE, 415),
        (ONE, "payload", 400),
        (ONE, "[]", 400),
        (BATCH, USAGE, 400),
        (BATCH, "[{}]", 400),
    ] {
        let status = StatusCode::from_u16(status).expect("a status");
        answer(usage(BEARER, content_type, body), status).await;
    }
    let large = usage(BEARER, ONE, "payload".repeat(200));
    answer(large, StatusCode::PAYLOAD_TOO_LARGE).await;
    let stalled = Body::from_stream(stream::pending::<Result<&str, Infallible>>());
    answer(usage(BEARER, BATCH, stalled), StatusCode::REQUEST_TIMEOUT).await;
    let get = Request::get("/v1/usage").body(Body::empty()).expect("a request");
    answer(get, StatusCode::METHOD_NOT_ALLOWED).await;
}

#[tokio::test]
async fn without_a_usage_token_the_route_does_not_exist() {
    for request in [
        usage(BEARER, ONE, USAGE),
        Request::get("/v1/usage").body(Body::empty()).expect("a request"),
    ] {
        let answer = app_with(None).oneshot(request).await.expect("infallible");
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn without_a_broker_a_report_must_be_sent_again_but_an_empty_batch_is_accepted() {
    for (content_type, body) in [(ONE, USAGE.to_owned()), (BATCH, format!("[{USAGE}]"))] {
        let refused = answer(usage(BEARER, content_type, body), StatusCode::SERVICE_UNAVAILABLE).await;
        assert!(refused.headers().contains_key("retry-after"));
    }
    let empty = app().oneshot(usage(BEARER, BATCH, "[]")).await.expect("infallible");
    assert_eq!(empty.status(), StatusCode::ACCEPTED);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic while writing").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_names_an_event_and_has_nothing_of_the_payload() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(log.clone())
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    answer(post(EVENT, &["payload"]), StatusCode::BAD_REQUEST).await;
    answer(signed(r#"{"id":"payload","type":7}"#), StatusCode::BAD_REQUEST).await;
    answer(signed(EVENT), StatusCode::SERVICE_UNAVAILABLE).await;
    answer(usage("Bearer payload", ONE, USAGE), StatusCode::UNAUTHORIZED).await;
    answer(
        usage(BEARER, BATCH, r#"[{"payload":"payload"}]"#),
        StatusCode::BAD_REQUEST,
    )
    .await;
    answer(usage(BEARER, ONE, USAGE), StatusCode::SERVICE_UNAVAILABLE).await;
    drop(guard);
    let log = String::from_utf8(log.0.lock().expect("written").clone()).expect("text");
    assert!(log.contains("event_id=evt_1"), "{log}");
    assert!(log.contains("event_id=\"/chat req_1\""), "{log}");
    assert!(log.contains("error=[0].specversion: is missing"), "{log}");
    for word in ["payload", SECRET, TOKEN] {
        assert!(!log.contains(word), "{log}");
    }
}
