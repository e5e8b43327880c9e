//! What the demo prints.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tests::figures::{Times, millis, per_second, table, thousands};
use tests::fixtures::ApiVersion;
use tests::harness::{Balance, Entitlement, Pair, TestEnv};
use tests::merchant::{ACTS, Life};
use tests::stage::{Lived, Played};
use tests::story::{Sending, Step, Story, USER, Verdict};

/// The columns of `billing.entitlements` that tell the story, and how they are headed here.
const COLUMNS: [(&str, &str); 10] = [
    ("entitled", "entitled"),
    ("status", "status"),
    ("tier", "tier"),
    ("effective_tier", "effective"),
    ("grace_tier", "grace"),
    ("grace_until", "grace until"),
    ("current_period_end", "period ends"),
    ("is_canceling", "canceling"),
    ("ever_paid", "ever paid"),
    ("highest_tier_subscribed", "highest"),
];

/// The acts of lives stand side by side.
const ACT_COLUMNS: usize = 3;

/// Where everything is.
pub(crate) fn beginning(env: &TestEnv, pair: &Pair, version: ApiVersion, took: Duration) {
    println!("\nTollbridge: a signed Stripe webhook becomes what a customer may use\n");
    let rows = [
        [
            "webhooks go to".to_owned(),
            format!("http://{}/webhooks/stripe", pair.client.server()),
        ],
        ["through the queue".to_owned(), env.topology().work()],
        ["into the database".to_owned(), env.database_url().to_owned()],
        ["in the shapes of".to_owned(), format!("Stripe's API version {version}")],
        ["the pair was ready".to_owned(), format!("after {}", millis(took))],
    ];
    println!("{}", table(&rows.map(Vec::from)));
}

/// What was sent, how long it took to show, and the row afterwards.
pub(crate) fn step(number: usize, step: &Step, played: &Played) {
    println!("\n{number}. {}", step.title);
    if step.copies == 1 {
        let times = played.visible.iter().copied();
        let rows = step
            .sendings
            .iter()
            .zip(times)
            .map(|(sending, time)| sent(sending, time));
        println!("{}", table(&rows.collect::<Vec<_>>()));
    } else {
        println!(
            "   {} requests answered 200 and settled in {} ({} a second); the rows are the same",
            thousands(i64::try_from(played.posted).unwrap_or(i64::MAX)),
            millis(played.took),
            thousands(per_second(played.posted, played.took)),
        );
    }
    let row: BTreeMap<_, _> = step.after.columns().into_iter().collect();
    let heads = COLUMNS.map(|(_, head)| head.to_owned());
    let cells = COLUMNS.map(|(column, _)| row[column].clone());
    println!("   billing.entitlements of {USER}:");
    println!("{}", table(&[Vec::from(heads), Vec::from(cells)]));
}

fn sent(sending: &Sending, time: Duration) -> Vec<String> {
    let verdict = match sending.verdict {
        Verdict::Applied => "applied".to_owned(),
        Verdict::Ignored => "ignored".to_owned(),
        Verdict::Dead(reason) => format!("dead: {reason}"),
    };
    let visible = format!("visible after {}", millis(time));
    vec!["sent".to_owned(), sending.event.kind.clone(), verdict, visible]
}

/// What was sent of many customers, and that their rows are right.
pub(crate) fn lives(number: usize, lives: &[Life], outcome: &Lived) {
    let Lived { posted, counted, took } = outcome;
    println!("\n{number}. {} simulated customers live their lives", lives.len());
    println!(
        "   {} events ({} applied, {} ignored), shuffled and each sent twice: settled in {} ({} a second)",
        counted.applied + counted.ignored,
        counted.applied,
        counted.ignored,
        millis(*took),
        thousands(per_second(*posted, *took)),
    );
    let rows: Vec<_> = lives.iter().filter_map(|life| life.entitlement.as_ref()).collect();
    let count = |is: &dyn Fn(&Entitlement) -> bool| rows.iter().filter(|row| is(row)).count();
    println!(
        "   {} rows, all as the merchant's own books say: {} entitled, {} in a grace, {} canceling",
        rows.len(),
        count(&|row| row.entitled),
        count(&|row| row.grace_tier.is_some()),
        count(&|row| row.is_canceling),
    );
    println!("   In so many of these lives there was");
    let height = ACTS.len().div_ceil(ACT_COLUMNS);
    let line = |first: usize| {
        let side_by_side = ACTS.iter().skip(first).step_by(height);
        let told = side_by_side.flat_map(|act| {
            let with_it = lives.iter().filter(|life| life.acts.contains(act)).count();
            [with_it.to_string(), (*act).to_owned()]
        });
        told.collect()
    };
    println!("{}", table(&(0..height).map(line).collect::<Vec<_>>()));
}

/// What is left of a meter after each of these.
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

/// What the operator's command lists, which must be what the story expects, each once.
pub(crate) async fn dead_letters(pair: &Pair, story: &Story) -> Result<()> {
    println!("\nDead letters, as `worker dead-letters list` prints them:");
    for line in pair.operate(&["dead-letters", "list"]).await?.lines() {
        println!("   {line}");
    }
    let list = pair.operate(&["dead-letters", "list", "--json"]).await?;
    let list: Value = serde_json::from_str(&list).context("dead-letters list --json is not JSON")?;
    let list = list.as_array().context("dead-letters list --json is no array")?;
    let expected: BTreeSet<&str> = story.dead().map(|(event, _)| event.id.as_str()).collect();
    let text = serde_json::to_string(list)?;
    let all_named = expected.iter().all(|id| text.contains(id));
    ensure!(
        list.len() == expected.len() && all_named,
        "dead are {text}, not once each of {expected:?}"
    );
    Ok(())
}

/// How fast events became visible.
pub(crate) fn times(times: &Times) {
    println!("\nFrom post to visible, {} single events:", times.count());
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

/// The counters of both processes that are not zero.
pub(crate) async fn metrics(pair: &Pair) -> Result<()> {
    let processes = std::iter::once(("ingest", &pair.ingest)).chain(pair.workers.iter().map(|w| ("worker", w)));
    for (name, process) in processes {
        println!("\nFrom http://{}/metrics of {name}:", process.ops().server());
        for (series, value) in process.metrics().await?.iter() {
            let counter = series.split('{').next().is_some_and(|name| name.ends_with("_total"));
            if counter && value > 0 {
                println!("   {series} {value}");
            }
        }
    }
    Ok(())
}

/// Where to look next.
pub(crate) fn ending(env: &TestEnv, took: Duration) {
    println!("\nEvery row was as expected. It took {} in all.", millis(took));
    println!(
        "Both processes' logs are in {}; each event's id finds it in both.",
        env.logs().display()
    );
    println!("Next: `make up` leaves the pair running, with events to post; `make test`; README.md.");
}
