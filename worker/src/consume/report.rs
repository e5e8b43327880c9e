//! What became of each delivery: one log line, the metrics, and its trace.

use crate::{
    apply::transaction::Verdict,
    consume::{
        context::Context,
        delivery::{Delivery, Disposition},
        traced,
    },
    domain::fact::FactBody,
    failure::Permanent,
    metrics,
    read::{
        meaning::Meaning,
        prepared::Prepared,
        stripe::{EventKind, snapshot},
    },
    recent::{self, Failure},
};
use shared::{
    message::{Meta, now_ms},
    settings::format_duration,
};
use std::time::Duration;

/// Reports a delivery that is committed and, where it goes to another queue, published.
pub(crate) fn settled(delivery: &Delivery, disposition: &Disposition, context: &Context) {
    let item = &delivery.item;
    match disposition {
        Disposition::Settled(verdict @ (Verdict::Applied | Verdict::Ignored)) => applied(item, *verdict, context),
        Disposition::Settled(Verdict::Duplicate) => {
            count(item, "duplicate");
            tracing::debug!(
                event_id = item.envelope.id.as_str(),
                event_type = item.envelope.kind,
                "event known already"
            );
        }
        Disposition::Settled(Verdict::Dead) => {
            if let Some(refusal) = item.refusal() {
                dead(item, refusal.reason, &refusal.detail);
            }
        }
        Disposition::Exhausted(detail) => dead(item, Permanent::RetriesExhausted, detail),
        Disposition::Retry { delay, meta, error } => retried(item, *delay, *meta, error),
        // Not settled yet.
        Disposition::Aside { .. } | Disposition::Settled(Verdict::Busy) => return,
    }
    traced::settled(item, disposition, &context.topology.work(), delivery.delivered_at);
}

fn applied(item: &Prepared, verdict: Verdict, context: &Context) {
    let (outcome, reason) = match &item.meaning {
        Ok(Meaning::Ignored(why)) => ("ignored", *why),
        _ => ("applied", ""),
    };
    count(item, outcome);
    let now = now_ms();
    observe_ages(item, now);
    tracing::info!(
        event_id = item.envelope.id.as_str(),
        event_type = item.envelope.kind,
        trace_id = item.meta.trace.map(|trace| trace.trace_id()),
        outcome,
        reason,
        age_ms = item.meta.received_at_ms.map(|at| now - at),
        "event settled"
    );
    if verdict == Verdict::Applied && context.reader.catalog.managed_payments() {
        self_issued(item);
    }
}

/// Counts an invoice that Managed Payments did not issue, where the catalog says
/// that all is sold by it.
fn self_issued(item: &Prepared) {
    if let Some(FactBody::Invoice(invoice)) = item.fact().map(|fact| &fact.body)
        && invoice.issued_by_self
    {
        metrics::SELF_ISSUED.inc();
        let (event_id, invoice) = (item.envelope.id.as_str(), invoice.invoice.as_str());
        tracing::warn!(event_id, invoice, "an invoice was issued outside Managed Payments");
    }
}

fn dead(item: &Prepared, reason: Permanent, detail: &str) {
    let reason = reason.as_str();
    count(item, "dead");
    metrics::DEAD.with_label_values(&[reason]).inc();
    remember(item, "dead", detail.to_owned());
    tracing::error!(
        event_id = item.envelope.id.as_str(),
        event_type = item.envelope.kind,
        trace_id = item.meta.trace.map(|trace| trace.trace_id()),
        reason,
        detail,
        "event is dead"
    );
}

fn retried(item: &Prepared, delay: Duration, meta: Meta, error: &str) {
    let wait = format_duration(delay);
    count(item, "retry");
    metrics::RETRIES.with_label_values(&[wait.as_str()]).inc();
    remember(
        item,
        "retry",
        format!("attempt {} failed: {error}; the next one is in {wait}", meta.attempts),
    );
    tracing::warn!(
        event_id = item.envelope.id.as_str(),
        event_type = item.envelope.kind,
        trace_id = item.meta.trace.map(|trace| trace.trace_id()),
        attempts = meta.attempts,
        retry_in_ms = delay.as_millis(),
        error,
        "event could not be applied; it will be tried again"
    );
}

/// Counts a delivery, by its type if that is one of ours or of the handled ones.
fn count(item: &Prepared, outcome: &str) {
    let kind = item.envelope.kind.as_str();
    let ours = kind == snapshot::KIND || matches!(item.meaning, Ok(Meaning::Usage(_)));
    let label = if ours || EventKind::of(kind).is_some() {
        kind
    } else {
        "other"
    };
    metrics::OUTCOMES.with_label_values(&[label, outcome]).inc();
}

/// Keeps a failure for the console.
fn remember(item: &Prepared, outcome: &'static str, detail: String) {
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
