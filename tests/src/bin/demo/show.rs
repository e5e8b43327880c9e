//! Prints the demo's steps and results.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tests::figures::{Times, millis, per_second, seconds, table, thousands};
use tests::fixtures::ApiVersion;
use tests::harness::{Balance, Entitlement, Pair, TestEnv};
use tests::merchant::{ACTS, Life};
use tests::runner::{LivesResult, StepResult};
use tests::scenario::{ExpectedOutcome, Scenario, ScenarioEvent, ScenarioStep, USER};

/// The shown columns of `billing.entitlements`, and their headings.
const COLUMNS: [(&str, &str); 10] = [
    ("entitled", "entitled"),
    ("status", "status"),
    ("tier", "tier"),
    ("effective_tier", "effective tier"),
    ("grace_tier", "grace tier"),
    ("grace_until", "grace until"),
    ("current_period_end", "period ends"),
    ("is_canceling", "canceling"),
    ("ever_paid", "ever paid"),
    ("highest_tier_subscribed", "highest tier"),
];

/// The number of kinds of acts that are shown, and of columns for them.
const ACTS_SHOWN_MAX: usize = 12;
const ACT_COLUMNS: usize = 3;

/// What the demo does.
pub(crate) fn introduction() {
    println!("\nTollbridge turns Stripe's webhooks into rows that say what each user may use.\n");
    println!("This demo posts signed events to ingest. ingest puts them into RabbitMQ, the worker applies them,");
    println!("and rows in PostgreSQL change. After each step the demo checks the rows.\n");
}

/// The addresses of the running system.
pub(crate) fn addresses(env: &TestEnv, pair: &Pair, version: ApiVersion, took: Duration) {
    let rows = [
        [
            "webhooks".to_owned(),
            format!("http://{}/webhooks/stripe", pair.client.server()),
        ],
        ["queue".to_owned(), env.topology().work()],
        ["database".to_owned(), env.database_url().to_owned()],
        ["events".to_owned(), format!("of Stripe's API version {version}")],
        [
            "start".to_owned(),
            format!("ingest and worker were ready after {}", seconds(took)),
        ],
    ];
    println!("{}", table(&rows.map(Vec::from)));
}

/// The events of a step, their outcomes, and the row after it.
pub(crate) fn step(number: usize, step: &ScenarioStep, result: &StepResult) {
    println!("\n{number}. {}\n   {}\n", step.title, step.explanation);
    if step.copies == 1 {
        let mut rows = vec![["event", "outcome", "visible after"].map(str::to_owned).to_vec()];
        let times = result.visible.iter().copied();
        rows.extend(
            step.events
                .iter()
                .zip(times)
                .map(|(event, time)| event_row(event, time)),
        );
        println!("{}", table(&rows));
    } else {
        println!(
            "   {} requests, all answered with 200 and settled in {} ({} a second)",
            count(result.posted),
            seconds(result.took),
            thousands(per_second(result.posted, result.took)),
        );
    }
    let row: BTreeMap<_, _> = step.expected_row.columns().into_iter().collect();
    let heads = COLUMNS.map(|(_, head)| head.to_owned());
    let cells = COLUMNS.map(|(column, _)| row[column].clone());
    println!("\n   The row of {USER} in billing.entitlements:");
    println!("{}", table(&[Vec::from(heads), Vec::from(cells)]));
}

fn event_row(event: &ScenarioEvent, time: Duration) -> Vec<String> {
    let outcome = match event.expected {
        ExpectedOutcome::Applied => "applied".to_owned(),
        ExpectedOutcome::Ignored => "ignored".to_owned(),
        ExpectedOutcome::Dead(reason) => format!("dead letter: {reason}"),
    };
    vec![event.event.kind.clone(), outcome, millis(time)]
}

