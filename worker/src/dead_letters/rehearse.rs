//! `worker dead-letters replay --dry-run`: what dead letters would change, found
//! by applying them for real and taking it back.

use crate::{
    apply::transaction::{self, ApplyOutcome, UserRows},
    failure::DatabaseFault,
    read::{
        meaning::Meaning,
        message::{EventReader, ParsedMessage},
    },
    store::dead_letter_queries::{self, Stored},
};
use serde::Serialize;
use serde_json::Value;
use shared::message::{Meta, Source, now_ms};
use shared::terminal::printable;
use sqlx::PgPool;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

/// Dead letters rehearsed together; see what the ones before them would change.
pub const AT_ONCE: usize = 20;

/// What would become of some dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rehearsal {
    /// Of each, in the order given.
    pub letters: Vec<Letter>,
    /// The rows that applications read and that would be others.
    pub changes: Vec<RowChange>,
}

/// What would become of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Letter {
    /// Its id.
    pub id: String,
    /// `applied`, `ignored`, `dead` again, `busy` (its customer is locked right
    /// now), `duplicate` (it took effect before), `failed` or `unknown` (its body
    /// is not stored any more, or only Stripe can tell).
    pub would_be: &'static str,
    /// Why, if it would not be applied.
    pub why: Option<String>,
}

/// A row of `billing.entitlements` or `billing.balances` that would be another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RowChange {
    /// Whose.
    pub user_id: String,
    /// Of balances, the meter.
    pub meter: Option<String>,
    /// The columns that would be others: name, value now, value then. A row that
    /// is new has null for all it has now.
    pub columns: Vec<(String, Value, Value)>,
}

/// What these dead letters would change if they were replayed now, at most
/// [`AT_ONCE`] of them; where the database refuses them together, one by one, as
/// a worker would.
///
/// # Errors
/// PostgreSQL's or the network's.
pub async fn rehearse(pool: &PgPool, reader: &EventReader, ids: &[String]) -> Result<Rehearsal, sqlx::Error> {
    match together(pool, reader, ids).await {
        Err(error) if error.as_database_error().is_some() && ids.len() > 1 => {
            let mut all = Rehearsal {
                letters: Vec::new(),
                changes: Vec::new(),
            };
            for id in ids {
                let id = std::slice::from_ref(id);
                let one = match together(pool, reader, id).await {
                    Err(error) if error.as_database_error().is_some() => Rehearsal::failed(id, &error),
                    one => one?,
                };
                all.letters.extend(one.letters);
                all.changes.extend(one.changes);
            }
            Ok(all)
        }
        Err(error) if error.as_database_error().is_some() => Ok(Rehearsal::failed(ids, &error)),
        done => done,
    }
}

async fn together(pool: &PgPool, reader: &EventReader, ids: &[String]) -> Result<Rehearsal, sqlx::Error> {
    let stored = dead_letter_queries::stored(&mut *pool.acquire().await?, ids, false).await?;
    let items: BTreeMap<String, ParsedMessage> = stored
        .into_iter()
        .map(|stored| (stored.id.clone(), prepared(stored, reader)))
        .collect();
    let readable: Vec<&ParsedMessage> = items.values().filter(|item| item.meaning.is_ok()).collect();
    let rehearsed = transaction::rehearse(pool, &readable, now_ms()).await?;
    let events = readable.iter().map(|item| item.envelope.id.as_str());
    let verdicts = events.zip(rehearsed.outcomes).collect();
    Ok(Rehearsal {
        letters: ids.iter().map(|id| letter(id, items.get(id), &verdicts)).collect(),
        changes: changes(&rehearsed.before, &rehearsed.after),
    })
}

fn prepared(stored: Stored, reader: &EventReader) -> ParsedMessage {
    let mut meta = Meta::received(stored.received_at_ms);
    meta.source = Source::named(&stored.source).unwrap_or(Source::Direct);
    reader.read(stored.body, meta)
}

