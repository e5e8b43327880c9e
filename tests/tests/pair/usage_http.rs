//! Usage reports, from the application's post to the work queue: each is one message with its own
//! bytes, and is accepted only when the broker has it.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use lapin::message::Delivery;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::time::{Duration, Instant};
use tests::figures::note;
use tests::harness::{Answer, Pair, Process, Setup, TestEnv, USAGE_TOKEN, eventually, header};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const DEADLINE: Duration = Duration::from_secs(30);
/// The bound for a `503` with `Retry-After`.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);
const ONE: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";
/// Stands in bodies that are refused: no answer and no log may hold it.
const MARKER: &str = "ada.lovelace@marker.example";

/// An hour ago, with a fraction of a second.
static RECENTLY: LazyLock<String> = LazyLock::new(|| {
    let time = (OffsetDateTime::now_utc() - Duration::from_hours(1)).replace_millisecond(500);
    let text = time.map(|time| time.format(&Rfc3339));
    text.ok().and_then(Result::ok).unwrap_or_default()
});

/// A report with the id `id`.
fn report(id: &str) -> Value {
    json!({
        "specversion": "1.0",
        "type": "usage",
        "source": "/chat",
        "id": id,
        "subject": "user_1",
        "time": *RECENTLY,
        "data": { "meter": "tokens", "quantities": { "input": 600, "output": 100 } },
    })
}

fn reports(count: usize) -> Value {
    (0..count).map(|number| report(&format!("req_{number}"))).collect()
}

/// The id of each message, whole only where it fits.
fn message_ids(messages: &[Delivery]) -> Vec<Option<String>> {
    let id = |message: &Delivery| message.properties.message_id().as_ref().map(ToString::to_string);
    messages.iter().map(id).collect()
}

