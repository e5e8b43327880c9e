//! Measures the cost of order: the events of whole customer lives in order and shuffled; and a late event
//! beside a new one, for a customer with a long history.

use crate::measure::{Drained, time_settling};
use anyhow::{Result, ensure};
use lapin::BasicProperties;
use std::time::{Duration, Instant};
use tests::crowd::{all_applied, ids};
use tests::figures::Times;
use tests::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Mint, Subscription, price};
use tests::harness::{Pair, Setup, TestEnv, recorded, unix_now};
use tests::merchant;

/// The measurement of a backlog of lives.
pub(crate) struct LivesDrained {
    pub(crate) drained: Drained,
    /// The share of facts that folded their account again (late or tied), in thousandths.
    pub(crate) slow_thousandths: i64,
}

/// Times one worker with a backlog of the events of `count` lives, in order or shuffled.
pub(crate) async fn lives(count: usize, shuffled: bool) -> Result<LivesDrained> {
    const SEED: u64 = 4;
    let env = TestEnv::new("bench_lives").await?;
    let mut pair = Pair::start(&env, Setup::default().workers(0)).await?;
    let lives = merchant::lives(SEED, count, unix_now());
    let events = if shuffled {
        merchant::delivered(&lives, SEED, 0)
    } else {
        let mut events: Vec<Event> = lives.iter().flat_map(|life| life.events.clone()).collect();
        events.sort_by_key(|event| event.created);
        events
    };
    let messages = events
        .iter()
        .map(|event| (BasicProperties::default(), event.body.as_bytes()));
    env.queues()
        .await?
        .publish_all(&env.topology().work(), messages)
        .await?;
    pair.spawn_worker()?;
    let took = time_settling(&pair, i64::try_from(events.len())?).await?;
    let metrics = pair.workers[0].metrics().await?;
    let folded = |labels: &[&str]| metrics.sum("tollbridge_worker_facts_folded_total", labels);
    Ok(LivesDrained {
        drained: Drained {
            events: events.len(),
            took,
        },
        slow_thousandths: folded(&["path=\"slow\""]) * 1_000 / folded(&[]).max(1),
    })
}

/// The cost of one event for a customer with a history.
pub(crate) struct HistoryTimes {
    pub(crate) events: usize,
    /// From post to commit of an event that is newer than all others.
    pub(crate) newest: Times,
    /// From post to commit of an event from the first month: the whole account is folded again.
    pub(crate) late: Times,
}

/// Times `samples` new and late events after `months` of a subscription.
pub(crate) async fn history(months: i64, samples: usize) -> Result<HistoryTimes> {
    let env = TestEnv::new("bench_history").await?;
    let pair = Pair::start(&env, Setup::default().worker("LANES", "1")).await?;
    let start = unix_now() - (months + 1) * 30 * DAY;
    let mut mint = Mint::new(ApiVersion::Y2026, "history");
    let customer = mint.id("cus");
    let subscription = Subscription::new(&mut mint, &customer, price::MAX_MONTHLY, start).of_user("user_history");
    let (events, last) = renewals(&mut mint, subscription.clone(), months);
    for event in &events {
        pair.client.post_event(event).await?.accepted()?;
    }
    all_applied(env.pool(), &ids(&events), Duration::from_mins(2)).await?;
    let updated = "customer.subscription.updated";
    let (mut newest, mut late) = (Vec::new(), Vec::new());
    for sample in 0..samples {
        // A new event that changes nothing, and a late one from the first month.
        let number = i64::try_from(sample)?;
        let new = mint.update(updated, unix_now() - 3_600 + number, &last, &last);
        newest.push(time_to_commit(&env, &pair, &new).await?);
        let old = mint.update(updated, start + 60 + number, &subscription, &subscription);
        late.push(time_to_commit(&env, &pair, &old).await?);
    }
    let metrics = pair.workers[0].metrics().await?;
    let slow = metrics.sum("tollbridge_worker_facts_folded_total", &["path=\"slow\""]);
    ensure!(slow >= i64::try_from(samples)?, "only {slow} events were late");
    Ok(HistoryTimes {
        events: events.len(),
        newest: newest.into(),
        late: late.into(),
    })
}

/// A subscription that is renewed and paid every month, with three events per month.
fn renewals(mint: &mut Mint, mut subscription: Subscription, months: i64) -> (Vec<Event>, Subscription) {
    let created = subscription.created;
    let mut events = vec![mint.event("customer.subscription.created", created, &subscription)];
    for _ in 0..months {
        let old = subscription.clone();
        subscription.renew();
        let at = subscription.period.start;
        let lines = vec![Line::plan(mint, price::MAX_MONTHLY, subscription.period)];
        let invoice = Invoice::new(mint, &subscription, "subscription_cycle", at, lines);
        subscription.latest_invoice = Some(invoice.id.clone());
        events.extend([
            mint.update("customer.subscription.updated", at, &old, &subscription),
            mint.event("invoice.paid", at + 3_605, &invoice),
            mint.event("invoice.payment_succeeded", at + 3_605, &invoice),
        ]);
    }
    (events, subscription)
}

/// The time from the start of the post until the event has a row.
async fn time_to_commit(env: &TestEnv, pair: &Pair, event: &Event) -> Result<Duration> {
    let id = [event.id.clone()];
    let start = Instant::now();
    pair.client.post_event(event).await?.accepted()?;
    while recorded(env.pool(), &id).await?.iter().all(Option::is_none) {
        ensure!(start.elapsed() < Duration::from_secs(10), "{} is not applied", event.id);
    }
    Ok(start.elapsed())
}
