//! Faults, and repeated requests.

use super::caller::{Caller, KEY};
use anyhow::{Result, ensure};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tests::harness::Answer;
use tests::stripe::{Fault, When};
use tokio::sync::Notify;

const PATH: &str = "POST /v1/products";

async fn create(caller: &Caller, name: &str, key: &str) -> Result<Answer> {
    caller
        .send(PATH, &format!("name={name}"), &[("idempotency-key", key)])
        .await
}

fn count(caller: &Caller) -> usize {
    caller.stripe.objects("products").len()
}

#[tokio::test]
async fn a_repeated_request_gets_the_same_answer_and_is_done_once() -> Result<()> {
    let caller = Caller::new().await?;
    let first = create(&caller, "a", "key-1").await?;
    let again = create(&caller, "a", "key-1").await?;
    ensure!(
        first.status == 200 && first.body == again.body && count(&caller) == 1,
        "{again:?}"
    );
    ensure!(again.headers["idempotent-replayed"] == "true" && again.headers["idempotency-key"] == "key-1");
    ensure!(first.headers.get("idempotent-replayed").is_none(), "{first:?}");
    ensure!(first.headers["request-id"] != again.headers["request-id"], "{again:?}");
    let other = create(&caller, "b", "key-1").await?;
    ensure!(
        other.status == 400 && other.body.contains("idempotency_error"),
        "{other:?}"
    );
    create(&caller, "b", "key-2").await?;
    ensure!(count(&caller) == 2);

    // What was not begun is not kept: it may be sent again, mended.
    ensure!(
        caller
            .send(PATH, "nome=x", &[("idempotency-key", "key-3")])
            .await?
            .status
            == 400
    );
    ensure!(create(&caller, "c", "key-3").await?.status == 200);
    // What was begun and refused is.
    let taken = [("idempotency-key", "key-4")];
    caller.post("/v1/products", "id=prod_x&name=x").await?;
    ensure!(caller.send(PATH, "id=prod_x&name=x", &taken).await?.status == 400);
    caller.done("DELETE /v1/products/prod_x", "").await?;
    let again = caller.send(PATH, "id=prod_x&name=x", &taken).await?;
    ensure!(
        again.status == 400 && again.body.contains("already exists"),
        "{again:?}"
    );
    let replays: Vec<bool> = caller.stripe.writes().iter().map(|asked| asked.is_replay).collect();
    ensure!(
        replays == [false, true, false, false, false, false, false, false, false, true],
        "{replays:?}"
    );
    Ok(())
}

/// A fault, the status that it answers, how many products there are after it, and the status and
/// the number of products after the same request again.
type Case = (Fault, Option<u16>, usize, u16, usize);

