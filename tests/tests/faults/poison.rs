//! Poison messages among good ones, published to the work queue: each becomes one dead letter with
//! its reason, however often it is delivered, and its siblings are applied.

use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::message;
use std::collections::BTreeMap;
use std::time::Duration;
use tests::crowd::{all_applied, ids, newcomers, outcomes};
use tests::fixtures::{ApiVersion, Mint, Session};
use tests::harness::{Pair, Setup, TestEnv, eventually, header, unix_now};

const DEADLINE: Duration = Duration::from_secs(30);

/// A message that no worker can apply.
struct Poison {
    what: &'static str,
    body: Vec<u8>,
    /// Its event's id, or a hash of the body where none can be read.
    id: String,
    kind: &'static str,
    reason: &'static str,
}

impl Poison {
    /// Not even an id can be read.
    fn nameless(what: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let id = format!("sha256:{}", hex::encode(Sha256::digest(&body)));
        Self {
            what,
            body,
            id,
            kind: "",
            reason: "malformed",
        }
    }

    /// A subscription's event, spoilt by `spoil`.
    fn spoilt(what: &'static str, reason: &'static str, spoil: impl FnOnce(&mut Value)) -> Self {
        let event = &newcomers(&format!("spoilt {what}"), 1)[0];
        let mut value: Value = serde_json::from_str(&event.body).expect("an event is JSON");
        spoil(&mut value);
        let (id, kind) = (event.id.clone(), "customer.subscription.created");
        Self {
            what,
            body: value.to_string().into_bytes(),
            id,
            kind,
            reason,
        }
    }
}

fn all_poison() -> Vec<Poison> {
    let whole = &newcomers("half", 1)[0].body;
    let mut mint = Mint::new(ApiVersion::Y2026, "pack");
    let session = Session::of_pack(&mut mint, "user_pack", "no_such_pack", 1, unix_now());
    let pack = mint.event("checkout.session.completed", unix_now(), &session);
    let object = |field: &'static str, value: Value| move |event: &mut Value| event["data"]["object"][field] = value;
    let price = |field: &'static str, value: Value| {
        move |event: &mut Value| event["data"]["object"]["items"]["data"][0]["price"][field] = value
    };
    let mut all = vec![
        Poison::nameless("nothing", ""),
        Poison::nameless("binary", (0..=255).collect::<Vec<u8>>()),
        Poison::nameless("text", "not JSON"),
        Poison::nameless("half an event", &whole.as_bytes()[..whole.len() / 2]),
        Poison::nameless("null", "null"),
        Poison::nameless("an array", "[1, 2, 3]"),
        Poison::nameless("200 arrays deep", "[".repeat(200) + &"]".repeat(200)),
        Poison::nameless(
            "no id",
            r#"{"type": "invoice.paid", "created": 1, "data": {"object": {}}}"#,
        ),
        Poison::nameless(
            "a long id",
            json!({ "id": "e".repeat(256), "type": "x", "created": 1 }).to_string(),
        ),
        Poison::nameless("a NUL in the id", r#"{"id": "evt_\u0000", "type": "x", "created": 1}"#),
        Poison::spoilt("wrong types", "malformed", object("status", json!(["active"]))),
        Poison::spoilt("no data", "malformed", |event| event["data"] = Value::Null),
        Poison::spoilt(
            "a NUL in the user",
            "malformed",
            object("metadata", json!({ "user_id": "\0" })),
        ),
        Poison::spoilt(
            "a time past the end of time",
            "malformed",
            object("cancel_at", json!(i64::MAX)),
        ),
        Poison {
            what: "an unknown pack",
            body: pack.body.into_bytes(),
            id: pack.id,
            kind: "checkout.session.completed",
            reason: "unknown_pack",
        },
        // Longer than a frame of AMQP, in which all headers of a message must fit.
        Poison::spoilt("a price with a huge key", "unknown_price", |event| {
            price("product", json!("nobody's"))(event);
            price("lookup_key", json!("k".repeat(300_000)))(event);
        }),
    ];
    let mut huge = Poison::spoilt("a huge type", "malformed", |event| {
        event["type"] = json!("t".repeat(300_000));
    });
    huge.kind = "";
    all.push(huge);
    all
}

