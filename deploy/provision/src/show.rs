//! Formats a plan: as text for people, and as JSON.

use crate::{
    plan::{ChangeAction, ChangePlan, FieldChange, PlanNote, PlannedChange, RefusedObject},
    value::{has, is_nothing},
};
use serde_json::{Value, json};
use shared::terminal::printable;
use std::io::{self, Write};

/// The sign at the beginning of a line.
fn sign(action: ChangeAction) -> char {
    match action {
        ChangeAction::Create => '+',
        ChangeAction::Update => '~',
        ChangeAction::Archive => '-',
    }
}

/// Numbers of objects in a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PlanCounts {
    /// Objects to create.
    pub create: usize,
    /// Objects to update.
    pub update: usize,
    /// Objects to archive.
    pub archive: usize,
    /// Objects that agree with the catalog.
    pub unchanged: usize,
}

impl PlanCounts {
    /// Counts the objects of a plan.
    #[must_use]
    pub fn of(plan: &ChangePlan) -> Self {
        let count = |action| plan.changes.iter().filter(|change| change.action == action).count();
        Self {
            create: count(ChangeAction::Create),
            update: count(ChangeAction::Update),
            archive: count(ChangeAction::Archive),
            unchanged: plan.unchanged.len(),
        }
    }
}

/// Writes a plan as text: a line per object and a line per field to write.
///
/// # Errors
/// If `out` cannot be written.
pub fn text(plan: &ChangePlan, warnings: &[String], out: &mut impl Write) -> io::Result<()> {
    for (kind, key) in &plan.unchanged {
        writeln!(out, "= unchanged {} {}", kind.traits().name, printable(key))?;
    }
    for change in &plan.changes {
        writeln!(out, "{} {}", sign(change.action), title(change))?;
        fields(&change.fields, out)?;
    }
    notes(&plan.notes, out)?;
    for warning in warnings {
        writeln!(out, "! warning: {}", printable(warning))?;
    }
    for refused in &plan.refused {
        let RefusedObject { kind, key, why, .. } = refused;
        writeln!(out, "x refused   {} {}: {why}", kind.traits().name, printable(key))?;
        fields(&refused.fields, out)?;
        writeln!(out, "      {}", printable(&refused.advice))?;
    }
    let counts = PlanCounts::of(plan);
    write!(
        out,
        "{} to create, {} to update, {} to archive, {} unchanged",
        counts.create, counts.update, counts.archive, counts.unchanged
    )?;
    match plan.refused.len() {
        0 => writeln!(out, "."),
        refused => writeln!(out, ", {refused} refused."),
    }
}

/// Writes one line per note.
///
/// # Errors
/// If `out` cannot be written.
pub fn notes(notes: &[PlanNote], out: &mut impl Write) -> io::Result<()> {
    for PlanNote { kind, key, text } in notes {
        writeln!(out, "! {} {}: {}", kind.traits().name, printable(key), printable(text))?;
    }
    Ok(())
}

/// A change in a few words, such as `create    price basic_monthly`.
#[must_use]
pub fn title(change: &PlannedChange) -> String {
    let name = change.kind.traits().name;
    format!("{:<9} {name} {}", change.action.as_str(), printable(&change.key))
}

fn fields(fields: &[FieldChange], out: &mut impl Write) -> io::Result<()> {
    for FieldChange { path, from, to } in fields {
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
            _ if is_nothing(from) => writeln!(out, "      {path}: {}", shown(to))?,
            _ => writeln!(out, "      {path}: {} -> {}", shown(from), shown(to))?,
        }
    }
    Ok(())
}

/// Writes the elements of a list that the other list lacks.
fn elements(sign: char, list: &[Value], other: &[Value], out: &mut impl Write) -> io::Result<()> {
    for element in list {
        // Fields that only Stripe's element has are no difference.
        if !other.iter().any(|other| has(other, element) || has(element, other)) {
            writeln!(out, "        {sign} {}", shown(element))?;
        }
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    if is_nothing(value) {
        "(nothing)".to_owned()
    } else {
        printable(&value.to_string())
    }
}

/// A plan as one JSON object.
#[must_use]
pub fn json(plan: &ChangePlan, warnings: &[String]) -> Value {
    let counts = PlanCounts::of(plan);
    let fields = |fields: &[FieldChange]| -> Vec<Value> {
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

/// The notes as a JSON list.
#[must_use]
pub fn notes_json(notes: &[PlanNote]) -> Value {
    let notes = notes
        .iter()
        .map(|note| json!({"kind": note.kind.traits().name, "key": note.key, "note": note.text}));
    notes.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_text(from: Value, to: Value) -> String {
        let mut out = Vec::new();
        let field = FieldChange {
            path: "p".to_owned(),
            from,
            to,
        };
        fields(&[field], &mut out).expect("memory");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn control_characters_from_stripe_do_not_reach_the_terminal() {
        let mut out = Vec::new();
        let note = PlanNote {
            kind: crate::kind::ObjectKind::Webhook,
            key: "https://a\u{1b}[2J".to_owned(),
            text: "\u{1b}[2J".to_owned(),
        };
        notes(&[note], &mut out).expect("memory");
        assert!(!out.contains(&0x1b), "{out:?}");
    }

    #[test]
    fn a_field_takes_one_line_and_a_list_shows_only_what_differs() {
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
            assert_eq!(field_text(from, to), expected);
        }
    }
}
