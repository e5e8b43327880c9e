//! The rows that record a message itself: the claim of its event id, and the record of a
//! dead letter.

use crate::{
    domain::ids::EventId,
    failure::Refusal,
    read::{customer, meaning::Meaning, message::ParsedMessage},
    store::{
        claim::EventClaim,
        dead_letter::{self, NewDeadLetter},
    },
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashSet};

/// The row of `billing.event` that claims the event id of a message.
pub(super) fn event_claim(message: &ParsedMessage, now_ms: i64) -> EventClaim<'_> {
    let (outcome, reason, fact) = match &message.meaning {
        Ok(Meaning::Fact(fact)) => ("applied", None, Some(fact.as_ref())),
        Ok(Meaning::Usage(_)) => ("applied", None, None),
        Ok(Meaning::Ignored(why)) => ("ignored", Some(*why), None),
        Ok(Meaning::NeedsLookup(lookup)) => ("dead", Some(lookup.unanswered.reason.as_str()), None),
        Err(refusal) => ("dead", Some(refusal.reason.as_str()), None),
    };
    let is_usage = matches!(message.meaning, Ok(Meaning::Usage(_)));
    EventClaim {
        event: &message.envelope.id,
        kind: &message.envelope.kind,
        created: message.envelope.created,
        received_at_ms: message.meta.received_at_ms.unwrap_or(now_ms),
        outcome,
        reason,
        // The ledger has everything that a usage report says.
        body: (!is_usage).then_some(&message.body),
        fact,
    }
}

/// Chooses one message per event id: the first readable one, or else a redelivered one.
/// Returns its index in the batch, by event id.
pub(super) fn one_per_id<'a>(batch: &[&'a ParsedMessage]) -> BTreeMap<&'a EventId, usize> {
    let mut by_id: BTreeMap<&EventId, usize> = BTreeMap::new();
    for (index, message) in batch.iter().enumerate() {
        let chosen = by_id.entry(&message.envelope.id).or_insert(index);
        let is_refused = batch[*chosen].refusal().is_some();
        let is_redelivered = message.redelivered && !batch[*chosen].redelivered;
        if is_refused && (message.refusal().is_none() || is_redelivered) {
            *chosen = index;
        }
    }
    by_id
}

/// Records the refused messages of a batch as dead letters. Returns the ids of those that
/// are not on the dead-letter queue yet. An earlier attempt may have recorded some of them
/// and stopped before it published them.
///
/// # Errors
/// An error of PostgreSQL's or the network's.
pub(super) async fn record_dead<'a>(
    connection: &mut PgConnection,
    batch: &[&'a ParsedMessage],
    by_id: &BTreeMap<&EventId, usize>,
    claimed: &HashSet<String>,
    now_ms: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    let refused: Vec<(&'a ParsedMessage, &'a Refusal)> = by_id
        .values()
        .filter_map(|i| Some((batch[*i], batch[*i].refusal()?)))
        .collect();
    if refused.is_empty() {
        return Ok(HashSet::new());
    }
    let record = |(message, refusal): &(&'a ParsedMessage, &'a Refusal)| dead_letter(message, refusal, now_ms);
    let is_new = |(message, _): &&(&ParsedMessage, &Refusal)| claimed.contains(message.envelope.id.as_str());
    let new: Vec<NewDeadLetter<'_>> = refused.iter().filter(is_new).map(record).collect();
    dead_letter::insert(connection, &new).await?;
    let replayed: Vec<NewDeadLetter<'_>> = refused
        .iter()
        .filter(|(message, _)| message.meta.replayed)
        .map(record)
        .collect();
    dead_letter::return_to_queue(connection, &replayed).await?;
    let ids: Vec<String> = refused
        .iter()
        .map(|(message, _)| message.envelope.id.to_string())
        .collect();
    Ok(dead_letter::unqueued(connection, &ids).await?.into_iter().collect())
}

fn dead_letter<'a>(message: &'a ParsedMessage, refusal: &'a Refusal, now_ms: i64) -> NewDeadLetter<'a> {
    let meta = message.meta.failed_at(now_ms);
    NewDeadLetter {
        event: &message.envelope.id,
        kind: &message.envelope.kind,
        reason: refusal.reason.as_str(),
        detail: &refusal.detail,
        attempts: meta.attempts,
        first_failed_ms: meta.first_failed_at_ms.unwrap_or(now_ms),
        last_failed_ms: now_ms,
        source: meta.source.as_str(),
        customer: customer::customer_of(&message.body, meta.source),
    }
}
