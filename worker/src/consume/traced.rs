//! What a delivery leaves in its event's trace: a span from the delivery to the
//! moment when it was settled.

use crate::{
    apply::transaction::Verdict,
    consume::delivery::Disposition,
    read::{meaning::Meaning, prepared::Prepared},
};
use shared::trace::{Role, Span, exporting};
use std::time::SystemTime;

/// Exports the span of a delivery that is settled, or goes to another queue.
pub(crate) fn settled(item: &Prepared, next: &Disposition, queue: &str, delivered: SystemTime) {
    if !exporting() {
        return;
    }
    let Some((outcome, problem)) = outcome(item, next) else {
        return;
    };
    let mut span = Span::begin(format!("process {queue}"), Role::Consumer, item.meta.trace, delivered);
    span.set("messaging.system", "rabbitmq");
    span.set("messaging.operation.type", "process");
    span.set("messaging.destination.name", queue.to_owned());
    span.set("messaging.message.id", item.envelope.id.to_string());
    span.set("tollbridge.event.type", item.envelope.kind.clone());
    span.set("tollbridge.outcome", outcome);
    span.set("tollbridge.attempts", item.meta.attempts);
    if let Some(problem) = problem {
        span.fail(problem);
    }
    span.end();
}

fn outcome(item: &Prepared, next: &Disposition) -> Option<(&'static str, Option<String>)> {
    let outcome = match next {
        Disposition::Aside { .. } | Disposition::Settled(Verdict::Busy) => return None,
        Disposition::Settled(Verdict::Applied | Verdict::Ignored)
            if matches!(item.meaning, Ok(Meaning::Ignored(_))) =>
        {
            ("ignored", None)
        }
        Disposition::Settled(Verdict::Applied | Verdict::Ignored) => ("applied", None),
        Disposition::Settled(Verdict::Duplicate) => ("duplicate", None),
        Disposition::Settled(Verdict::Dead) => {
            let reason = item.refusal().map(|refusal| refusal.reason.as_str());
            ("dead", reason.map(str::to_owned))
        }
        Disposition::Exhausted(_) => ("dead", Some("retries_exhausted".to_owned())),
        Disposition::Retry { delay, .. } => ("retry", Some(format!("tried again in {} ms", delay.as_millis()))),
    };
    Some(outcome)
}
