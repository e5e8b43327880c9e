//! Anyone can send anything to the public address. Bad requests change nothing and leave nothing in
//! the logs, and good events leave no payload there.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tests::crowd::{all_applied, newcomers};
use tests::harness::{Answer, Pair, SECRET, Setup, TestEnv, eventually, recorded, sign, unix_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const DEADLINE: Duration = Duration::from_secs(30);
/// Stands in every body: no log may hold it.
const MARKER: &str = "ada.lovelace@marker.example";

/// An event with the marker in several places.
fn event(seed: &str, change: impl FnOnce(&mut Value)) -> (String, String) {
    let event = newcomers(seed, 1).remove(0);
    let mut value: Value = serde_json::from_str(&event.body).expect("an event is JSON");
    value["data"]["object"]["metadata"]["email"] = json!(MARKER);
    value["data"]["object"]["description"] = json!(MARKER);
    change(&mut value);
    (event.id, value.to_string())
}

/// As Stripe signs it, but for what `spoil` does.
fn header(body: &str, spoil: impl FnOnce(String) -> String) -> String {
    spoil(sign(SECRET, unix_now(), body.as_bytes()))
}

#[tokio::test]
async fn abuse_is_refused_with_the_right_status_not_published_and_not_logged() -> Result<()> {
    let env = TestEnv::new("abuse").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    refuse_all(&pair).await?;
    let metrics = pair.ingest.metrics().await?;
    ensure!(
        metrics.sum("tollbridge_publishes_total", &[]) == 0,
        "something was published"
    );

    let (good, body) = event("abuse good", |_| ());
    let thousand = header(&body, |good| {
        format!("t={}{},{}", unix_now(), ",v1=00".repeat(999), &good[13..])
    });
    pair.client
        .post_raw(&[("stripe-signature", &thousand)], body)
        .await?
        .accepted()?;
    all_applied(env.pool(), std::slice::from_ref(&good), DEADLINE).await?;
    let (broken, body) = event("abuse broken", |event| {
        event["data"]["object"]["status"] = json!([MARKER]);
    });
    let (odd, odd_body) = event("abuse odd", |event| event["type"] = json!("odd\u{1b}[31m"));
    let deep = format!(
        r#"{{"id": "evt_deep", "type": "invoice.paid", "created": 1, "data": {}{}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    for body in [body, odd_body, deep] {
        pair.client.post_signed(body.into()).await?.accepted()?;
    }
    eventually(DEADLINE, "what cannot be read is dead", async || {
        let letters = pair.dead_letters(&["--reason", "malformed"]).await?;
        ensure!(letters.len() == 3, "{letters:?}");
        Ok(())
    })
    .await;

    let logs = [("ingest", pair.ingest.log()), ("worker", pair.workers[0].log())];
    for (process, log) in &logs {
        for word in [
            MARKER,
            "marker.example",
            SECRET,
            &SECRET["whsec_".len()..],
            "v1=",
            "guest:guest",
        ] {
            ensure!(!log.contains(word), "{process} logged {word}");
        }
        ensure!(!log.contains('\u{1b}'), "{process} logged an escape character");
    }
    ensure!(
        logs.iter().all(|(_, log)| log.contains(&good)),
        "an event can be followed by its id"
    );
    ensure!(
        logs[0].1.contains(&odd) && logs[1].1.contains(&broken),
        "so can a bad one"
    );
    Ok(())
}

async fn refuse_all(pair: &Pair) -> Result<()> {
    let (_, body) = event("abuse forged", |_| ());
    let stale = unix_now() - 301;
    let signatures = [
        ("forged", sign("whsec_other", unix_now(), body.as_bytes())),
        ("truncated", header(&body, |good| good[..good.len() - 2].to_owned())),
        (
            "1,000 wrong ones",
            format!("t={}{}", unix_now(), ",v1=00".repeat(1_000)),
        ),
        ("no hex", header(&body, |good| good.replace("v1=", "v1=zz"))),
        ("v0 alone", header(&body, |good| good.replace("v1=", "v0="))),
        ("empty", String::new()),
        ("stale", sign(SECRET, stale, body.as_bytes())),
        ("of another body", sign(SECRET, unix_now(), b"{}")),
        ("the marker", MARKER.to_owned()),
    ];
    for (what, signature) in signatures {
        let answer = pair
            .client
            .post_raw(&[("stripe-signature", &signature)], body.clone())
            .await?;
        check(&answer, 400).context(what)?;
    }
    check(&pair.client.post_raw(&[], body.clone()).await?, 400).context("no signature")?;

    let bodies = [
        ("nothing", String::new(), 400),
        ("no JSON", MARKER.to_owned(), 400),
        ("no object", json!([MARKER]).to_string(), 400),
        ("no id", json!({ "type": MARKER, "created": 1 }).to_string(), 400),
        (
            "CR LF in the id",
            event("abuse crlf", |event| event["id"] = json!("evt_1\r\nX-Marker: 1")).1,
            400,
        ),
        (
            "a long id",
            event("abuse long", |event| event["id"] = json!("e".repeat(256))).1,
            400,
        ),
        (
            "too much",
            event("abuse huge", |event| event["filler"] = json!(MARKER.repeat(50_000))).1,
            413,
        ),
    ];
    for (what, body, status) in bodies {
        check(&pair.client.post_signed(body.into()).await?, status).context(what)?;
    }

    let methods = [Method::GET, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS];
    for method in methods {
        let answer = pair
            .client
            .request(method, "/webhooks/stripe", &[], body.clone().into())
            .await?;
        check(&answer, 405)?;
        ensure!(answer.headers.get("allow").is_some_and(|allow| allow == "POST"));
    }
    for path in ["/", "/metrics", "/healthz", "/webhooks/stripe/", "/webhooks/../metrics"] {
        check(&pair.client.get(path).await?, 404).context(path)?;
    }
    for ops in [pair.ingest.ops(), pair.workers[0].ops()] {
        for path in ["/healthz", "/readyz", "/metrics"] {
            ensure!(ops.get(path).await?.status == 200, "{path}");
        }
        ensure!(ops.get("/webhooks/stripe").await?.status == 404);
    }
    Ok(())
}

/// The status, and a body that is one short JSON object and repeats nothing.
fn check(answer: &Answer, status: u16) -> Result<()> {
    let object: Value = serde_json::from_str(&answer.body).context("not JSON")?;
    ensure!(answer.status == status, "{} {}", answer.status, answer.body);
    ensure!(object.is_object() && answer.body.len() < 200, "{}", answer.body);
    ensure!(!answer.body.contains("marker"), "{}", answer.body);
    Ok(())
}

#[tokio::test]
async fn three_hundred_sockets_that_never_finish_their_headers_block_no_other_client_and_are_closed() -> Result<()> {
    let env = TestEnv::new("abuse_slow").await?;
    let pair = Pair::start(&env, Setup::default().ingest("HEADER_TIMEOUT", "3s")).await?;
    let mut sockets = Vec::new();
    for _ in 0..300 {
        let mut socket = TcpStream::connect(pair.client.server()).await?;
        socket
            .write_all(b"POST /webhooks/stripe HTTP/1.1\r\nhost: slow\r\nx-slow: ")
            .await?;
        sockets.push(socket);
    }
    let events = newcomers(env.namespace(), 20);
    for event in &events {
        pair.client.clone().post_event(event).await?.accepted()?;
    }
    // One more byte buys no more time.
    for socket in &mut sockets {
        socket.write_all(b"x").await?;
    }
    for mut socket in sockets {
        let mut answer = Vec::new();
        // Closed with or without a word; a reset is an end too.
        let ended = tokio::time::timeout(DEADLINE, socket.read_to_end(&mut answer)).await;
        ensure!(ended.is_ok(), "still open after {DEADLINE:?}");
        ensure!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    let late = newcomers(&format!("{}late", env.namespace()), 1);
    pair.client.post_event(&late[0]).await?.accepted()
}

#[tokio::test]
async fn an_event_of_the_other_mode_is_recorded_as_ignored_and_never_applied() -> Result<()> {
    let env = TestEnv::new("abuse_mode").await?.with("STRIPE_LIVEMODE", "live");
    let pair = Pair::start(&env, Setup::default()).await?;
    let (test, body) = event("abuse test mode", |_| ());
    let (live, live_body) = event("abuse live mode", |event| event["livemode"] = json!(true));
    pair.client.post_signed(body.into()).await?.accepted()?;
    pair.client.post_signed(live_body.into()).await?.accepted()?;
    all_applied(env.pool(), &[live], DEADLINE).await?;
    eventually(DEADLINE, "the other one is ignored", async || {
        let record = recorded(env.pool(), std::slice::from_ref(&test)).await?.pop().flatten();
        let record = record.context("not yet")?;
        ensure!(
            record.outcome == "ignored" && record.reason.as_deref() == Some("other_mode"),
            "{record:?}"
        );
        Ok(())
    })
    .await;
    let users: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.entitlements")
        .fetch_one(env.pool())
        .await?;
    ensure!(users == 1, "{users} users");
    Ok(())
}