fn accepted(answer: &Answer, events: usize) -> Result<()> {
    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    let expected = format!("{{\"accepted\":{events}}}");
    ensure!(answer.body == expected, "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn a_report_becomes_a_message_with_its_own_bytes_and_the_envelope_of_usage() -> Result<()> {
    let env = TestEnv::new("usage_one").await?;
    let pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let text = format!("\n {} ", report("req 1").to_string().replace("\":", "\" : "));
    let content_type = format!("{ONE}; charset=utf-8");
    accepted(&pair.client.post_usage_raw(&content_type, text.clone()).await?, 1)?;

    let mut messages = env.queues().await?.take_all(&env.topology().work()).await?;
    let message = messages.pop().context("no message")?;
    ensure!(messages.is_empty() && message.data == text.as_bytes());
    let properties = &message.properties;
    let words = [properties.message_id(), properties.kind(), properties.content_type()];
    let words = words.map(|word| word.as_ref().map(ToString::to_string));
    let expected = ["/chat req 1", "usage", "application/json"];
    ensure!(words == expected.map(|word| Some(word.to_owned())), "{words:?}");
    ensure!(*properties.delivery_mode() == Some(2), "not persistent");
    ensure!(header(&message, "tollbridge-source").as_deref() == Some("usage"));
    ensure!(header(&message, "tollbridge-attempts").as_deref() == Some("0"));
    ensure!(header(&message, "tollbridge-received-at-ms").is_some_and(|ms| ms.len() == 13));

    let logged = pair.ingest.log();
    ensure!(logged.contains("/chat req 1"), "a report can be followed by its key");
    ensure!(!logged.contains("user_1") && !logged.contains(USAGE_TOKEN));
    Ok(())
}

#[tokio::test]
async fn every_report_of_a_batch_is_a_message_of_its_own() -> Result<()> {
    let env = TestEnv::new("usage_batch").await?;
    let pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let (queues, work) = (env.queues().await?, env.topology().work());
    let known = report("req_1").to_string();
    // With its source, this id is longer than a message's id can be.
    let long = report(&"x".repeat(255)).to_string();
    let batch = format!("[ {known} ,\n{long},{known}]");
    accepted(&pair.client.post_usage_raw(BATCH, batch).await?, 3)?;
    let messages = queues.take_all(&work).await?;
    let mut bodies: Vec<_> = messages
        .iter()
        .map(|message| String::from_utf8_lossy(&message.data).into_owned())
        .collect();
    bodies.sort();
    ensure!(bodies == [known.clone(), known, long], "{bodies:?}");
    let mut ids = message_ids(&messages);
    ids.sort();
    let id = Some("/chat req_1".to_owned());
    ensure!(ids == [None, id.clone(), id], "{ids:?}");

    accepted(&pair.client.post_usage(&json!([])).await?, 0)?;
    let start = Instant::now();
    accepted(&pair.client.post_usage(&reports(1_000)).await?, 1_000)?;
    let took = start.elapsed();
    note(&format!("usage: a batch of 1,000 accepted after {took:?}"));
    let ids: BTreeSet<_> = message_ids(&queues.take_all(&work).await?).into_iter().collect();
    ensure!(ids.len() == 1_000, "{}", ids.len());
    let metrics = pair.ingest.metrics().await?;
    ensure!(metrics.get("tollbridge_ingest_usage_events_total") == 1_003);
    ensure!(metrics.get("tollbridge_ingest_requests_total{status=\"202\"}") == 3);
    Ok(())
}

#[tokio::test]
async fn a_refused_report_is_explained_not_published_and_not_logged() -> Result<()> {
    let env = TestEnv::new("usage_refused").await?;
    let pair = Pair::start(&env, Setup::default().workers(0)).await?;
    refuse_strangers(&pair).await?;
    refuse_events(&pair).await?;

    let good = report("req_1");
    for content_type in ["application/json", "text/plain", "application/cloudevents+avro", ""] {
        let answer = pair.client.post_usage_raw(content_type, good.to_string()).await?;
        check(&answer, 415, "application/cloudevents-batch+json").context(content_type)?;
    }
    check(&pair.client.post_usage(&reports(1_001)).await?, 413, "1000 events")?;
    let mut large = report("large");
    large["filler"] = json!(MARKER.repeat(50_000));
    check(&pair.client.post_usage(&large).await?, 413, "too large")?;
    for method in [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let answer = pair
            .client
            .request(method, "/v1/usage", &[], good.to_string().into())
            .await?;
        check(&answer, 405, "only POST")?;
        ensure!(answer.headers.get("allow").is_some_and(|allow| allow == "POST"));
    }

    let metrics = pair.ingest.metrics().await?;
    ensure!(
        metrics.sum("tollbridge_publishes_total", &[]) == 0,
        "something was published"
    );
    ensure!(env.queues().await?.depth(&env.topology().work()).await? == 0);
    ensure!(metrics.get("tollbridge_ingest_usage_events_total") == 0);
    for (reason, count) in [("unauthorized", 7), ("media_type", 4), ("batch_too_long", 1)] {
        let counted = metrics.get(&format!("tollbridge_ingest_refusals_total{{reason=\"{reason}\"}}"));
        ensure!(counted == count, "{reason}: {counted}");
    }
    let log = pair.ingest.log();
    ensure!(log.contains("[1].data.amount"), "the log does not say what is wrong");
    for word in [MARKER, "marker", USAGE_TOKEN, &USAGE_TOKEN[6..]] {
        ensure!(!log.contains(word), "ingest logged {word}");
    }
    Ok(())
}

async fn refuse_strangers(pair: &Pair) -> Result<()> {
    let good = report("req_1").to_string();
    let tokens = [
        String::new(),
        USAGE_TOKEN.to_owned(),
        "Bearer".to_owned(),
        format!("Bearer {MARKER}"),
        format!("Bearer {}", &USAGE_TOKEN[1..]),
        format!("Basic {USAGE_TOKEN}"),
    ];
    for token in &tokens {
        let headers = [("authorization", token.as_str()), ("content-type", ONE)];
        let answer = pair
            .client
            .request(Method::POST, "/v1/usage", &headers, good.clone().into());
        let answer = answer.await?;
        check(&answer, 401, "bearer token").with_context(|| token.clone())?;
        ensure!(
            answer
                .headers
                .get("www-authenticate")
                .is_some_and(|scheme| scheme == "Bearer")
        );
    }
    // Far more than fits any buffer: the answer arrives all the same.
    let huge = MARKER.repeat(200_000);
    let answer = pair.client.request(Method::POST, "/v1/usage", &[], huge.into()).await?;
    check(&answer, 401, "bearer token").context("no token, 5 MB")
}

async fn refuse_events(pair: &Pair) -> Result<()> {
    for (path, value, field) in [
        ("/specversion", json!(MARKER), "specversion"),
        ("/type", json!(MARKER), "type"),
        ("/source", json!(format!("{MARKER} ")), "source"),
        ("/id", json!(format!("{MARKER}\r\nX-Marker: 1")), "id"),
        ("/subject", json!([MARKER]), "subject"),
        ("/time", json!(MARKER), "time"),
        ("/data", json!(MARKER), "data"),
        ("/data/meter", json!({ MARKER: 1 }), "data.meter"),
        ("/data/quantities", json!({ "input": MARKER }), "data.quantities.input"),
        ("/data/quantities", json!({ MARKER: -1 }), "data.quantities"),
    ] {
        let mut bad = report("bad");
        *bad.pointer_mut(path).context("no such field")? = value;
        check(&pair.client.post_usage(&bad).await?, 400, &format!("{field}: ")).context(path)?;
        let batch = json!([report("good"), bad, report("good too")]);
        let named = format!("[1].{field}: ");
        check(&pair.client.post_usage(&batch).await?, 400, &named).context(path)?;
    }
    for amount in [json!(1200.0), json!("1200"), json!(-1), json!(1_i64 << 53)] {
        let mut bad = report("bad");
        bad["data"] = json!({ "meter": "tokens", "amount": amount });
        let batch = json!([report("good"), bad]);
        check(&pair.client.post_usage(&batch).await?, 400, "[1].data.amount: ")?;
    }
    let good = report("good");
    for (content_type, body, expected) in [
        (ONE, String::new(), "not JSON"),
        (ONE, MARKER.to_owned(), "not JSON"),
        (ONE, json!([good]).to_string(), "must be a JSON object"),
        (BATCH, good.to_string(), "must be a JSON array"),
        (BATCH, format!("[{good},{MARKER}]"), "not JSON"),
        (
            BATCH,
            json!([good, MARKER]).to_string(),
            "[1]: the event must be a JSON object",
        ),
    ] {
        let answer = pair.client.post_usage_raw(content_type, body.clone()).await?;
        check(&answer, 400, expected).context(body)?;
    }
    Ok(())
}

/// Checks the status, and that the body is one short JSON object that contains `expected` and repeats no input.
fn check(answer: &Answer, status: u16, expected: &str) -> Result<()> {
    ensure!(answer.status == status, "{} {}", answer.status, answer.body);
    let object: Value = serde_json::from_str(&answer.body).context("not JSON")?;
    let error = object["error"].as_str().context("no error")?;
    ensure!(error.contains(expected) && answer.body.len() < 200, "{error}");
    ensure!(!answer.body.contains("marker"), "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn without_a_token_or_a_broker_no_report_is_accepted() -> Result<()> {
    let env = TestEnv::new("usage_off").await?;
    let mut settings = env.settings();
    settings.remove("DATABASE_URL");
    let off = Setup::default().workers(0).ingest("USAGE_TOKEN", "");
    let mut pair = Pair::start(&env, off).await?;
    check(&pair.client.post_usage(&report("req_1")).await?, 404, "not found")?;
    check(&pair.client.get("/v1/usage").await?, 404, "not found")?;

    // A process that never had a broker serves, and says so.
    let address = pair.client.server();
    // Its address is free once it has ended.
    pair.ingest.sigterm().await?;
    ensure!(pair.ingest.exit(DEADLINE).await?.success());
    settings.insert("INGEST_ADDR".to_owned(), address.to_string());
    settings.insert("AMQP_URL".to_owned(), "amqp://guest:guest@127.0.0.1:1/%2f".to_owned());
    settings.insert("USAGE_TOKEN".to_owned(), USAGE_TOKEN.to_owned());
    let mut ingest = Process::new("ingest-alone", "ingest", &[], settings, env.logs())?;
    let client = tests::harness::Client::new(address, "");
    ingest.spawn()?;
    eventually(DEADLINE, "it serves", async || {
        ingest.ops().get("/healthz").await?.accepted()
    })
    .await;
    for batch in [report("req_1"), reports(1_000)] {
        let start = Instant::now();
        let answer = client.post_usage(&batch).await?;
        check(&answer, 503, "send the request again")?;
        answer.refused_for_now()?;
        ensure!(start.elapsed() < REFUSED_WITHIN, "a 503 took {:?}", start.elapsed());
    }
    Ok(())
}
