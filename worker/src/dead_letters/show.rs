//! `worker dead-letters show ID`: all that is known of one, from the record.

use super::{at_second, redact::redacted};
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

/// All that is known of a dead letter.
#[derive(Debug, Clone)]
pub struct Shown {
    /// Its record.
    pub letter: DeadLetter,
    /// Every time that it was given up, in order.
    pub failures: Vec<RecordedFailure>,
    /// What operators did with it, in order.
    pub actions: Vec<OperatorAction>,
    /// The event as it was received.
    pub received: Option<ReceivedEvent>,
}

/// Something that happened to a dead letter.
#[derive(Debug, Clone, Copy)]
pub enum Step<'a> {
    /// It was given up.
    Failed(&'a RecordedFailure),
    /// An operator did something with it.
    Touched(&'a OperatorAction),
}

impl Step<'_> {
    /// When.
    #[must_use]
    pub fn at(&self) -> OffsetDateTime {
        match self {
            Self::Failed(failure) => failure.at,
            Self::Touched(action) => action.begun_at,
        }
    }
}

/// Reads all that is known of a dead letter.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn look(connection: &mut PgConnection, id: &str) -> Result<Option<Shown>, sqlx::Error> {
    let letters = dead_letter_queries::letters(&mut *connection, &[id.to_owned()]).await?;
    let Some(letter) = letters.into_iter().next() else {
        return Ok(None);
    };
    Ok(Some(Shown {
        letter,
        failures: dead_letter_queries::failures_of(&mut *connection, id).await?,
        actions: action::actions_on(&mut *connection, id).await?,
        received: dead_letter_queries::received(connection, id).await?,
    }))
}

/// Prints one dead letter: text, or one JSON object. `raw`: its payload as it
/// came, with all that is secret or personal.
///
/// # Errors
/// When there is none of this id, or PostgreSQL's, or those of `out`.
pub async fn show(pool: &PgPool, id: &str, raw: bool, json: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let shown = look(&mut *pool.acquire().await?, id)
        .await?
        .with_context(|| format!("{id}: no dead letter has this id; `worker dead-letters list` shows what is open"))?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &shown.as_json(raw))?;
        writeln!(out)?;
    } else {
        shown.write(raw, out)?;
    }
    Ok(())
}

impl Shown {
    /// All that happened to it, in order.
    #[must_use]
    pub fn journey(&self) -> Vec<Step<'_>> {
        let failures = self.failures.iter().map(Step::Failed);
        let mut steps: Vec<Step<'_>> = failures.chain(self.actions.iter().map(Step::Touched)).collect();
        steps.sort_by_key(Step::at);
        steps
    }

    /// In a few words, where it stands.
    #[must_use]
    pub fn state(&self) -> String {
        let letter = &self.letter;
        match (&letter.resolution, letter.resolved_at) {
            (Some(how), Some(at)) => format!("{how} at {}", at_second(at)),
            _ if letter.queued => "waits for an operator".to_owned(),
            _ => "on its way: a worker or a retry queue has it".to_owned(),
        }
    }

    fn body(&self) -> Option<&[u8]> {
        self.received.as_ref()?.body.as_deref()
    }

    /// Its payload for people.
    #[must_use]
    pub fn payload(&self, raw: bool) -> String {
        match self.body() {
            None => "not stored any more".to_owned(),
            Some(body) if raw => String::from_utf8_lossy(body).into_owned(),
            Some(body) => redacted(body),
        }
    }

    fn write(&self, raw: bool, out: &mut impl Write) -> io::Result<()> {
        let letter = &self.letter;
        let time = |at: Option<OffsetDateTime>| at.map(at_second).unwrap_or_default();
        let received = self.received.as_ref();
        for (name, value) in [
            ("event", letter.id.clone()),
            ("type", letter.kind.clone()),
            ("customer", letter.customer.clone().unwrap_or_default()),
            ("source", letter.source.clone()),
            ("created", time(received.and_then(|r| r.created))),
            ("received", time(received.map(|r| r.received_at))),
            ("first failed", at_second(letter.first_failed)),
            ("last failed", at_second(letter.last_failed)),
            ("attempts", letter.attempts.to_string()),
            ("state", self.state()),
        ] {
            if !value.is_empty() {
                writeln!(out, "{name:13} {}", printable(&value))?;
            }
        }
        writeln!(out, "\nWhat happened")?;
        for step in self.journey() {
            let at = at_second(step.at());
            let line = match step {
                Step::Failed(f) => format!("{at}  {} (attempt {}): {}", f.reason, f.attempts, f.detail),
                Step::Touched(a) => format!("{at}  {}", a.words()),
            };
            writeln!(out, "  {}", printable(&line))?;
        }
        writeln!(out, "\nPayload{}", if raw { "" } else { ", redacted; --raw shows all" })?;
        let payload = self.payload(raw);
        if raw {
            // As it came, for another program.
            return writeln!(out, "{payload}");
        }
        payload
            .lines()
            .try_for_each(|line| writeln!(out, "{}", printable(line)))
    }

    fn as_json(&self, raw: bool) -> serde_json::Value {
        let payload = self.payload(raw);
        // What is not JSON is a text.
        let payload = serde_json::from_str(&payload).unwrap_or(serde_json::Value::String(payload));
        json!({
            "letter": self.letter,
            "state": self.state(),
            "failures": self.failures,
            "actions": self.actions,
            "payload": payload,
        })
    }
}

impl OperatorAction {
    /// Who did what and why, and what came of it, in words.
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
