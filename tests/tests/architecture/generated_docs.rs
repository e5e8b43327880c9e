//! `docs/configure.md` and `docs/metrics.md` are printed from the tables of the code, so that no
//! setting and no metric is missing there. `make docs` writes them.

use shared::metrics::{Described as Metric, Row};
use shared::settings::{DescribedSetting as Setting, Fallback, Group, Program, Settings};
use std::path::{Path, PathBuf};
use tests::harness::repository;
use worker::audit::textfile;

const PROGRAMS: [&Program; 3] = [
    &ingest::config::PROGRAM,
    &worker::config::PROGRAM,
    &provision::cli::PROGRAM,
];

const CONFIGURE: &str = "\
# Settings

<!-- Printed by `make docs` from the code. Do not edit. -->

Every setting is an environment variable, read once at the start. A setting that is missing or cannot be used ends
the process with exit code 2 and one line that names it. `--help` lists the settings of one program.

A secret may also come from a file: set `NAME_FILE` to the path of the file, such as `DATABASE_URL_FILE`, and not
`NAME`. A length of time is a whole number and a unit: `500ms`, `20s`, `5m`, `2h`.

Memory is bounded: in ingest by `MAX_CONNECTIONS` times twice `BODY_LIMIT_BYTES` (2 GiB with the defaults, if every
connection sends the largest body at once), in a worker by `LANES` times `PREFETCH` bodies of that size (1.6 GB).
Real events have a few KB. provision reads the settings of RabbitMQ for `test-clock events --publish` alone.
";

const METRICS: &str = "\
# Metrics

<!-- Printed by `make docs` from the code. Do not edit. -->

Each process serves its metrics as `GET /metrics` on its private listener (`OPS_ADDR`), in Prometheus's text format,
and the `process_…` metrics of the operating system beside them. A name ends in its unit; `_total` only grows. A
series starts at 0 with the process, but for values that are read from PostgreSQL or RabbitMQ: these appear when
they are known. The alerts in [`deploy/prometheus/alerts.yml`](../deploy/prometheus/alerts.yml) and the
[runbook](runbook.md) use these names.
";

/// All tables of metrics, with their headings.
fn tables() -> [(&'static str, &'static [&'static dyn Metric]); 4] {
    [
        ("ingest and worker", shared::metrics::METRICS),
        ("ingest", ingest::metrics::METRICS),
        ("worker", worker::metrics::METRICS),
        ("worker: requests to Stripe's API", stripe_api::metrics::METRICS),
    ]
}

#[test]
fn the_page_of_settings_is_what_the_programs_read() {
    check("docs/configure.md", &configure());
}

#[test]
fn the_page_of_metrics_is_what_the_processes_show() {
    check("docs/metrics.md", &metrics());
}

#[test]
fn every_setting_is_in_the_list_of_a_program() {
    let statics = lines();
    let of_setting = |line: &String| {
        let (name, form) = line.split_once("static ")?.1.split_once(": ")?;
        form.starts_with("Setting<").then(|| name.to_owned())
    };
    let names: Vec<String> = statics.iter().filter_map(of_setting).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let listed = |program: &&Program| program.settings.iter().any(|setting| setting.name() == name);
        // Settings of tests.
        let is_test = ["LANES", "TOKEN"].contains(&name.as_str());
        assert!(is_test || PROGRAMS.iter().any(listed), "{name} is in no program's list");
    }
}

#[test]
fn every_table_of_metrics_is_on_the_page() {
    let code = lines();
    let declared = code
        .iter()
        .filter(|line| line.trim_start().starts_with("pub static") && line.ends_with("METRICS;"));
    assert_eq!(declared.count(), tables().len());
}

/// All lines of the programs' Rust files.
fn lines() -> Vec<String> {
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in ["shared", "ingest/src", "worker/src", "deploy/provision/src"] {
        collect(&repository().join(folder), &mut files);
    }
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("a source can be read");
    let all = files.iter().map(read);
    all.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder can be read") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

/// Compares a page with the committed one, or writes it if `UPDATE_DOCS` is set.
fn check(page: &str, text: &str) {
    let path = repository().join(page);
    if Settings::from_process().variable("UPDATE_DOCS").is_some() {
        std::fs::write(&path, text).expect("a page can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == text, "{page} is not what the code says; run `make docs`");
}

fn configure() -> String {
    let mut parts = vec![CONFIGURE.to_owned()];
    for group in Group::ALL {
        let mut rows: Vec<(&dyn Setting, Vec<&str>)> = Vec::new();
        for program in PROGRAMS {
            for setting in program.of_group(group) {
                let same = |(row, _): &&mut (&dyn Setting, Vec<&str>)| {
                    (row.name(), row.default()) == (setting.name(), setting.default())
                };
                match rows.iter_mut().find(same) {
                    Some((_, readers)) => readers.push(program.name),
                    None => rows.push((setting, vec![program.name])),
                }
            }
        }
        parts.push(format!(
            "## {}\n\n| setting | read by | default | allowed | meaning |\n|---|---|---|---|---|\n{}\n",
            group.title(),
            rows.iter().map(setting_row).collect::<Vec<_>>().join("\n")
        ));
    }
    parts.join("\n")
}

fn setting_row((setting, readers): &(&dyn Setting, Vec<&str>)) -> String {
    let default = match setting.default() {
        Fallback::Required => "required".to_owned(),
        Fallback::None => "none".to_owned(),
        Fallback::Value(text) => format!("`{text}`"),
        Fallback::Computed(words) => words.to_owned(),
    };
    let secret = if setting.is_secret() { " (secret)" } else { "" };
    row(&[
        &format!("`{}`{secret}", setting.name()),
        &readers.join(", "),
        &default,
        &setting.allowed(),
        setting.meaning(),
    ])
}

fn metrics() -> String {
    let section = |title: &str, rows: Vec<String>| {
        format!(
            "## {title}\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n{}\n",
            rows.join("\n")
        )
    };
    let mut parts = vec![METRICS.to_owned()];
    for (title, table) in tables() {
        let rows = table.iter().map(|metric| metric_row(metric.row(), metric.kind()));
        parts.push(section(title, rows.collect()));
    }
    let rows = textfile::ROWS.iter().map(|row| metric_row(row, "gauge"));
    parts.push(section("worker audit --metrics FILE", rows.collect()));
    parts.join("\n")
}

fn metric_row(of: &Row, kind: &str) -> String {
    let labels = of.labels.iter().map(|label| {
        let values: Vec<String> = label.values.iter().map(|value| format!("`{value}`")).collect();
        let colon = if values.is_empty() { "" } else { ": " };
        format!("`{}`{colon}{}", label.name, values.join(", "))
    });
    row(&[
        &format!("`{}`", of.name),
        kind,
        unit(of),
        &labels.collect::<Vec<_>>().join("; "),
        of.meaning,
    ])
}

/// By the end of the name, as Prometheus's page "Metric and label naming" has it.
fn unit(of: &Row) -> &'static str {
    match of.name {
        name if name.ends_with("_timestamp_seconds") => "seconds since 1970",
        name if name.ends_with("_seconds") => "seconds",
        name if name.ends_with("_bytes") => "bytes",
        _ if of.meaning.starts_with("1 while") => "0 or 1",
        _ => "count",
    }
}

fn row(cells: &[&str]) -> String {
    let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
    format!("| {} |", cells.join(" | "))
}
