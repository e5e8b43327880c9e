//! `worker dead-letters list`: reads the record in PostgreSQL and touches no queue.

use super::words::rfc3339_seconds;
use crate::store::dead_letter_queries::{self, DeadLetter, DeadLetterFilter};
use shared::terminal::printable;
use sqlx::PgPool;
use std::io::{self, Write};

/// Prints the open dead letters, oldest first, as a table or one JSON array.
///
/// # Errors
/// PostgreSQL's, or those of `out`.
pub async fn list(pool: &PgPool, filter: &DeadLetterFilter, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let dead_letters = dead_letter_queries::list(&mut *pool.acquire().await?, filter).await?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &dead_letters)?;
        writeln!(out)?;
    } else {
        table(&dead_letters, out)?;
    }
    Ok(())
}

fn table(dead_letters: &[DeadLetter], out: &mut impl Write) -> io::Result<()> {
    if dead_letters.is_empty() {
        return writeln!(out, "No dead letters.");
    }
    let head = [
        "ID",
        "TYPE",
        "REASON",
        "CUSTOMER",
        "ATTEMPTS",
        "FIRST FAILED",
        "LAST FAILED",
        "DETAIL",
    ]
    .map(str::to_owned);
    let rows: Vec<[String; 8]> = std::iter::once(head)
        .chain(dead_letters.iter().map(|d| {
            let kind = if d.kind.is_empty() { "-" } else { &d.kind };
            let texts = [
                &d.id,
                kind,
                &d.reason,
                d.customer.as_deref().unwrap_or("-"),
                &d.attempts.to_string(),
                &rfc3339_seconds(d.first_failed),
                &rfc3339_seconds(d.last_failed),
                &d.detail,
            ];
            texts.map(printable)
        }))
        .collect();
    let mut widths = [0; 8];
    for row in &rows {
        for (width, text) in widths.iter_mut().zip(row) {
            *width = (*width).max(text.chars().count());
        }
    }
    for row in &rows {
        let cells: Vec<String> = row
            .iter()
            .zip(widths)
            .map(|(text, width)| format!("{text:width$}"))
            .collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_aligns_its_columns_and_shows_no_control_character() {
        let dead_letter = |id: &str, kind: &str| DeadLetter {
            id: id.to_owned(),
            kind: kind.to_owned(),
            reason: "malformed".to_owned(),
            detail: "not \u{1b}[31mJSON".to_owned(),
            attempts: 1,
            first_failed: time::macros::datetime!(2026-11-23 3:00:00.5 UTC),
            last_failed: time::macros::datetime!(2026-11-23 3:00:01 UTC),
            source: "webhook".to_owned(),
            customer: Some("cus_1".to_owned()),
            queued: true,
            resolved_at: None,
            resolution: None,
        };
        let mut out = Vec::new();
        table(
            &[dead_letter("evt_1", "invoice.paid"), dead_letter("evt_22", "")],
            &mut out,
        )
        .expect("memory");
        let text = String::from_utf8(out).expect("text");
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1],
            "evt_1   invoice.paid  malformed  cus_1     1         2026-11-23T03:00:00Z  2026-11-23T03:00:01Z  not \u{fffd}[31mJSON"
        );
        assert!(lines[2].starts_with("evt_22  -             malformed"), "{}", lines[2]);
    }
}