fn count(number: usize) -> String {
    thousands(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The events of many customers, and a summary of their rows.
pub(crate) fn lives(number: usize, lives: &[Life], result: &LivesResult) {
    let LivesResult { posted, counts, took } = result;
    println!("\n{number}. {} simulated customers, in random order", lives.len());
    println!("   A simulated merchant makes the events of whole customer lives. It computes the expected rows without");
    println!("   the worker. Their events arrive in random order, each twice.\n");
    println!(
        "   {} events ({} applied, {} ignored), posted as {} requests and settled in {} ({} a second)",
        count(counts.applied + counts.ignored),
        count(counts.applied),
        count(counts.ignored),
        count(*posted),
        seconds(*took),
        thousands(per_second(*posted, *took)),
    );
    let rows: Vec<_> = lives.iter().filter_map(|life| life.entitlement.as_ref()).collect();
    let count_rows = |is: &dyn Fn(&Entitlement) -> bool| rows.iter().filter(|row| is(row)).count();
    println!(
        "   {} rows, all as expected: {} entitled, {} with a grace, {} canceling",
        rows.len(),
        count_rows(&|row| row.entitled),
        count_rows(&|row| row.grace_tier.is_some()),
        count_rows(&|row| row.is_canceling),
    );
    acts(lives);
}

/// The most frequent kinds of acts, each with the number of its lives.
fn acts(lives: &[Life]) {
    let lives_with = |act: &str| lives.iter().filter(|life| life.acts.contains(act)).count();
    let mut acts: Vec<_> = ACTS.iter().map(|act| (lives_with(act), *act)).collect();
    acts.retain(|(lives, _)| *lives > 0);
    acts.sort_by_key(|(lives, _)| std::cmp::Reverse(*lives));
    println!(
        "\n   {} of {} kinds of acts happened. The most frequent ones, with the number of their lives:",
        acts.len(),
        ACTS.len()
    );
    acts.truncate(ACTS_SHOWN_MAX);
    let height = acts.len().div_ceil(ACT_COLUMNS);
    let line = |first: usize| {
        let side_by_side = acts.iter().skip(first).step_by(height);
        side_by_side
            .flat_map(|(lives, act)| [lives.to_string(), (*act).to_owned()])
            .collect()
    };
    println!("{}", table(&(0..height).map(line).collect::<Vec<_>>()));
}

/// The balance of a meter after each step.
pub(crate) fn balances(rows: &[(&str, Balance)]) {
    let heads = ["", "plan_limit", "used", "rollover", "purchased", "available"];
    let mut lines = vec![heads.map(str::to_owned).to_vec()];
    for (did, row) in rows {
        let units = [
            row.plan_limit,
            Some(row.used),
            Some(row.rollover),
            Some(row.purchased),
            row.available,
        ];
        let units = units.map(|units| units.map_or("unlimited".to_owned(), thousands));
        lines.push([vec![(*did).to_owned()], units.to_vec()].concat());
    }
    println!("{}", table(&lines));
}

/// The dead letters as the operator's command lists them. Each expected one must be there once.
pub(crate) async fn dead_letters(pair: &Pair, scenario: &Scenario) -> Result<()> {
    println!("\nThe two dead letters wait for an operator. `worker dead-letters list` prints:\n");
    for line in pair.operate(&["dead-letters", "list"]).await?.lines() {
        println!("   {line}");
    }
    let list = pair.operate(&["dead-letters", "list", "--json"]).await?;
    let list: Value = serde_json::from_str(&list).context("dead-letters list --json is not JSON")?;
    let list = list.as_array().context("dead-letters list --json is no array")?;
    let expected: BTreeSet<&str> = scenario.dead().map(|(event, _)| event.id.as_str()).collect();
    let text = serde_json::to_string(list)?;
    let all_named = expected.iter().all(|id| text.contains(id));
    ensure!(
        list.len() == expected.len() && all_named,
        "the dead letters are {text}; expected each of {expected:?} once"
    );
    Ok(())
}

/// The time until an event's result is visible.
pub(crate) fn times(times: &Times) {
    println!(
        "\nTime from the post of an event until its result is visible ({} single events):",
        times.count()
    );
    let percentiles = [50, 90, 99, 100];
    let heads = percentiles.map(|percent| {
        if percent == 100 {
            "max".to_owned()
        } else {
            format!("p{percent}")
        }
    });
    let cells = percentiles.map(|percent| millis(times.percentile(percent)));
    println!("{}", table(&[Vec::from(heads), Vec::from(cells)]));
}

/// How many requests `ingest` accepted, and the outcomes of the worker's deliveries.
pub(crate) async fn counters(pair: &Pair) -> Result<()> {
    let ingest = pair.ingest.metrics().await?;
    let mut rows = vec![
        vec![
            thousands(ingest.sum("tollbridge_ingest_requests_total", &["status=\"200\""])),
            "webhooks accepted by ingest".to_owned(),
        ],
        vec![
            thousands(ingest.sum("tollbridge_ingest_usage_events_total", &[])),
            "usage reports accepted by ingest".to_owned(),
        ],
    ];
    let mut outcomes: BTreeMap<String, i64> = BTreeMap::new();
    for worker in &pair.workers {
        for (series, value) in worker.metrics().await?.iter() {
            let labels = series.strip_prefix("tollbridge_worker_deliveries_total{");
            let outcome = labels.and_then(|labels| labels.split_once("outcome=\"")?.1.split('"').next());
            if let Some(outcome) = outcome {
                *outcomes.entry(outcome.to_owned()).or_default() += value;
            }
        }
    }
    rows.push(vec![
        thousands(outcomes.values().sum()),
        "deliveries to the worker in all, of which".to_owned(),
    ]);
    for (outcome, deliveries) in outcomes {
        let meaning = match outcome.as_str() {
            "applied" => "applied".to_owned(),
            "dead" => "became dead letters".to_owned(),
            "duplicate" => "duplicates, without effect".to_owned(),
            "ignored" => "ignored, because the worker does not need their type".to_owned(),
            other => other.to_owned(),
        };
        rows.push(vec![thousands(deliveries), format!("  {meaning}")]);
    }
    println!("\nThe counters of both processes (a part of /metrics; docs/metrics.md lists all):");
    println!("{}", table(&rows));
    Ok(())
}

/// The result of the demo, and what to read or run next.
pub(crate) fn ending(env: &TestEnv, took: Duration) {
    println!("\nEvery row was as expected. The demo took {}.", seconds(took));
    println!(
        "Logs: {}. Both processes log the id of each event.",
        env.logs().display()
    );
    println!("\nNext: `make up` leaves ingest and worker running, with events to post. `make test` runs all tests.");
    println!("README.md tells how to use Tollbridge in an application.");
}
