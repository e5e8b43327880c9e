//! The figures of an audit for Prometheus, in a file: an audit ends before
//! anybody could scrape it. node-exporter's textfile collector reads it.

use super::Audited;
use anyhow::Context;
use prometheus::{Encoder, Gauge, Registry, TextEncoder};
use shared::{message::now_ms, metrics::Row};
use std::{ffi::OsString, fs, path::Path, time::Duration};

/// The metrics in the file, each a gauge.
pub static ROWS: [Row; 7] = [
    Row::new(
        "tollbridge_audit_differences",
        "Rows that differ from what the events say, at the last audit.",
    ),
    Row::new("tollbridge_audit_users", "Users that the last audit compared."),
    Row::new(
        "tollbridge_audit_subscriptions",
        "Subscriptions that the last audit compared.",
    ),
    Row::new("tollbridge_audit_balances", "Balances that the last audit compared."),
    Row::new("tollbridge_audit_facts", "Facts that the last audit read."),
    Row::new("tollbridge_audit_duration_seconds", "Seconds that the last audit took."),
    Row::new(
        "tollbridge_audit_last_run_timestamp_seconds",
        "When the last audit came to its end, in Unix time.",
    ),
];

/// Writes the figures to `path`, whole or not at all: a reader sees the figures
/// before or these.
///
/// # Errors
/// The file system's.
pub(super) fn write(path: &Path, audited: &Audited, took: Duration) -> anyhow::Result<()> {
    let text = render(audited, took, now_ms() / 1_000)?;
    // Beside it, since a file can be renamed only within its file system. The
    // collector reads only what ends in .prom.
    let mut beside = OsString::from(path);
    beside.push(format!(".{}.tmp", std::process::id()));
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write the metrics to {}", path.display()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has nothing but floats, and these are far below 2^52"
)]
fn render(audited: &Audited, took: Duration, now_seconds: i64) -> prometheus::Result<Vec<u8>> {
    let registry = Registry::new();
    let values = [
        audited.differences as f64,
        audited.users as f64,
        audited.subscriptions as f64,
        audited.balances as f64,
        audited.facts as f64,
        took.as_secs_f64(),
        now_seconds as f64,
    ];
    for (row, value) in ROWS.iter().zip(values) {
        let gauge = Gauge::new(row.name, row.meaning)?;
        gauge.set(value);
        registry.register(Box::new(gauge))?;
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_a_gauge_of_its_own() {
        let audited = Audited {
            users: 12,
            differences: 3,
            ..Audited::default()
        };
        let text = render(&audited, Duration::from_millis(1_500), 1_800_000_000).expect("names of metrics");
        let text = String::from_utf8(text).expect("text");
        for line in [
            "# TYPE tollbridge_audit_differences gauge",
            "tollbridge_audit_differences 3",
            "tollbridge_audit_users 12",
            "tollbridge_audit_duration_seconds 1.5",
            "tollbridge_audit_last_run_timestamp_seconds 1800000000",
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = write(Path::new("/nowhere/audit.prom"), &Audited::default(), Duration::ZERO);
        let error = error.expect_err("no such folder").to_string();
        assert_eq!(error, "cannot write the metrics to /nowhere/audit.prom");
    }
}
