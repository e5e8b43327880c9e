//! `worker dead-letters show ID`: the whole record of one dead letter.

use super::{redact::redacted, words::rfc3339_seconds};
use crate::store::{
    action::{self, OperatorAction},
    dead_letter_queries::{self, DeadLetter, ReceivedEvent, RecordedFailure},
};
use anyhow::Context;
use serde_json::json;
use shared::terminal::printable;
use sqlx::{PgConnection, PgPool};
use std::io::{self, Write};
use time::OffsetDateTime;

/// Everything on record about a dead letter.
#[derive(Debug, Clone)]
pub struct DeadLetterHistory {
    /// The dead letter.
    pub dead_letter: DeadLetter,
    /// Each time a worker gave it up, in order.
    pub failures: Vec<RecordedFailure>,
    /// The actions of operators with it, in order.
    pub actions: Vec<OperatorAction>,
    /// The event as it was received, if it is still stored.
    pub received: Option<ReceivedEvent>,
}

/// Something that happened to a dead letter.
#[derive(Debug, Clone, Copy)]
pub enum DeadLetterStep<'a> {
    /// A worker gave it up.
    GivenUp(&'a RecordedFailure),
    /// An operator replayed or discarded it.
    Action(&'a OperatorAction),
}

impl DeadLetterStep<'_> {
    /// When it happened, or began.
    #[must_use]
    pub fn at(&self) -> OffsetDateTime {
        match self {
            Self::GivenUp(failure) => failure.at,
            Self::Action(action) => action.begun_at,
        }
    }
}

/// Reads the history of a dead letter. None if there is none with this id.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn history_of(connection: &mut PgConnection, id: &str) -> Result<Option<DeadLetterHistory>, sqlx::Error> {
    let found = dead_letter_queries::by_ids(&mut *connection, &[id.to_owned()]).await?;
    let Some(dead_letter) = found.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(DeadLetterHistory {
        dead_letter,
        failures: dead_letter_queries::failures_of(&mut *connection, id).await?,
        actions: action::actions_on(&mut *connection, id).await?,
        received: dead_letter_queries::received(connection, id).await?,
    }))
}

/// Prints one dead letter as text or as one JSON object. With `raw`, the payload is
/// printed as it was received, with secret and personal data.
///
/// # Errors
/// If no dead letter has this id. Also PostgreSQL's, or those of `out`.
pub async fn show(pool: &PgPool, id: &str, raw: bool, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let history = history_of(&mut *pool.acquire().await?, id).await?.with_context(|| {
        format!("{id}: no dead letter has this id; `worker dead-letters list` shows the open dead letters")
    })?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &history.as_json(raw))?;
        writeln!(out)?;
    } else {
        history.write(raw, out)?;
    }
    Ok(())
}

impl DeadLetterHistory {
    /// Everything that happened to the dead letter, in order.
    #[must_use]
    pub fn steps(&self) -> Vec<DeadLetterStep<'_>> {
        let failures = self.failures.iter().map(DeadLetterStep::GivenUp);
        let actions = self.actions.iter().map(DeadLetterStep::Action);
        let mut steps: Vec<DeadLetterStep<'_>> = failures.chain(actions).collect();
        steps.sort_by_key(DeadLetterStep::at);
        steps
    }

    /// The state, in a few words.
    #[must_use]
    pub fn state(&self) -> String {
        let dead_letter = &self.dead_letter;
        match (&dead_letter.resolution, dead_letter.resolved_at) {
            (Some(resolution), Some(at)) => format!("{resolution} at {}", rfc3339_seconds(at)),
            _ if dead_letter.queued => "waits for an operator".to_owned(),
            _ => "on the way: a worker or a retry queue has it".to_owned(),
        }
    }

    fn body(&self) -> Option<&[u8]> {
        self.received.as_ref()?.body.as_deref()
    }

    /// The payload as text, redacted unless `raw`.
    #[must_use]
    pub fn payload(&self, raw: bool) -> String {
        match self.body() {
            None => "not stored any more".to_owned(),
            Some(body) if raw => String::from_utf8_lossy(body).into_owned(),
            Some(body) => redacted(body),
        }
    }

    fn write(&self, raw: bool, out: &mut impl Write) -> io::Result<()> {
        let dead_letter = &self.dead_letter;
        let time = |at: Option<OffsetDateTime>| at.map(rfc3339_seconds).unwrap_or_default();
        let received = self.received.as_ref();
        for (name, value) in [
            ("event", dead_letter.id.clone()),
            ("type", dead_letter.kind.clone()),
            ("customer", dead_letter.customer.clone().unwrap_or_default()),
            ("source", dead_letter.source.clone()),
            ("created", time(received.and_then(|r| r.created))),
            ("received", time(received.map(|r| r.received_at))),
            ("first failed", rfc3339_seconds(dead_letter.first_failed)),
            ("last failed", rfc3339_seconds(dead_letter.last_failed)),
            ("attempts", dead_letter.attempts.to_string()),
            ("state", self.state()),
        ] {
            if !value.is_empty() {
                writeln!(out, "{name:13} {}", printable(&value))?;
            }
        }
        writeln!(out, "\nWhat happened")?;
        for step in self.steps() {
            let at = rfc3339_seconds(step.at());
            let line = match step {
                DeadLetterStep::GivenUp(f) => format!("{at}  {} (attempt {}): {}", f.reason, f.attempts, f.detail),
                DeadLetterStep::Action(a) => format!("{at}  {}", a.words()),
            };
            writeln!(out, "  {}", printable(&line))?;
        }
        writeln!(
            out,
            "\nPayload{}",
            if raw { "" } else { ", redacted; --raw shows everything" }
        )?;
        let payload = self.payload(raw);
        if raw {
            // Unchanged, so that another program can read it.
            return writeln!(out, "{payload}");
        }
        payload
            .lines()
            .try_for_each(|line| writeln!(out, "{}", printable(line)))
    }

    fn as_json(&self, raw: bool) -> serde_json::Value {
        let payload = self.payload(raw);
        // A payload that is not JSON is shown as a string.
        let payload = serde_json::from_str(&payload).unwrap_or(serde_json::Value::String(payload));
        json!({
            "dead_letter": self.dead_letter,
            "state": self.state(),
            "failures": self.failures,
            "actions": self.actions,
            "payload": payload,
        })
    }
}

impl OperatorAction {
    /// The action in words: what, by which operator, why, and with what outcome.
    #[must_use]
    pub fn words(&self) -> String {
        let why = self
            .why
            .as_ref()
            .map_or_else(String::new, |why| format!(" because \"{why}\""));
        let outcome = self.outcome.as_deref().unwrap_or("not finished");
        format!(
            "{} by {} ({}, action {}): {}{why}; {outcome}",
            self.action, self.operator, self.via, self.id, self.selection
        )
    }
}
