//! `worker dead-letters replay --dry-run`: finds what dead letters would change. It
//! applies them in a transaction and rolls it back.

use crate::{
    apply::transaction::{self, ApplyOutcome, UserRows},
    failure::DatabaseFault,
    read::{
        meaning::Meaning,
        message::{EventReader, ParsedMessage},
    },
    store::dead_letter_queries::{self, StoredMessage},
};
use serde::Serialize;
use serde_json::Value;
use shared::{
    message::{Meta, Source, now_ms},
    terminal::printable,
};
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

/// Most dead letters that are rehearsed in one transaction. Each sees the changes of
/// those before it.
pub const BATCH_MAX: usize = 20;

/// What a replay would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// What would become of each dead letter, in the order of the given ids.
    pub dead_letters: Vec<RehearsedDeadLetter>,
    /// The rows that applications read and that would change.
    pub changes: Vec<RowChange>,
}

/// What would become of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RehearsedDeadLetter {
    /// The id of the dead letter.
    pub id: String,
    /// `applied`, `ignored`, `dead` again, `busy` (its customer is locked right
    /// now), `duplicate` (it was applied before), `failed` or `unknown` (its body
    /// is not stored any more, or it needs a look-up at Stripe).
    pub would_be: &'static str,
    /// The reason, if it would not be applied.
    pub why: Option<String>,
}

/// A row of `billing.entitlements` or `billing.balances` that would change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowChange {
    /// The user of the row.
    pub user_id: String,
    /// The meter of a balance. None for an entitlement.
    pub meter: Option<String>,
    /// The columns that would change: name, value now, value then. The values of a
    /// new row are null now.
    pub columns: Vec<(String, Value, Value)>,
}

/// Finds what these dead letters, at most [`BATCH_MAX`], would change if they were
/// replayed now. If the database refuses them together, each is tried alone, as a
/// worker does.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn rehearse(pool: &PgPool, reader: &EventReader, ids: &[String]) -> Result<Rehearsal, sqlx::Error> {
    match rehearse_together(pool, reader, ids).await {
        Err(error) if error.as_database_error().is_some() && ids.len() > 1 => {
            let mut all = Rehearsal {
                dead_letters: Vec::new(),
                changes: Vec::new(),
            };
            for id in ids {
                let id = std::slice::from_ref(id);
                let one = match rehearse_together(pool, reader, id).await {
                    Err(error) if error.as_database_error().is_some() => Rehearsal::failed(id, &error),
                    one => one?,
                };
                all.dead_letters.extend(one.dead_letters);
                all.changes.extend(one.changes);
            }
            Ok(all)
        }
        Err(error) if error.as_database_error().is_some() => Ok(Rehearsal::failed(ids, &error)),
        done => done,
    }
}

async fn rehearse_together(pool: &PgPool, reader: &EventReader, ids: &[String]) -> Result<Rehearsal, sqlx::Error> {
    let stored = dead_letter_queries::stored(&mut *pool.acquire().await?, ids, false).await?;
    let items: BTreeMap<String, ParsedMessage> = stored
        .into_iter()
        .map(|stored| (stored.id.clone(), prepared(stored, reader)))
        .collect();
    let readable: Vec<&ParsedMessage> = items.values().filter(|item| item.meaning.is_ok()).collect();
    let rehearsed = transaction::rehearse(pool, &readable, now_ms()).await?;
    let events = readable.iter().map(|item| item.envelope.id.as_str());
    let outcomes = events.zip(rehearsed.outcomes).collect();
    Ok(Rehearsal {
        dead_letters: ids.iter().map(|id| outcome(id, items.get(id), &outcomes)).collect(),
        changes: changes(&rehearsed.before, &rehearsed.after),
    })
}

fn prepared(stored: StoredMessage, reader: &EventReader) -> ParsedMessage {
    let mut meta = Meta::received(stored.received_at_ms);
    meta.source = Source::named(&stored.source).unwrap_or(Source::Direct);
    reader.read(stored.body, meta)
}

