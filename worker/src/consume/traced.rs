//! The span of a delivery in the trace of its event. It lasts from the delivery until the
//! delivery is settled.

use crate::{
    apply::transaction::ApplyOutcome,
    consume::delivery::Disposition,
    read::{meaning::Meaning, message::ParsedMessage},
};
use shared::{
    topology::Topology,
    trace::{Role, Span, exporting},
};
use std::time::SystemTime;

/// Exports the span of a delivery, with its outcome. It ends now.
pub(crate) fn export_span(
    message: &ParsedMessage,
    disposition: &Disposition,
    topology: &Topology,
    delivered: SystemTime,
) {
    if !exporting() {
        return;
    }
    let Some((outcome, problem)) = outcome(message, disposition) else {
        return;
    };
    let mut span = Span::begin(
        format!("process {}", topology.work()),
        Role::Consumer,
        message.meta.trace,
        delivered,
    );
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.type", "process");
    span.set("messaging.destination.name", topology.work());
    span.set("messaging.message.id", message.envelope.id.to_string());
    span.set("tollbridge.event.type", message.envelope.kind.clone());
    span.set("tollbridge.outcome", outcome);
    span.set("tollbridge.attempts", message.meta.attempts);
    if let Some(problem) = problem {
        span.fail(problem);
    }
    span.end();
}

fn outcome(message: &ParsedMessage, disposition: &Disposition) -> Option<(&'static str, Option<String>)> {
    let outcome = match disposition {
        Disposition::SetAside { .. } | Disposition::Settled(ApplyOutcome::Busy) => return None,
        Disposition::Settled(ApplyOutcome::Applied | ApplyOutcome::Ignored)
            if matches!(message.meaning, Ok(Meaning::Ignored(_))) =>
        {
            ("ignored", None)
        }
        Disposition::Settled(ApplyOutcome::Applied | ApplyOutcome::Ignored) => ("applied", None),
        Disposition::Settled(ApplyOutcome::Duplicate) => ("duplicate", None),
        Disposition::Settled(ApplyOutcome::Dead) => {
            let reason = message.refusal().map(|refusal| refusal.reason.as_str());
            ("dead", reason.map(str::to_owned))
        }
        Disposition::Exhausted(_) => ("dead", Some("retries_exhausted".to_owned())),
        Disposition::Retry { delay, .. } => ("retry", Some(format!("tried again in {} ms", delay.as_millis()))),
    };
    Some(outcome)
}
