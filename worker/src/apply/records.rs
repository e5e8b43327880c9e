//! Rows that a delivery writes about itself: the claim of its event id, and the
//! record of a dead letter.

use crate::{
    domain::ids::EventId,
    failure::Refusal,
    read::{customer, meaning::Meaning, prepared::Prepared},
    store::{
        claim::EventClaim,
        dead_letter::{self, NewDeadLetter},
    },
};
use sqlx::PgConnection;
use std::collections::{BTreeMap, HashSet};

/// The row of `billing.event` that a delivery claims.
pub(super) fn claim(item: &Prepared, now_ms: i64) -> EventClaim<'_> {
    let (outcome, reason, fact) = match &item.meaning {
        Ok(Meaning::Fact(fact)) => ("applied", None, Some(fact.as_ref())),
        Ok(Meaning::Usage(_)) => ("applied", None, None),
        Ok(Meaning::Ignored(why)) => ("ignored", Some(*why), None),
        Ok(Meaning::NeedsLookup(lookup)) => ("dead", Some(lookup.unanswered.reason.as_str()), None),
        Err(refusal) => ("dead", Some(refusal.reason.as_str()), None),
    };
    let is_usage = matches!(item.meaning, Ok(Meaning::Usage(_)));
    EventClaim {
        event: &item.envelope.id,
        kind: &item.envelope.kind,
        created: item.envelope.created,
        received_at_ms: item.meta.received_at_ms.unwrap_or(now_ms),
        outcome,
        reason,
        // The ledger holds all that a report of usage says.
        body: (!is_usage).then_some(&item.body),
        fact,
    }
}

/// One delivery per event id: the first readable one; if none is, a redelivered
/// one. Returns its place in the batch, sorted by id.
pub(super) fn one_per_id<'a>(batch: &[&'a Prepared]) -> BTreeMap<&'a EventId, usize> {
    let mut by_id: BTreeMap<&EventId, usize> = BTreeMap::new();
    for (index, item) in batch.iter().enumerate() {
        let chosen = by_id.entry(&item.envelope.id).or_insert(index);
        let is_refused = batch[*chosen].refusal().is_some();
        let is_redelivered = item.again && !batch[*chosen].again;
        if is_refused && (item.refusal().is_none() || is_redelivered) {
            *chosen = index;
        }
    }
    by_id
}

/// Records the refused deliveries of a batch as dead. Returns the ids whose
/// message has yet to reach the dead-letter queue; an earlier attempt may have
/// recorded them and stopped there.
///
/// # Errors
/// PostgreSQL's or the network's.
pub(super) async fn record_dead<'a>(
    connection: &mut PgConnection,
    batch: &[&'a Prepared],
    by_id: &BTreeMap<&EventId, usize>,
    claimed: &HashSet<String>,
    now_ms: i64,
) -> Result<HashSet<String>, sqlx::Error> {
    let refused: Vec<(&'a Prepared, &'a Refusal)> = by_id
        .values()
        .filter_map(|i| Some((batch[*i], batch[*i].refusal()?)))
        .collect();
    if refused.is_empty() {
        return Ok(HashSet::new());
    }
    let record = |(item, refusal): &(&'a Prepared, &'a Refusal)| dead_letter(item, refusal, now_ms);
    let is_new = |(item, _): &&(&Prepared, &Refusal)| claimed.contains(item.envelope.id.as_str());
    let new: Vec<NewDeadLetter<'_>> = refused.iter().filter(is_new).map(record).collect();
    dead_letter::insert(connection, &new).await?;
    let replayed: Vec<NewDeadLetter<'_>> = refused
        .iter()
        .filter(|(item, _)| item.meta.replayed)
        .map(record)
        .collect();
    dead_letter::return_to_queue(connection, &replayed).await?;
    let ids: Vec<String> = refused.iter().map(|(item, _)| item.envelope.id.to_string()).collect();
    Ok(dead_letter::unqueued(connection, &ids).await?.into_iter().collect())
}

fn dead_letter<'a>(item: &'a Prepared, refusal: &'a Refusal, now_ms: i64) -> NewDeadLetter<'a> {
    let meta = item.meta.failed_at(now_ms);
    NewDeadLetter {
        event: &item.envelope.id,
        kind: &item.envelope.kind,
        reason: refusal.reason.as_str(),
        detail: &refusal.detail,
        attempts: meta.attempts,
        first_failed_ms: meta.first_failed_at_ms.unwrap_or(now_ms),
        last_failed_ms: now_ms,
        source: meta.source.as_str(),
        customer: customer::customer(&item.body, meta.source),
    }
}