fn outcome(id: &str, item: Option<&ParsedMessage>, outcomes: &BTreeMap<&str, ApplyOutcome>) -> RehearsedDeadLetter {
    let (would_be, why) = match item.map(|item| (&item.meaning, outcomes.get(item.envelope.id.as_str()))) {
        None => ("unknown", Some("its body is not stored any more".to_owned())),
        Some((Ok(Meaning::NeedsLookup(_)), _)) => {
            let why = "it needs a look-up at Stripe; a worker with STRIPE_SECRET_KEY does it";
            ("unknown", Some(why.to_owned()))
        }
        Some((Err(refusal), _)) => ("dead", Some(format!("{}: {}", refusal.reason.as_str(), refusal.detail))),
        Some((Ok(_), Some(ApplyOutcome::Busy))) => {
            ("busy", Some("its customer is locked right now; try again".to_owned()))
        }
        Some((Ok(_), Some(ApplyOutcome::Applied))) => ("applied", None),
        Some((Ok(Meaning::Ignored(why)), _)) => ("ignored", Some((*why).to_owned())),
        Some((Ok(_), _)) => ("duplicate", Some("it was applied before".to_owned())),
    };
    RehearsedDeadLetter {
        id: id.to_owned(),
        would_be,
        why,
    }
}

/// The rows that differ, by user and meter.
fn changes(before: &UserRows, after: &UserRows) -> Vec<RowChange> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |key: &(String, Option<String>)| {
        let (now, then) = (before.get(key), after.get(key));
        let fields = |row: Option<&Value>| row.and_then(Value::as_object).cloned().unwrap_or_default();
        let (now, then) = (fields(now), fields(then));
        let names: BTreeSet<&String> = now.keys().chain(then.keys()).collect();
        let value = |row: &serde_json::Map<String, Value>, name: &str| row.get(name).cloned().unwrap_or_default();
        let columns: Vec<_> = names
            .into_iter()
            .map(|name| (name.clone(), value(&now, name), value(&then, name)))
            .filter(|(_, now, then)| now != then)
            .collect();
        (!columns.is_empty()).then(|| RowChange {
            user_id: key.0.clone(),
            meter: key.1.clone(),
            columns,
        })
    };
    keys.into_iter().filter_map(change).collect()
}

impl Rehearsal {
    /// The result if the database refuses these dead letters.
    fn failed(ids: &[String], error: &sqlx::Error) -> Self {
        let is_busy = matches!(DatabaseFault::of(error), DatabaseFault::Conflict) || is_locked(error);
        let dead_letter = |id: &String| RehearsedDeadLetter {
            id: id.clone(),
            would_be: if is_busy { "busy" } else { "failed" },
            why: Some(error.to_string()),
        };
        Self {
            dead_letters: ids.iter().map(dead_letter).collect(),
            changes: Vec::new(),
        }
    }

    /// Writes the rehearsal as text.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for dead_letter in &self.dead_letters {
            let why = dead_letter
                .why
                .as_ref()
                .map_or_else(String::new, |why| format!(": {why}"));
            writeln!(
                out,
                "{}",
                printable(&format!("{} would be {}{why}", dead_letter.id, dead_letter.would_be))
            )?;
        }
        for change in &self.changes {
            writeln!(out, "{}", printable(&change.title()))?;
            for (column, now, then) in &change.columns {
                let line = format!("  {column}: {} → {}", value_in_words(now), value_in_words(then));
                writeln!(out, "{}", printable(&line))?;
            }
        }
        Ok(())
    }

    /// Whether no row that applications read would change.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.changes.is_empty()
    }
}

/// PostgreSQL's `lock_not_available`: another transaction locked a row for too long.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("55P03")
}

impl RowChange {
    /// The row, in words.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.meter {
            None => format!("entitlement of {}", self.user_id),
            Some(meter) => format!("balance of {}, {meter}", self.user_id),
        }
    }
}

/// A column's value in words.
#[must_use]
pub fn value_in_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_changed_columns_are_written_and_a_new_row_whole() {
        let entitlement = |tier: &str| (("u1".to_owned(), None), json!({"tier": tier, "entitled": true}));
        let balance = (("u1".to_owned(), Some("tokens".to_owned())), json!({"used": 1}));
        let before = UserRows::from([entitlement("basic")]);
        let after = UserRows::from([entitlement("plus"), balance]);
        let rehearsal = Rehearsal {
            dead_letters: vec![RehearsedDeadLetter {
                id: "evt_1".to_owned(),
                would_be: "applied",
                why: None,
            }],
            changes: changes(&before, &after),
        };
        let mut out = Vec::new();
        rehearsal.write(&mut out).expect("memory");
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "evt_1 would be applied\nentitlement of u1\n  tier: basic → plus\nbalance of u1, tokens\n  used: nothing → 1\n"
        );
        assert!(changes(&after, &after).is_empty());
    }
}
