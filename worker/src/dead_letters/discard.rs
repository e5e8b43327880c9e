//! `worker dead-letters discard`: removed for good, on record.

use super::{MoveError, Selection, Tools, Turn, take::Shelf};
use crate::store::{
    action::{self, Deed, Operator},
    dead_letter_queries,
};
use std::{collections::HashSet, fmt::Write};

/// What a discard did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Discarded {
    /// The action's number on record.
    pub action: i64,
    /// Dead letters that wait for nobody any more.
    pub letters: u64,
    /// Of these, how many a worker or a retry queue has: they may be applied yet.
    pub elsewhere: i64,
    /// Messages removed from the queue, those of dead letters resolved before
    /// too. None if that failed: they go with the next replay or discard.
    pub messages: Option<usize>,
}

/// Discards dead letters. Their record stays, with who did it and why; the event
/// is still applied if it comes again and can be.
///
/// # Errors
/// What was not discarded is where it was.
pub async fn discard(
    tools: &Tools,
    selection: &Selection,
    operator: &Operator,
    why: &str,
) -> Result<Discarded, MoveError> {
    let mut turn = Turn::take(tools).await?;
    let ids = selection.open(&mut turn.0).await?;
    let mut shelf = Shelf::open(&tools.broker, &tools.topology).await?;
    let action = turn
        .begin(operator, Deed::Discard, selection, Some(why), ids.len())
        .await?;
    // First the record: a message whose dead letter is resolved is removed by
    // whoever comes by next, if this process does not live to do it.
    let elsewhere = dead_letter_queries::elsewhere(&mut turn.0, &ids).await?;
    let letters = action::discard(&mut turn.0, action, &ids).await?;
    let removed = remove(&mut shelf, &mut turn, ids.into_iter().collect()).await;
    let mut outcome = match &removed {
        Ok(messages) => format!("{letters} discarded, {messages} messages removed"),
        Err(error) => format!("{letters} discarded; their messages stay for the next replay or discard: {error}"),
    };
    if let Some(warning) = warning(elsewhere) {
        let _ = write!(outcome, "; {warning}");
    }
    action::finish_action(&mut turn.0, action, &outcome).await?;
    tracing::info!(action, operator = operator.name, outcome, "dead letters discarded");
    if let Err(error) = shelf.close().await {
        tracing::debug!(%error, "the dead-letter queue could not be closed");
    }
    Ok(Discarded {
        action,
        letters,
        elsewhere,
        messages: removed.ok(),
    })
}

/// What whoever discards must know of those that a worker or a retry queue has.
#[must_use]
pub fn warning(elsewhere: i64) -> Option<String> {
    let verb = if elsewhere == 1 { "is" } else { "are" };
    (elsewhere > 0)
        .then(|| format!("{elsewhere} of them {verb} with a worker or in a retry queue, and may be applied yet"))
}

async fn remove(shelf: &mut Shelf, turn: &mut Turn, mut wanted: HashSet<String>) -> Result<usize, MoveError> {
    let mut removed = 0;
    while !wanted.is_empty() {
        let Some((id, delivery)) = shelf.next().await? else {
            break;
        };
        if wanted.remove(&id) {
            shelf.remove(&delivery.acker).await?;
            removed += 1;
        } else {
            shelf.keep(id, delivery);
        }
    }
    Ok(removed + shelf.remove_resolved(&mut turn.0).await?)
}
