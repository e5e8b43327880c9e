//! What became of each delivery, for the logs and the metrics.

use crate::{
    apply::Next,
    metrics,
    process::{Prepared, Verdict},
    stripe::{Kind, Meaning},
};
use shared::message::now_ms;

/// Logs and counts what became of a delivery: one line per event, by its id.
pub(crate) fn settled(item: &Prepared, next: &Next) {
    let (id, kind) = (item.envelope.id.as_str(), item.envelope.kind.as_str());
    let known = Kind::of(kind).is_some() || matches!(item.meaning, Ok(Meaning::Used(_)));
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
                tracing::error!(
                    event_id = id,
                    event_type = kind,
                    trace_id,
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

#[expect(
    clippy::cast_precision_loss,
    reason = "ages in milliseconds are far below 2^52, and a histogram only sorts them"
)]
fn observe_ages(item: &Prepared, now_ms: i64) {
    if let Some(created) = item.envelope.created {
        metrics::AGE_CREATED
            .with_label_values::<&str>(&[])
            .observe((now_ms - created * 1_000).max(0) as f64 / 1_000.0);
    }
    if let Some(received) = item.meta.received_at_ms {
        metrics::AGE_RECEIVED
            .with_label_values::<&str>(&[])
            .observe((now_ms - received).max(0) as f64 / 1_000.0);
    }
}
