//! `make bench`: what one machine does, in a table of figures.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark does")]

mod law;
mod load;
mod measure;
mod pages;
mod recovery;
mod usage;

use anyhow::Result;
use clap::Parser;
use law::{History, Lives};
use measure::{Accepted, Drained};
use serde_json::{Value, json};
use std::time::Duration;
use tests::figures::{Times, millis, per_second, table, thousands};
use tests::harness::repository;

/// Measures requests per second, events per second, and the time from post to visible, with
/// real processes on the servers that the environment names.
#[derive(Debug, Parser)]
struct Arguments {
    /// How many events the backlog has
    #[arg(long, default_value_t = 50_000)]
    events: usize,
    /// How long requests are counted
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// How many connections post at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How many single events are timed
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// How many simulated customers live
    #[arg(long, default_value_t = 1_000)]
    lives: usize,
    /// How many reports of usage the backlogs have
    #[arg(long, default_value_t = 20_000)]
    usage: usize,
    /// How long histories are, in months
    #[arg(long, value_delimiter = ',', default_values_t = [1, 12, 120])]
    months: Vec<i64>,
    /// Only time the console's pages, with a million events in the tables
    #[arg(long)]
    pages: bool,
    /// Only time a comparison of so many subscriptions with Stripe
    #[arg(long)]
    reconcile: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let machine = machine();
    println!("On {}", machine["text"].as_str().unwrap_or_default());
    if arguments.pages {
        return time_pages(&machine).await;
    }
    if let Some(subscriptions) = arguments.reconcile {
        return time_reconcile(&machine, subscriptions).await;
    }

    println!("counting requests …");
    let accepted = measure::accept(arguments.connections, Duration::from_secs(arguments.seconds)).await?;
    println!("working off {} events in batches …", arguments.events);
    let drained = measure::drain(arguments.events, &[]).await?;
    let one_by_one = [("BATCH_SIZE", "1"), ("LANES", "1")];
    println!("working off a tenth of them one by one …");
    let single = measure::drain(arguments.events.div_ceil(10), &one_by_one).await?;
    println!("timing single events …");
    let visible = measure::become_visible(arguments.samples).await?;
    println!("living {} lives, in order and shuffled …", arguments.lives);
    let in_order = law::lives(arguments.lives, false).await?;
    let shuffled = law::lives(arguments.lives, true).await?;
    println!("telling events late …");
    let mut histories = Vec::new();
    for months in &arguments.months {
        histories.push(law::history(*months, arguments.samples.div_ceil(4)).await?);
    }

    println!(
        "working off {} reports of usage, of one user and of many …",
        arguments.usage
    );
    let hot = usage::drain(arguments.usage, 1).await?;
    let spread = usage::drain(arguments.usage, arguments.usage.div_ceil(2)).await?;
    let used = usage::become_visible(arguments.samples).await?;

    let mut rows = vec![
        accepted_row(&arguments, &accepted),
        drained_row("in batches, the defaults", &drained),
        drained_row("one by one, on one lane", &single),
        visible_row(&visible),
        lives_row("in order", &in_order),
        lives_row("shuffled", &shuffled),
    ];
    rows.extend(histories.iter().flat_map(history_rows));
    rows.extend([
        usage_row("for one user", &hot),
        usage_row("two for each user", &spread),
        row(
            "from post of usage to visible",
            format!("{} single reports", used.count()),
            String::new(),
            &used,
        ),
    ]);
    println!("\n{}", table(&rows));
    let report = json!({
        "machine": machine,
        "accept": {
            "connections": arguments.connections,
            "event_bytes": accepted.event_bytes,
            "requests": accepted.times.count(),
            "requests_per_second": per_second(accepted.times.count(), accepted.took),
            "p50_us": micros(&accepted.times, 50),
            "p99_us": micros(&accepted.times, 99)
        },
        "drain": drained_json(&drained),
        "drain_one_by_one": drained_json(&single),
        "visible": {
            "samples": visible.count(),
            "p50_us": micros(&visible, 50),
            "p99_us": micros(&visible, 99)
        },
        "lives_in_order": lives_json(&in_order),
        "lives_shuffled": lives_json(&shuffled),
        "usage_one_user": drained_json(&hot),
        "usage_many_users": drained_json(&spread),
        "usage_visible": { "p50_us": micros(&used, 50), "p99_us": micros(&used, 99) },
        "histories": histories.iter().map(history_json).collect::<Vec<_>>()
    });
    write("report.json", &report)
}