#[tokio::test]
async fn a_fault_happens_before_or_after_the_change() -> Result<()> {
    let cases: [Case; 10] = [
        (Fault::TooMany { retry_after: None }, Some(429), 0, 200, 1),
        (Fault::TooMany { retry_after: Some(7) }, Some(429), 0, 200, 1),
        (Fault::FailsBefore(429), Some(429), 0, 200, 1),
        (Fault::FailsBefore(503), Some(503), 0, 200, 1),
        (Fault::BadGateway, Some(502), 0, 200, 1),
        // Stripe gives a 500 again for a day.
        (Fault::FailsBefore(500), Some(500), 0, 500, 0),
        (Fault::FailsAfter, Some(500), 1, 500, 1),
        (Fault::DropsBefore, None, 0, 200, 1),
        (Fault::DropsAfter, None, 1, 200, 1),
        (Fault::Slow(Duration::from_millis(50)), Some(200), 1, 200, 1),
    ];
    for (fault, status, products, again, products_then) in cases {
        let caller = Caller::new().await?;
        caller
            .stripe
            .inject(fault.clone(), When::to("POST", "/v1/products").times(1));
        let began = Instant::now();
        let answer = create(&caller, "a", "key").await.ok();
        let was = answer.as_ref().map(|answer| answer.status.as_u16());
        ensure!(
            was == status && count(&caller) == products,
            "{fault:?}: {answer:?} {}",
            count(&caller)
        );
        ensure!(caller.stripe.requests()[0].status == status, "{fault:?}");
        let retry_after = answer.as_ref().and_then(|answer| answer.headers.get("retry-after"));
        let is_json = answer.as_ref().is_none_or(|answer| answer.body.starts_with('{'));
        match fault {
            Fault::TooMany { retry_after: Some(_) } => ensure!(retry_after.is_some_and(|after| after == "7")),
            Fault::BadGateway => ensure!(!is_json),
            Fault::Slow(time) => ensure!(began.elapsed() >= time),
            _ => ensure!(retry_after.is_none() && is_json, "{fault:?}: {answer:?}"),
        }
        let answer = create(&caller, "a", "key").await?;
        ensure!(
            answer.status == again && count(&caller) == products_then,
            "{fault:?}: {answer:?}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_fault_affects_only_the_requests_that_it_names() -> Result<()> {
    let seed = 20_261_125;
    let cases = [
        (When::any(), vec![500; 6]),
        (When::any().times(2), vec![500, 500, 200, 200, 200, 200]),
        (When::any().after(1).times(1), vec![200, 500, 200, 200, 200, 200]),
        (When::to("POST", "/v1/products"), vec![500, 200, 500, 200, 500, 200]),
        (
            When::to("POST", "/v1/products").after(2),
            vec![200, 200, 200, 200, 500, 200],
        ),
        (When::below("/v1/products/"), vec![200; 6]),
        (When::any().percent(0, seed), vec![200; 6]),
        (When::any().percent(100, seed), vec![500; 6]),
    ];
    for (when, expected) in cases {
        let caller = Caller::new().await?;
        caller.stripe.inject(Fault::FailsBefore(500), when.clone());
        let mut statuses = Vec::new();
        for request in [PATH, "GET /v1/products"].into_iter().cycle().take(6) {
            let form = if request == PATH { "name=a" } else { "" };
            statuses.push(caller.ask(request, form).await?.0);
        }
        ensure!(statuses == expected, "{when:?}: {statuses:?}");
        caller.stripe.heal();
        ensure!(caller.ask(PATH, "name=a").await?.0 == 200);
    }
    let mut struck = Vec::new();
    for _ in 0..2 {
        let caller = Caller::new().await?;
        caller
            .stripe
            .inject(Fault::FailsBefore(503), When::any().percent(50, seed));
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(caller.ask("GET /v1/products", "").await?.0);
        }
        ensure!(statuses.contains(&503) && statuses.contains(&200), "{statuses:?}");
        struck.push(statuses);
    }
    ensure!(struck[0] == struck[1], "a seed repeats it: {struck:?}");
    Ok(())
}

#[tokio::test]
async fn an_invalid_request_is_a_violation_even_if_a_fault_answers_it() -> Result<()> {
    let caller = Caller::new().await?;
    for fault in [
        Fault::TooMany { retry_after: None },
        Fault::FailsBefore(500),
        Fault::DropsBefore,
    ] {
        caller.stripe.inject(fault, When::any().times(1));
        let _lost = caller.send(PATH, "nome=a", &[]).await;
    }
    let violations = caller.stripe.violations();
    ensure!(
        violations.len() == 3 && violations[0].contains("nome"),
        "{violations:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_answer_waits_until_the_test_releases_it() -> Result<()> {
    let caller = Caller::new().await?;
    let go = Arc::new(Notify::new());
    caller
        .stripe
        .inject(Fault::Waits(go.clone()), When::to("POST", "/").times(1));
    let (answer, ()) = tokio::join!(create(&caller, "a", "key"), async {
        while caller.stripe.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        // It is done already, and no other request waits.
        assert_eq!(count(&caller), 1);
        go.notify_one();
    });
    ensure!(answer?.status == 200);
    Ok(())
}

#[tokio::test]
async fn the_journal_has_each_request_as_it_was_sent() -> Result<()> {
    let caller = Caller::new().await?;
    let headers = [("idempotency-key", "key"), ("stripe-version", "2020-08-27")];
    let answer = caller
        .send("POST /v1/products?expand[]=default_price", "id=p&name=A%26B", &headers)
        .await?;
    ensure!(answer.headers["stripe-version"] == "2020-08-27", "{answer:?}");
    caller.get("/v1/products/p").await?;
    let asked = caller.stripe.requests();
    let params = serde_json::json!({"expand": ["default_price"], "id": "p", "name": "A&B"});
    ensure!(
        (asked[0].path.as_str(), &asked[0].params) == ("/v1/products", &params),
        "{asked:?}"
    );
    ensure!(
        asked[0].key == KEY && asked[0].idempotency_key.as_deref() == Some("key"),
        "{asked:?}"
    );
    ensure!(
        asked[0].version.as_deref() == Some("2020-08-27") && asked[0].status == Some(200),
        "{asked:?}"
    );
    ensure!(caller.stripe.writes() == asked[..1], "{asked:?}");
    let counts: Vec<(String, usize)> = caller.stripe.counts().into_iter().collect();
    let kinds = ["GET /v1/products/{id}", "POST /v1/products"].map(|kind| (kind.to_owned(), 1));
    ensure!(counts == kinds, "{counts:?}");
    Ok(())
}
