//! Reports the result of each delivery: one log line, the metrics, and a span of its trace.

use crate::{
    apply::transaction::ApplyOutcome,
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
        message::ParsedMessage,
        stripe::{EventKind, snapshot},
    },
    recent::{self, RecentFailure},
};
use shared::{
    message::{Meta, now_ms},
    settings::format_duration,
};
use std::time::Duration;

/// Reports a delivery once it is committed and, if it goes to another queue, published.
pub(crate) fn settled(delivery: &Delivery, disposition: &Disposition, context: &Context) {
    let message = &delivery.message;
    match disposition {
        Disposition::Settled(outcome @ (ApplyOutcome::Applied | ApplyOutcome::Ignored)) => {
            applied(message, *outcome, context);
        }
        Disposition::Settled(ApplyOutcome::Duplicate) => {
            count(message, "duplicate");
            tracing::debug!(
                event_id = message.envelope.id.as_str(),
                event_type = message.envelope.kind,
                "event was handled before; nothing changed"
            );
        }
        Disposition::Settled(ApplyOutcome::Dead) => {
            if let Some(refusal) = message.refusal() {
                dead(message, refusal.reason, &refusal.detail);
            }
        }
        Disposition::Exhausted(detail) => dead(message, Permanent::RetriesExhausted, detail),
        Disposition::Retry { delay, meta, error } => retried(message, *delay, *meta, error),
        // It is not settled yet.
        Disposition::SetAside { .. } | Disposition::Settled(ApplyOutcome::Busy) => return,
    }
    traced::export_span(message, disposition, &context.topology, delivery.delivered_at);
}

fn applied(message: &ParsedMessage, outcome: ApplyOutcome, context: &Context) {
    let (label, reason) = match &message.meaning {
        Ok(Meaning::Ignored(why)) => ("ignored", *why),
        _ => ("applied", ""),
    };
    count(message, label);
    let now = now_ms();
    observe_ages(message, now);
    tracing::info!(
        event_id = message.envelope.id.as_str(),
        event_type = message.envelope.kind,
        trace_id = message.meta.trace.map(|trace| trace.trace_id()),
        outcome = label,
        reason,
        age_ms = message.meta.received_at_ms.map(|at| now - at),
        "event settled"
    );
    if outcome == ApplyOutcome::Applied && context.reader.catalog.managed_payments() {
        warn_if_self_issued(message);
    }
}

/// Warns of an invoice that Managed Payments did not issue. Only for a catalog that sells
/// everything by Managed Payments.
fn warn_if_self_issued(message: &ParsedMessage) {
    if let Some(FactBody::Invoice(invoice)) = message.fact().map(|fact| &fact.body)
        && invoice.issued_by_self
    {
        metrics::SELF_ISSUED.inc();
        let (event_id, invoice) = (message.envelope.id.as_str(), invoice.invoice.as_str());
        tracing::warn!(event_id, invoice, "an invoice was issued outside Managed Payments");
    }
}

fn dead(message: &ParsedMessage, reason: Permanent, detail: &str) {
    let reason = reason.as_str();
    count(message, "dead");
    metrics::DEAD.with_label_values(&[reason]).inc();
    remember(message, "dead", detail.to_owned());
    tracing::error!(
        event_id = message.envelope.id.as_str(),
        event_type = message.envelope.kind,
        trace_id = message.meta.trace.map(|trace| trace.trace_id()),
        reason,
        detail,
        "event is dead"
    );
}

fn retried(message: &ParsedMessage, delay: Duration, meta: Meta, error: &str) {
    let wait = format_duration(delay);
    count(message, "retry");
    metrics::RETRIES.with_label_values(&[wait.as_str()]).inc();
    remember(
        message,
        "retry",
        format!("attempt {} failed: {error}; the next one is in {wait}", meta.attempts),
    );
    tracing::warn!(
        event_id = message.envelope.id.as_str(),
        event_type = message.envelope.kind,
        trace_id = message.meta.trace.map(|trace| trace.trace_id()),
        attempts = meta.attempts,
        retry_in_ms = delay.as_millis(),
        error,
        "event could not be applied; it will be tried again"
    );
}

/// Counts a delivery by event type. The type is `other` if the worker does not handle it.
fn count(message: &ParsedMessage, outcome: &str) {
    let kind = message.envelope.kind.as_str();
    let ours = kind == snapshot::KIND || matches!(message.meaning, Ok(Meaning::Usage(_)));
    let label = if ours || EventKind::of(kind).is_some() {
        kind
    } else {
        "other"
    };
    metrics::OUTCOMES.with_label_values(&[label, outcome]).inc();
}

/// Remembers a failure for the console.
fn remember(message: &ParsedMessage, outcome: &'static str, detail: String) {
    recent::add(RecentFailure {
        at_ms: now_ms(),
        event: message.envelope.id.to_string(),
        kind: message.envelope.kind.clone(),
        outcome,
        detail,
    });
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ages in milliseconds are far below 2^52, and a histogram only sorts them"
)]
fn observe_ages(message: &ParsedMessage, now_ms: i64) {
    if let Some(created) = message.envelope.created {
        metrics::AGE_CREATED.observe((now_ms - created * 1_000).max(0) as f64 / 1_000.0);
    }
    if let Some(received) = message.meta.received_at_ms {
        metrics::AGE_RECEIVED.observe((now_ms - received).max(0) as f64 / 1_000.0);
    }
}