async fn time_pages(machine: &Value) -> Result<()> {
    println!("filling the tables, then asking for pages …");
    let pages = pages::measure().await?;
    let rows: Vec<_> = pages
        .iter()
        .map(|page| {
            row(
                page.name,
                format!("{} times", page.times.count()),
                String::new(),
                &page.times,
            )
        })
        .collect();
    println!("\n{}", table(&rows));
    let json = |page: &pages::Page| json!({"page": page.name, "p50_us": micros(&page.times, 50), "p99_us": micros(&page.times, 99)});
    let report = json!({"machine": machine, "pages": pages.iter().map(json).collect::<Vec<_>>()});
    write("pages.json", &report)
}

async fn time_reconcile(machine: &Value, subscriptions: usize) -> Result<()> {
    println!("making {subscriptions} subscriptions, then comparing them …");
    let compared = recovery::reconcile(subscriptions).await?;
    let rows = ["none differs", "one of a hundred differs"].into_iter().zip(&compared);
    let row = |(how, run): (&str, &recovery::Compared)| {
        vec![
            "subscriptions compared".to_owned(),
            format!("{}, {how}", run.report["listed"]),
            format!("{} requests", run.report["requests"]),
            format!("{:.1} s", run.took.as_secs_f64()),
            format!("{} MiB", run.memory_kib / 1_024),
        ]
    };
    println!("\n{}", table(&rows.map(row).collect::<Vec<_>>()));
    let json = |run: &recovery::Compared| json!({"report": run.report, "milliseconds": run.took.as_millis(), "memory_kib": run.memory_kib});
    let report = json!({"machine": machine, "runs": compared.iter().map(json).collect::<Vec<_>>()});
    write("reconcile.json", &report)
}

fn write(name: &str, report: &Value) -> Result<()> {
    let folder = repository().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(name);
    std::fs::write(&file, format!("{report:#}\n"))?;
    println!("\nwritten to {}", file.display());
    Ok(())
}

fn row(what: &str, how: String, figure: String, times: &Times) -> Vec<String> {
    let mut row = vec![what.to_owned(), how, figure];
    if times.count() > 0 {
        row.extend([50, 99].map(|percent| format!("p{percent} {}", millis(times.percentile(percent)))));
    }
    row
}

fn accepted_row(arguments: &Arguments, accepted: &Accepted) -> Vec<String> {
    let rate = thousands(per_second(accepted.times.count(), accepted.took));
    let how = format!(
        "{} connections, {} bytes each",
        arguments.connections, accepted.event_bytes
    );
    row("requests confirmed", how, format!("{rate} a second"), &accepted.times)
}

fn drained_row(how: &str, drained: &Drained) -> Vec<String> {
    let rate = thousands(per_second(drained.events, drained.took));
    let how = format!("{} {how}", thousands(i64::try_from(drained.events).unwrap_or(i64::MAX)));
    row(
        "events from backlog to commit",
        how,
        format!("{rate} a second"),
        &Times::default(),
    )
}

fn usage_row(how: &str, drained: &Drained) -> Vec<String> {
    let mut row = drained_row(how, drained);
    "reports of usage from backlog to commit".clone_into(&mut row[0]);
    row
}

fn visible_row(visible: &Times) -> Vec<String> {
    let how = format!("{} single events", visible.count());
    row("from post to visible", how, String::new(), visible)
}

fn drained_json(drained: &Drained) -> Value {
    json!({
        "events": drained.events,
        "seconds_thousandths": u64::try_from(drained.took.as_millis()).unwrap_or(u64::MAX),
        "events_per_second": per_second(drained.events, drained.took)
    })
}

fn lives_row(how: &str, lives: &Lives) -> Vec<String> {
    let mut row = drained_row(&format!("of simulated lives, {how}"), &lives.drained);
    let (whole, rest) = (lives.slow_thousandths / 10, lives.slow_thousandths % 10);
    row.push(format!("{whole}.{rest} % late or tied"));
    row
}

fn lives_json(lives: &Lives) -> Value {
    let mut report = drained_json(&lives.drained);
    report["slow_thousandths"] = json!(lives.slow_thousandths);
    report
}

fn history_rows(history: &History) -> [Vec<String>; 2] {
    [("newest", &history.newest), ("late", &history.late)].map(|(which, times)| {
        let how = format!("a customer's {which} event, {} before it", history.events);
        row("from post to commit", how, String::new(), times)
    })
}

fn history_json(history: &History) -> Value {
    json!({
        "events": history.events,
        "newest_p50_us": micros(&history.newest, 50),
        "late_p50_us": micros(&history.late, 50),
        "late_p99_us": micros(&history.late, 99)
    })
}

fn micros(times: &Times, percent: usize) -> u64 {
    u64::try_from(times.percentile(percent).as_micros()).unwrap_or(u64::MAX)
}

/// Cores, processor and profile: figures of another machine are no comparison.
fn machine() -> Value {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("processor unknown", |(_, model)| model);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    json!({
        "cores": cores,
        "processor": model,
        "profile": profile,
        "text": format!("{cores} cores ({model}) that load, pair and servers share, {profile} build")
    })
}