fn letter(id: &str, item: Option<&ParsedMessage>, verdicts: &BTreeMap<&str, ApplyOutcome>) -> Letter {
    let (would_be, why) = match item.map(|item| (&item.meaning, verdicts.get(item.envelope.id.as_str()))) {
        None => ("unknown", Some("its body is not stored any more".to_owned())),
        Some((Ok(Meaning::NeedsLookup(_)), _)) => {
            let why = "only Stripe can tell; a worker that has STRIPE_SECRET_KEY asks it";
            ("unknown", Some(why.to_owned()))
        }
        Some((Err(refusal), _)) => ("dead", Some(format!("{}: {}", refusal.reason.as_str(), refusal.detail))),
        Some((Ok(_), Some(ApplyOutcome::Busy))) => {
            ("busy", Some("its customer is locked right now; try again".to_owned()))
        }
        Some((Ok(_), Some(ApplyOutcome::Applied))) => ("applied", None),
        Some((Ok(Meaning::Ignored(why)), _)) => ("ignored", Some((*why).to_owned())),
        Some((Ok(_), _)) => ("duplicate", Some("it took effect before".to_owned())),
    };
    Letter {
        id: id.to_owned(),
        would_be,
        why,
    }
}

/// The rows that differ, by user and meter.
fn changes(before: &UserRows, after: &UserRows) -> Vec<RowChange> {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let change = |key: &(String, Option<String>)| {
        let (was, will) = (before.get(key), after.get(key));
        let fields = |row: Option<&Value>| row.and_then(Value::as_object).cloned().unwrap_or_default();
        let (was, will) = (fields(was), fields(will));
        let names: BTreeSet<&String> = was.keys().chain(will.keys()).collect();
        let value = |row: &serde_json::Map<String, Value>, name: &str| row.get(name).cloned().unwrap_or_default();
        let columns: Vec<_> = names
            .into_iter()
            .map(|name| (name.clone(), value(&was, name), value(&will, name)))
            .filter(|(_, was, will)| was != will)
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
    /// The database refuses these.
    fn failed(ids: &[String], error: &sqlx::Error) -> Self {
        let busy = matches!(DatabaseFault::of(error), DatabaseFault::Conflict) || is_locked(error);
        let letter = |id: &String| Letter {
            id: id.clone(),
            would_be: if busy { "busy" } else { "failed" },
            why: Some(error.to_string()),
        };
        Self {
            letters: ids.iter().map(letter).collect(),
            changes: Vec::new(),
        }
    }

    /// Writes it for people.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for letter in &self.letters {
            let why = letter.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
            writeln!(
                out,
                "{}",
                printable(&format!("{} would be {}{why}", letter.id, letter.would_be))
            )?;
        }
        for change in &self.changes {
            writeln!(out, "{}", printable(&change.title()))?;
            for (column, was, will) in &change.columns {
                let line = format!("  {column}: {} → {}", in_words(was), in_words(will));
                writeln!(out, "{}", printable(&line))?;
            }
        }
        Ok(())
    }

    /// Whether no row that applications read would be another.
    #[must_use]
    pub fn changes_nothing(&self) -> bool {
        self.changes.is_empty()
    }
}

/// PostgreSQL's `lock_not_available`: somebody else held a row too long.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.as_deref() == Some("55P03")
}

impl RowChange {
    /// Which row, in words.
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
pub fn in_words(value: &Value) -> String {
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
    fn only_what_differs_is_told_and_a_new_row_whole() {
        let entitlement = |tier: &str| (("u1".to_owned(), None), json!({"tier": tier, "entitled": true}));
        let balance = (("u1".to_owned(), Some("tokens".to_owned())), json!({"used": 1}));
        let before = UserRows::from([entitlement("basic")]);
        let after = UserRows::from([entitlement("plus"), balance]);
        let rehearsal = Rehearsal {
            letters: vec![Letter {
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
