//! What became of each delivery, for the logs and the metrics.

use crate::{
    apply::Next,
    domain::fact::Said,
    metrics,
    process::{Prepared, Verdict},
    recent::{self, Failure},
    stripe::{Kind, Meaning, snapshot},
};
use shared::{message::now_ms, settings::format_duration};

/// Logs and counts what became of a delivery: one line per event, by its id.
pub(crate) fn settled(item: &Prepared, next: &Next) {
    let (id, kind) = (item.envelope.id.as_str(), item.envelope.kind.as_str());
    let ours = kind == snapshot::KIND || matches!(item.meaning, Ok(Meaning::Used(_)));
    let known = ours || Kind::of(kind).is_some();
    let label = if known { kind } else { "other" };
    let count = |outcome: &str| metrics::OUTCOMES.with_label_values(&[label, outcome]).inc();
    let now = now_ms();
    let age_ms = item.meta.received_at_ms.map(|at| now - at);
    let trace_id = item.meta.trace.map(|trace| trace.trace_id());
    match next {
        Next::Settled(Verdict::Applied | Verdict::Ignored) => {
            let (outcome, reason) = match &item.meaning {
                Ok(Meaning::Ignored(why)) => ("ignored", *why),
                _ => ("applied", ""),
            };
            count(outcome);
            observe_ages(item, now);
            tracing::info!(
                event_id = id,
                event_type = kind,
                trace_id,
                outcome,
                reason,
                age_ms,
                "event settled"
            );
        }
        Next::Settled(Verdict::Duplicate) => {
            count("duplicate");
            tracing::debug!(event_id = id, event_type = kind, "event known already");
        }
        Next::Settled(Verdict::Dead) => {
            count("dead");
            if let Err(refusal) = &item.meaning {
                note(item, "dead", refusal.detail.clone());
                tracing::error!(
                    event_id = id,
                    event_type = kind,
                    trace_id,
                    reason = refusal.reason.as_str(),
                    detail = refusal.detail,
                    "event is dead"
                );
            }
        }
        // Not settled yet.
        Next::Aside { .. } | Next::Settled(Verdict::Busy) => {}
        Next::Retry(delay, meta) => {
            count("retry");
            let (tries, wait) = (meta.attempts, format_duration(*delay));
            note(
                item,
                "retry",
                format!("try {tries} failed; the next one is in {wait}; the log says why"),
            );
            tracing::warn!(
                event_id = id,
                event_type = kind,
                trace_id,
                attempts = meta.attempts,
                retry_in_ms = delay.as_millis(),
                "event failed; it will be tried again"
            );
        }
        Next::Exhausted(detail) => {
            count("dead");
            note(item, "dead", detail.clone());
            tracing::error!(
                event_id = id,
                event_type = kind,
                trace_id,
                reason = "retries_exhausted",
                detail,
                "event is dead"
            );
        }
    }
}

/// Counts an invoice that Managed Payments, by which all is sold, did not issue.
pub(crate) fn managed(item: &Prepared, next: &Next) {
    let invoice = item.fact().map(|fact| &fact.said);
    if let (Next::Settled(Verdict::Applied), Some(Said::Invoice(invoice))) = (next, invoice)
        && invoice.issued_by_self
    {
        metrics::SELF_ISSUED.inc();
        let (event_id, invoice) = (item.envelope.id.as_str(), invoice.invoice.as_str());
        tracing::warn!(event_id, invoice, "an invoice was issued outside Managed Payments");
    }
}

/// Keeps a failure for who looks at the console.
fn note(item: &Prepared, outcome: &'static str, detail: String) {
    recent::note(Failure {
        at_ms: now_ms(),
        event: item.envelope.id.to_string(),
        kind: item.envelope.kind.clone(),
        outcome,
        detail,
    });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ages in milliseconds are far below 2^52, and a histogram only sorts them"
)]
fn observe_ages(item: &Prepared, now_ms: i64) {
    if let Some(created) = item.envelope.created {
        metrics::AGE_CREATED.observe((now_ms - created * 1_000).max(0) as f64 / 1_000.0);
    }
    if let Some(received) = item.meta.received_at_ms {
        metrics::AGE_RECEIVED.observe((now_ms - received).max(0) as f64 / 1_000.0);
    }
}
