//! A plan for people, and as JSON.

use crate::{
    diff::{Action, Change, Field, Note, Plan},
    refused::Refused,
    value::{has, is_nothing},
};
use serde_json::{Value, json};
use shared::terminal::printable;
use std::io::{self, Write};

impl Action {
    /// For people and in `--json`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Archive => "archive",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Archive => '-',
        }
    }
}

/// How many of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Objects to make.
    pub create: usize,
    /// Objects to change.
    pub update: usize,
    /// Objects to take out of use.
    pub archive: usize,
    /// Objects that are as they should be.
    pub unchanged: usize,
}

impl Counts {
    /// Of a plan.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let count = |action| plan.changes.iter().filter(|change| change.action == action).count();
        Self {
            create: count(Action::Create),
            update: count(Action::Update),
            archive: count(Action::Archive),
            unchanged: plan.unchanged.len(),
        }
    }
}

/// Writes a plan as text: a line per object, and one per field that is written.
///
/// # Errors
/// What writing said.
pub fn text(plan: &Plan, warnings: &[String], out: &mut impl Write) -> io::Result<()> {
    for (kind, key) in &plan.unchanged {
        writeln!(out, "= unchanged {} {}", kind.traits().name, printable(key))?;
    }
    for change in &plan.changes {
        writeln!(out, "{} {}", change.action.sign(), title(change))?;
        fields(&change.fields, out)?;
    }
    notes(&plan.notes, out)?;
    for warning in warnings {
        writeln!(out, "! warning: {}", printable(warning))?;
    }
    for refused in &plan.refused {
        let Refused { kind, key, why, .. } = refused;
        writeln!(out, "x refused   {} {}: {why}", kind.traits().name, printable(key))?;
        fields(&refused.fields, out)?;
        writeln!(out, "      {}", printable(&refused.advice))?;
    }
    let counts = Counts::of(plan);
    writeln!(
        out,
        "{} to create, {} to update, {} to archive, {} unchanged.",
        counts.create, counts.update, counts.archive, counts.unchanged
    )
}

/// A line each.
///
/// # Errors
/// What writing said.
pub fn notes(notes: &[Note], out: &mut impl Write) -> io::Result<()> {
    for Note { kind, key, what } in notes {
        writeln!(out, "! {} {}: {}", kind.traits().name, printable(key), printable(what))?;
    }
    Ok(())
}

/// Such as `create    price basic_monthly`.
#[must_use]
pub fn title(change: &Change) -> String {
    let name = change.kind.traits().name;
    format!("{:<9} {name} {}", change.action.as_str(), printable(&change.key))
}

fn fields(fields: &[Field], out: &mut impl Write) -> io::Result<()> {
    for Field { path, from, to } in fields {
        match (from, to) {
            (Value::Array(from), Value::Array(to)) if from.len().max(to.len()) > 1 => {
                writeln!(out, "      {path}:")?;
                elements('-', from, to, out)?;
                elements('+', to, from, out)?;
            }
            (from, Value::Array(to)) if is_nothing(from) && to.len() > 2 => {
                writeln!(out, "      {path}:")?;
                elements('+', to, &[], out)?;
            }
            _ if is_nothing(from) => writeln!(out, "      {path}: {}", said(to))?,
            _ => writeln!(out, "      {path}: {} -> {}", said(from), said(to))?,
        }
    }
    Ok(())
}

/// The elements of a list that another one lacks.
fn elements(sign: char, list: &[Value], other: &[Value], out: &mut impl Write) -> io::Result<()> {
    for element in list {
        // What Stripe says more of it is no difference.
        if !other.iter().any(|other| has(other, element) || has(element, other)) {
            writeln!(out, "        {sign} {}", said(element))?;
        }
    }
    Ok(())
}

fn said(value: &Value) -> String {
    if is_nothing(value) {
        "(nothing)".to_owned()
    } else {
        printable(&value.to_string())
    }
}

/// A plan as one JSON object.
#[must_use]
pub fn json(plan: &Plan, warnings: &[String]) -> Value {
    let counts = Counts::of(plan);
    let fields = |fields: &[Field]| -> Vec<Value> {
        fields
            .iter()
            .map(|f| json!({"path": f.path, "from": f.from, "to": f.to}))
            .collect()
    };
    let changes = plan.changes.iter().map(|change| {
        json!({
            "action": change.action.as_str(),
            "kind": change.kind.traits().name,
            "key": change.key,
            "id": change.id,
            "fields": fields(&change.fields),
        })
    });
    let refused = plan.refused.iter().map(|refused| {
        let name = refused.kind.traits().name;
        json!({
            "kind": name, "key": refused.key, "fields": fields(&refused.fields), "why": refused.why,
            "advice": refused.advice,
        })
    });
    let unchanged = plan
        .unchanged
        .iter()
        .map(|(kind, key)| json!({"kind": kind.traits().name, "key": key}));
    json!({
        "changes": changes.collect::<Vec<_>>(),
        "refused": refused.collect::<Vec<_>>(),
        "notes": notes_json(&plan.notes),
        "unchanged": unchanged.collect::<Vec<_>>(),
        "warnings": warnings,
        "summary": {
            "create": counts.create, "update": counts.update, "archive": counts.archive,
            "unchanged": counts.unchanged, "refused": plan.refused.len(),
        },
    })
}

/// As a JSON list.
#[must_use]
pub fn notes_json(notes: &[Note]) -> Value {
    let notes = notes
        .iter()
        .map(|note| json!({"kind": note.kind.traits().name, "key": note.key, "note": note.what}));
    notes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(from: Value, to: Value) -> String {
        let mut out = Vec::new();
        let field = Field {
            path: "p".to_owned(),
            from,
            to,
        };
        fields(&[field], &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn no_note_writes_to_the_terminal_what_stripe_holds_as_it_is() {
        let mut out = Vec::new();
        let note = Note {
            kind: crate::kind::Kind::Webhook,
            key: "https://a\u{1b}[2J".to_owned(),
            what: "\u{1b}[2J".to_owned(),
        };
        notes(&[note], &mut out).expect("memory");
        assert!(!out.contains(&0x1b), "{out:?}");
    }

    #[test]
    fn a_field_is_told_in_a_line_and_a_list_by_what_differs() {
        for (from, to, expected) in [
            (json!(null), json!(1), "      p: 1\n"),
            (json!("a"), json!(null), "      p: \"a\" -> (nothing)\n"),
            (json!("\u{1b}[2J"), json!("b"), "      p: \"\\u001b[2J\" -> \"b\"\n"),
            (json!(["*"]), json!(["a"]), "      p: [\"*\"] -> [\"a\"]\n"),
            (
                json!(["a", "x"]),
                json!(["b", "a"]),
                "      p:\n        - \"x\"\n        + \"b\"\n",
            ),
            (
                json!(null),
                json!(["a", "b", "c"]),
                "      p:\n        + \"a\"\n        + \"b\"\n        + \"c\"\n",
            ),
            (
                json!([{"t": 1, "more": 2}, {"t": 3}]),
                json!([{"t": 1}]),
                "      p:\n        - {\"t\":3}\n",
            ),
        ] {
            assert_eq!(shown(from, to), expected);
        }
    }
}
