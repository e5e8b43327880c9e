//! The figures of an audit in a file for Prometheus, because an audit ends before it
//! could be scraped. node-exporter's textfile collector reads the file.

use super::figures::AuditFigures;
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

/// Writes the figures to `path`. A reader sees either the old file or the new one.
///
/// # Errors
/// The file system's.
pub(super) fn write(path: &Path, figures: &AuditFigures, took: Duration) -> anyhow::Result<()> {
    let text = render(figures, took, now_ms() / 1_000)?;
    // In the same folder, because a rename works only within a file system. The
    // collector ignores it: it reads only files that end in .prom.
    let mut beside = OsString::from(path);
    beside.push(format!(".{}.tmp", std::process::id()));
    fs::write(&beside, text)
        .and_then(|()| fs::rename(&beside, path))
        .with_context(|| format!("cannot write the metrics to {}", path.display()))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "Prometheus has only floats, and these numbers are far below 2^52"
)]
fn render(figures: &AuditFigures, took: Duration, now_seconds: i64) -> prometheus::Result<Vec<u8>> {
    let registry = Registry::new();
    let values = [
        figures.differences as f64,
        figures.users as f64,
        figures.subscriptions as f64,
        figures.balances as f64,
        figures.facts as f64,
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
        let figures = AuditFigures {
            users: 12,
            differences: 3,
            ..AuditFigures::default()
        };
        let text = render(&figures, Duration::from_millis(1_500), 1_800_000_000).expect("names of metrics");
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
        let error = write(
            Path::new("/nowhere/audit.prom"),
            &AuditFigures::default(),
            Duration::ZERO,
        );
        let error = error.expect_err("no such folder").to_string();
        assert_eq!(error, "cannot write the metrics to /nowhere/audit.prom");
    }
}