#[tokio::test]
async fn each_poison_message_is_dead_once_with_its_reason_and_its_siblings_are_applied() -> Result<()> {
    let env = TestEnv::new("poison").await?;
    let mut pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let (queues, topology) = (env.queues().await?, env.topology());
    let (good, poison) = (newcomers(env.namespace(), 300), all_poison());
    let mut messages: Vec<(BasicProperties, &[u8])> = Vec::new();
    // Three times all of it, so that good and bad, first and repeated ones share batches.
    for _ in 0..3 {
        for (place, event) in good.iter().enumerate() {
            messages.push((BasicProperties::default(), event.body.as_bytes()));
            if place % 15 == 0
                && let Some(poison) = poison.get(place / 15)
            {
                messages.push((BasicProperties::default(), &poison.body));
            }
        }
    }
    let sent = i64::try_from(messages.len())?;
    queues.publish_all(&topology.work(), messages).await?;
    pair.add_worker().await?;
    eventually(DEADLINE, "every delivery is settled", async || {
        let settled = pair.settled().await?;
        ensure!(settled == sent, "{settled} of {sent}");
        Ok(())
    })
    .await;
    all_applied(env.pool(), &ids(&good), DEADLINE).await?;
    ensure!(queues.depth(&topology.work()).await? == 0, "something waits still");

    let dead: Vec<String> = poison.iter().map(|poison| poison.id.clone()).collect();
    let expected = BTreeMap::from([("dead".to_owned(), i64::try_from(poison.len())?)]);
    ensure!(
        outcomes(env.pool(), &dead).await? == expected,
        "{:?}",
        outcomes(env.pool(), &dead).await?
    );
    let letters = queues.take_all(&topology.dead()).await?;
    let listed = pair.dead_letters(&[]).await?;
    ensure!(
        (letters.len(), listed.len()) == (poison.len(), poison.len()),
        "{} letters",
        letters.len()
    );
    for Poison {
        what,
        body,
        id,
        kind,
        reason,
    } in &poison
    {
        let mut letters = letters.iter().filter(|letter| letter.data == *body);
        let (letter, another) = (letters.next().context(*what)?, letters.next());
        ensure!(another.is_none(), "{what}: in the queue twice");
        let says = |name| header(letter, name).unwrap_or_default();
        ensure!(says(message::REASON) == *reason, "{what}: {}", says(message::REASON));
        ensure!(says(message::EVENT_ID) == *id, "{what}: {}", says(message::EVENT_ID));
        ensure!(
            says(message::EVENT_TYPE) == *kind,
            "{what}: {}",
            says(message::EVENT_TYPE)
        );
        ensure!(says(message::ATTEMPTS) == "1", "{what}: {}", says(message::ATTEMPTS));
        ensure!(
            says(message::FIRST_FAILED).ends_with('Z') && says(message::LAST_FAILED).ends_with('Z'),
            "{what}"
        );
        ensure!(!says(message::DETAIL).is_empty(), "{what}: no detail");
        let record = listed.iter().find(|record| record["id"] == *id).context(*what)?;
        ensure!(record["reason"] == *reason, "{what}: {record}");
    }
    Ok(())
}

#[tokio::test]
async fn headers_with_impossible_values_change_no_outcome() -> Result<()> {
    let env = TestEnv::new("poison_headers").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (queues, topology) = (env.queues().await?, env.topology());
    let good = newcomers(env.namespace(), 6);
    for (event, number) in good.iter().zip([i64::MIN, -1, 0, 1 << 53, i64::MAX - 1, i64::MAX]) {
        let mut headers = FieldTable::default();
        for name in [message::ATTEMPTS, message::RECEIVED_AT_MS, message::FIRST_FAILED_AT_MS] {
            headers.insert(name.into(), AMQPValue::LongLongInt(number));
        }
        let properties = BasicProperties::default().with_headers(headers);
        let poison = format!("poison {number}");
        queues
            .publish(&topology.work(), properties.clone(), poison.as_bytes())
            .await?;
        queues
            .publish(&topology.work(), properties, event.body.as_bytes())
            .await?;
    }
    all_applied(env.pool(), &ids(&good), DEADLINE).await?;
    eventually(DEADLINE, "the poison is dead", async || {
        ensure!(queues.depth(&topology.dead()).await? == 6);
        Ok(())
    })
    .await;
    ensure!(pair.dead_letters(&[]).await?.len() == 6);
    Ok(())
}
