//! `worker dead-letters discard`: removes dead letters for good. The record stays.

use super::{error::MoveError, lock::MoveLock, queue::DeadLetterQueue, selection::Selection, tools::MoveTools};
use crate::{
    plural::counted,
    store::{
        action::{self, ActionKind, Operator},
        dead_letter_queries,
    },
};
use std::{collections::HashSet, fmt::Write};

/// The result of a discard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DiscardReport {
    /// The number of the action on record.
    pub action: i64,
    /// Dead letters that were discarded.
    pub discarded: u64,
    /// Those among them that a worker or a retry queue has. They may still be applied.
    pub elsewhere: i64,
    /// Messages removed from the queue, also those of dead letters that were resolved
    /// before. None if that failed: a worker removes them later.
    pub messages: Option<usize>,
}

/// Discards dead letters. The record stays, with the operator and the reason. If an
/// event comes again and can be applied then, it is applied.
///
/// # Errors
/// See [`MoveError`]. Dead letters that were not discarded are unchanged.
pub async fn discard(
    tools: &MoveTools,
    selection: &Selection,
    operator: &Operator,
    why: &str,
) -> Result<DiscardReport, MoveError> {
    let mut lock = MoveLock::take(tools).await?;
    let ids = selection.open_ids(&mut lock.session).await?;
    let mut queue = DeadLetterQueue::open(&tools.broker, &tools.topology).await?;
    let action = lock
        .begin(operator, ActionKind::Discard, selection, Some(why), ids.len())
        .await?;
    // The record comes first. If this process dies before it removes a message, the
    // next sweep removes it, because its dead letter is resolved.
    let elsewhere = dead_letter_queries::elsewhere(&mut lock.session, &ids).await?;
    let discarded = action::discard(&mut lock.session, action, &ids).await?;
    let removed = remove(&mut queue, &mut lock, ids.iter().cloned().collect()).await;
    if removed.is_ok() {
        dead_letter_queries::unqueue(&mut lock.session, &ids).await?;
    }
    let mut outcome = match &removed {
        Ok(messages) => {
            let messages = counted(*messages, "message", "messages");
            format!("{discarded} discarded, {messages} removed")
        }
        Err(error) => {
            format!("{discarded} discarded; a worker removes the messages later: {error}")
        }
    };
    if let Some(warning) = warning(elsewhere) {
        let _ = write!(outcome, "; {warning}");
    }
    action::finish_action(&mut lock.session, action, &outcome).await?;
    tracing::info!(action, operator = operator.name, outcome, "dead letters discarded");
    if let Err(error) = queue.close().await {
        tracing::debug!(%error, "the connection to the dead-letter queue did not close cleanly");
    }
    Ok(DiscardReport {
        action,
        discarded,
        elsewhere,
        messages: removed.ok(),
    })
}

/// The warning for discarded dead letters that a worker or a retry queue has. None
/// if there are none.
#[must_use]
pub fn warning(elsewhere: i64) -> Option<String> {
    let verb = if elsewhere == 1 { "is" } else { "are" };
    (elsewhere > 0)
        .then(|| format!("{elsewhere} of them {verb} with a worker or in a retry queue, and may still be applied"))
}

async fn remove(
    queue: &mut DeadLetterQueue,
    lock: &mut MoveLock,
    mut wanted: HashSet<String>,
) -> Result<usize, MoveError> {
    let mut removed = 0;
    while !wanted.is_empty() {
        let Some((id, delivery)) = queue.next().await? else {
            break;
        };
        if wanted.remove(&id) {
            queue.remove(&delivery.acker).await?;
            removed += 1;
        } else {
            queue.keep(id, delivery);
        }
    }
    Ok(removed + queue.remove_resolved(&mut lock.session).await?)
}
