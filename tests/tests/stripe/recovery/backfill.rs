//! Events that were never delivered.

use super::{DEADLINE, asked_as_stripe_says, asking, reconcile};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;
use tests::compare;
use tests::crowd::{Senders, all_applied, all_recorded, ids, newcomers};
use tests::figures::note;
use tests::fixtures::{ApiVersion, DAY, Event, Mint};
use tests::harness::{OwnServers, Pair, TestEnv, eventually, unix_now, wait_for};
use tests::merchant::lives;
use tests::random;
use tests::stripe::{Fault, Stripe, When};
use tests::stripe_state::{list_events, put_subscriptions};
use tokio::sync::Notify;

#[tokio::test]
async fn events_missed_while_nothing_ran_are_fetched_at_the_start_and_every_row_is_right() -> Result<()> {
    let (seed, now) = (random::seed()?, unix_now());
    let lives = lives(seed, 150, now);
    let mut all: Vec<Event> = lives.iter().flat_map(|life| life.events.clone()).collect();
    all.sort_by_key(|event| event.created);
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_day").await?;
    // By itself, as it is without any setting.
    let setup = asking(&stripe).workers(0).worker("BACKFILL_INTERVAL", "1h");
    let mut pair = Pair::start(&env, setup).await?;
    // Of the events that Stripe still lists, a third is delivered, to a queue without a consumer; the rest is not.
    let listed_from = now - 29 * DAY;
    let is_delivered = |(number, event): &(usize, &Event)| event.created < listed_from || number % 3 == 0;
    let (delivered, missed): (Vec<_>, Vec<_>) = all.iter().enumerate().partition(is_delivered);
    let events = |some: Vec<(usize, &Event)>| some.into_iter().map(|(_, event)| event.clone()).collect::<Vec<_>>();
    let (delivered, missed) = (events(delivered), events(missed));
    ensure!(missed.len() > 300, "{}", missed.len());
    list_events(&stripe, &delivered, true)?;
    list_events(&stripe, &missed, false)?;
    for life in &lives {
        put_subscriptions(&stripe, &life.events)?;
    }
    Senders::start(&pair.client, &delivered, 8).finish().await?;

    let start = Instant::now();
    pair.add_worker().await?;
    all_recorded(env.pool(), &ids(&all), DEADLINE).await?;
    let took = start.elapsed();
    // While some were missing there may have been ties, and Stripe was asked: more than the events is known.
    compare::rows(env.pool(), &lives)
        .await
        .with_context(|| format!("seed {seed}"))?;
    compare::events(env.pool(), &lives).await?;
    let fetched: Value = eventually(DEADLINE, "the job has ended", async || {
        let report = "SELECT report::text FROM billing.stripe_job WHERE job = 'backfill' AND ended_at IS NOT NULL";
        let report: String = sqlx::query_scalar(report).fetch_one(env.pool()).await?;
        Ok(serde_json::from_str(&report)?)
    })
    .await;
    ensure!(
        fetched["missed"] == missed.len() && fetched["put"] == missed.len(),
        "{fetched}"
    );
    let (report, found) = reconcile(&pair, &[]).await?;
    ensure!(found.is_empty() && report["differing"] == 0, "{found:?}");
    ensure!(report["listed"] == stripe.objects("subscriptions").len());
    note(&format!(
        "{} events, {} missed, right after {took:?}; backfill: {fetched}; reconcile: {report}",
        all.len(),
        missed.len()
    ));
    let metrics = pair.workers[0].metrics().await?;
    ensure!(metrics.get("tollbridge_backfill_oldest_undelivered_seconds") == 0);
    ensure!(pair.dead_letters(&[]).await?.is_empty());
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn faults_of_stripe_and_a_kill_cost_nothing_but_time() -> Result<()> {
    let seed = random::seed()?;
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_faults").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    // A second apart: what is in one second is fetched whole.
    let mut events = newcomers("faulty", 1_500);
    for (event, later) in events.iter_mut().zip(0..) {
        let created = event.created - 3_600 + later;
        event.body = event.body.replace(
            &format!("\"created\": {},\n  \"data\"", event.created),
            &format!("\"created\": {created},\n  \"data\""),
        );
        event.created = created;
    }
    list_events(&stripe, &events, false)?;
    put_subscriptions(&stripe, &events)?;
    let faults = [
        Fault::TooMany { retry_after: None },
        Fault::FailsBefore(500),
        Fault::FailsBefore(503),
        Fault::FailsAfter,
        Fault::DropsBefore,
        Fault::DropsAfter,
        Fault::BadGateway,
    ];
    for (number, fault) in (0..).zip(faults) {
        stripe.inject(fault, When::any().percent(5, seed + number));
    }
    let since = (unix_now() - 2 * DAY).to_string();
    // Killed once it has begun to put events on the queue, and begun anew.
    let mut killed = pair.workers[0]
        .command(&["backfill", "--since", &since])?
        .kill_on_drop(true)
        .spawn()?;
    eventually(DEADLINE, "it has begun", async || {
        let cursor = "SELECT count(cursor) FROM billing.stripe_job WHERE job = 'backfill_since'";
        let reached: i64 = sqlx::query_scalar(cursor).fetch_one(env.pool()).await?;
        ensure!(reached == 1);
        Ok(())
    })
    .await;
    killed.kill().await?;
    let before = stripe.requests().len();
    let told = eventually(DEADLINE, "the dead one's lead has ended", async || {
        pair.operate(&["backfill", "--since", &since]).await
    })
    .await;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    // It goes on where it was, and looks for no beginning.
    let asked = stripe.requests().split_off(before);
    let mut lists = asked.iter().filter(|asked| asked.path == "/v1/events").peekable();
    ensure!(lists.peek().is_some() && lists.all(|list| list.params["ending_before"].is_string()));
    let again = pair.operate(&["backfill", "--since", &since]).await?;
    ensure!(again.contains("0 had never arrived, 0 put"), "{told}{again}");
    let (report, found) = reconcile(&pair, &[]).await?;
    ensure!(
        report["listed"] == events.len() && found.is_empty(),
        "{report} {found:?}"
    );
    let log = pair.workers[0].log();
    ensure!(!log.contains("hush"), "the key is in the log");
    ensure!(pair.dead_letters(&[]).await?.is_empty());
    note(&format!("seed {seed}: {told}{:?}", stripe.counts()));
    asked_as_stripe_says(&stripe)
}

/// An event of a type that we do not handle, created then.
fn old(mint: &mut Mint, created: i64) -> Event {
    let data = json!({"object": {"id": "cus_old", "object": "customer"}});
    mint.envelope("customer.updated", created, &data)
}

#[tokio::test]
async fn events_delivered_during_a_backfill_hide_no_others() -> Result<()> {
    let stripe = Stripe::start().await?;
    let env = TestEnv::new("recovery_shrinks").await?;
    let pair = Pair::start(&env, asking(&stripe)).await?;
    let (now, mut mint) = (unix_now(), Mint::new(ApiVersion::Y2026, "shrinks"));
    let older: Vec<Event> = (0..150).map(|n| old(&mut mint, now - 20 * DAY + n)).collect();
    let newer: Vec<Event> = (0..150).map(|n| old(&mut mint, now - 10 * DAY + n)).collect();
    list_events(&stripe, &older, false)?;
    list_events(&stripe, &newer, false)?;
    // The second question finds that there are many older ones; then all of them are delivered.
    let answer = Arc::new(Notify::new());
    let second = When::below("/v1/events").after(1).times(1);
    stripe.inject(Fault::Waits(Arc::clone(&answer)), second);
    let delivering = async {
        wait_for(DEADLINE, "it asks for the second time", async || {
            ensure!(stripe.requests().len() == 2);
            Ok(())
        })
        .await?;
        for event in &older {
            stripe.deliver(&event.id);
        }
        answer.notify_one();
        anyhow::Ok(())
    };
    let (printed, delivered) = tokio::join!(pair.operate(&["backfill"]), delivering);
    delivered?;
    let printed = printed?;
    ensure!(printed.contains("150 had never arrived, 150 put"), "{printed}");
    all_recorded(env.pool(), &ids(&newer), DEADLINE).await?;
    asked_as_stripe_says(&stripe)
}

#[tokio::test]
async fn the_age_of_an_event_that_cannot_be_published_is_a_metric_until_it_is_published() -> Result<()> {
    let stripe = Stripe::start().await?;
    let servers = OwnServers::up("recovery-broker").await?;
    let env = TestEnv::on(servers.servers().clone(), "recovery_gauge").await?;
    let mut pair = Pair::start(&env, asking(&stripe).workers(0)).await?;
    let missed: Vec<Event> = (0..3)
        .map(|n| {
            old(
                &mut Mint::new(ApiVersion::Y2026, &format!("gauge{n}")),
                unix_now() - 3 * DAY,
            )
        })
        .collect();
    // A queue that is full with one, and has no worker.
    let pattern = format!("^{}$", env.topology().work().replace('.', "\\."));
    let limit = r#"{"max-length": 1, "overflow": "reject-publish"}"#;
    let policy = ["ctl", "set_policy", "full", &pattern, limit, "--apply-to", "queues"];
    servers.broker(&policy).await?;
    list_events(&stripe, &missed, false)?;
    eventually(DEADLINE, "the limit holds", async || {
        ensure!(pair.operate(&["backfill"]).await.is_err());
        Ok(())
    })
    .await;
    pair.add_worker().await?;
    let aged = async |least: i64, most: i64| {
        let gauge = "tollbridge_backfill_oldest_undelivered_seconds";
        wait_for(DEADLINE, "the worker tells its age", async || {
            let age = pair.workers[0].metrics().await?.get(gauge);
            ensure!((least..=most).contains(&age), "{age}");
            Ok(())
        })
        .await
    };
    aged(3 * DAY, 4 * DAY).await?;
    servers.broker(&["ctl", "clear_policy", "full"]).await?;
    pair.operate(&["backfill"]).await?;
    aged(0, 0).await?;
    all_recorded(env.pool(), &ids(&missed), DEADLINE).await
}
