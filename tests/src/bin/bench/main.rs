//! `make bench`: measures throughput and latency on one machine, and prints a table.
#![expect(clippy::print_stdout, reason = "printing is what a benchmark does")]

mod lives;
mod load;
mod measure;
mod pages;
mod reconcile;
mod usage;

use anyhow::Result;
use clap::Parser;
use lives::{HistoryTimes, LivesDrained};
use measure::{Accepted, Drained};
use serde_json::{Value, json};
use std::time::Duration;
use tests::figures::{Times, millis, per_second, table, thousands};
use tests::harness::repository;

/// Measures requests and events per second, and the time from a post until its result is visible. Uses real
/// processes, and the servers of `DATABASE_URL` and `AMQP_URL`.
#[derive(Debug, Parser)]
struct Arguments {
    /// Events in the backlog
    #[arg(long, default_value_t = 50_000)]
    events: usize,
    /// Seconds of posting requests
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Connections that post at once
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Single events to time
    #[arg(long, default_value_t = 200)]
    samples: usize,
    /// Simulated customers
    #[arg(long, default_value_t = 1_000)]
    lives: usize,
    /// Usage reports in each backlog
    #[arg(long, default_value_t = 20_000)]
    usage: usize,
    /// Lengths of a customer's history, in months
    #[arg(long, value_delimiter = ',', default_values_t = [1, 12, 120])]
    months: Vec<i64>,
    /// Only time the console's pages, with a million events in the database
    #[arg(long)]
    pages: bool,
    /// Only time `worker reconcile` with so many subscriptions
    #[arg(long)]
    reconcile: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let machine = machine();
    println!("Machine: {}", machine["text"].as_str().unwrap_or_default());
    if arguments.pages {
        return time_pages(&machine).await;
    }
    if let Some(subscriptions) = arguments.reconcile {
        return time_reconcile(&machine, subscriptions).await;
    }

    println!("posting requests …");
    let accepted = measure::accept(arguments.connections, Duration::from_secs(arguments.seconds)).await?;
    println!("applying a backlog of {} events in batches …", arguments.events);
    let drained = measure::drain(arguments.events, &[]).await?;
    let one_by_one = [("BATCH_SIZE", "1"), ("LANES", "1")];
    println!("applying a tenth of them one by one …");
    let single = measure::drain(arguments.events.div_ceil(10), &one_by_one).await?;
    println!("timing single events …");
    let visible = measure::become_visible(arguments.samples).await?;
    println!(
        "applying the events of {} simulated customers, in order and shuffled …",
        arguments.lives
    );
    let in_order = lives::lives(arguments.lives, false).await?;
    let shuffled = lives::lives(arguments.lives, true).await?;
    println!("timing new and late events …");
    let mut histories = Vec::new();
    for months in &arguments.months {
        histories.push(lives::history(*months, arguments.samples.div_ceil(4)).await?);
    }

    println!(
        "applying a backlog of {} usage reports, of one user and of many …",
        arguments.usage
    );
    let hot = usage::drain(arguments.usage, 1).await?;
    let spread = usage::drain(arguments.usage, arguments.usage.div_ceil(2)).await?;
    let used = usage::become_visible(arguments.samples).await?;

    let mut rows = vec![
        accepted_row(&arguments, &accepted),
        drained_row("in batches (default settings)", &drained),
        drained_row("one by one, in one lane", &single),
        visible_row(&visible),
        lives_row("in order", &in_order),
        lives_row("shuffled", &shuffled),
    ];
    rows.extend(histories.iter().flat_map(history_rows));
    rows.extend([
        usage_row("of one user", &hot),
        usage_row("two per user", &spread),
        row(
            "usage report: post to visible balance",
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
    println!("filling the tables, then timing pages …");
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
    let json = |page: &pages::PageTimes| json!({"page": page.name, "p50_us": micros(&page.times, 50), "p99_us": micros(&page.times, 99)});
    let report = json!({"machine": machine, "pages": pages.iter().map(json).collect::<Vec<_>>()});
    write("pages.json", &report)
}

async fn time_reconcile(machine: &Value, subscriptions: usize) -> Result<()> {
    println!("making {subscriptions} subscriptions, then running reconcile …");
    let compared = reconcile::reconcile(subscriptions).await?;
    let rows = ["none differs", "one in a hundred differs"].into_iter().zip(&compared);
    let row = |(how, run): (&str, &reconcile::ReconcileRun)| {
        vec![
            "reconcile: compared subscriptions".to_owned(),
            format!("{}, {how}", run.report["listed"]),
            format!("{} requests", run.report["requests"]),
            format!("{:.1} s", run.took.as_secs_f64()),
            format!("{} MiB", run.memory_kib / 1_024),
        ]
    };
    println!("\n{}", table(&rows.map(row).collect::<Vec<_>>()));
    let json = |run: &reconcile::ReconcileRun| json!({"report": run.report, "milliseconds": run.took.as_millis(), "memory_kib": run.memory_kib});
    let report = json!({"machine": machine, "runs": compared.iter().map(json).collect::<Vec<_>>()});
    write("reconcile.json", &report)
}

fn write(name: &str, report: &Value) -> Result<()> {
    let folder = repository().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(name);
    std::fs::write(&file, format!("{report:#}\n"))?;
    println!("\nReport: {}", file.display());
    Ok(())
}

fn row(title: &str, how: String, figure: String, times: &Times) -> Vec<String> {
    let mut row = vec![title.to_owned(), how, figure];
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
    row(
        "webhooks: accepted requests",
        how,
        format!("{rate} a second"),
        &accepted.times,
    )
}

fn drained_row(how: &str, drained: &Drained) -> Vec<String> {
    let rate = thousands(per_second(drained.events, drained.took));
    let how = format!("{} {how}", thousands(i64::try_from(drained.events).unwrap_or(i64::MAX)));
    row(
        "events: backlog to commit",
        how,
        format!("{rate} a second"),
        &Times::default(),
    )
}

fn usage_row(how: &str, drained: &Drained) -> Vec<String> {
    let mut row = drained_row(how, drained);
    "usage reports: backlog to commit".clone_into(&mut row[0]);
    row
}

fn visible_row(visible: &Times) -> Vec<String> {
    let how = format!("{} single events", visible.count());
    row("event: post to visible row", how, String::new(), visible)
}

fn drained_json(drained: &Drained) -> Value {
    json!({
        "events": drained.events,
        "seconds_thousandths": u64::try_from(drained.took.as_millis()).unwrap_or(u64::MAX),
        "events_per_second": per_second(drained.events, drained.took)
    })
}

fn lives_row(how: &str, lives: &LivesDrained) -> Vec<String> {
    let mut row = drained_row(&format!("of simulated customers, {how}"), &lives.drained);
    let (whole, rest) = (lives.slow_thousandths / 10, lives.slow_thousandths % 10);
    row.push(format!("{whole}.{rest} % late or tied"));
    row
}

fn lives_json(lives: &LivesDrained) -> Value {
    let mut report = drained_json(&lives.drained);
    report["slow_thousandths"] = json!(lives.slow_thousandths);
    report
}

fn history_rows(history: &HistoryTimes) -> [Vec<String>; 2] {
    [("new", &history.newest), ("late", &history.late)].map(|(which, times)| {
        let how = format!("{which} event after {} others of its customer", history.events);
        row("event: post to commit", how, String::new(), times)
    })
}

fn history_json(history: &HistoryTimes) -> Value {
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

/// The cores, the processor and the build profile. Figures of different machines cannot be compared.
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
        "text": format!("{cores} cores ({model}), shared by load, pair and servers; {profile} build")
    })
}
