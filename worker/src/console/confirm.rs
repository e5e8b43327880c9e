//! The pages that ask for a confirmation of a replay or a discard. They show
//! what the action would do.

use super::{
    fields::FormFields,
    format::{self, grouped, text},
    layout::{self, NavItem, form_token},
    links::DetailPage,
    page_error::PageError,
    selection::{fixed_fields, selection},
    state::Console,
    visitor::Visitor,
};
use crate::{
    dead_letters::{
        discard::warning,
        error::MoveError,
        rehearse::{self, Rehearsal, RehearsedDeadLetter, RowChange, rehearse, value_in_words},
        selection::Selection,
    },
    store::{action::ActionKind, dead_letter_queries},
};
use axum::{Extension, extract::State};
use maud::{Markup, html};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The longest reason that an operator may give, in characters.
pub(super) const WHY_CHARS_MAX: usize = 500;
/// Ids that a page lists. The page counts the others.
const LISTED_MAX: usize = 20;

/// `GET /console/replay`
pub(super) async fn replay(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Markup, PageError> {
    let (selection, ids) = selected(&console, &fields, visitor.now_ms).await?;
    let shown = &ids[..ids.len().min(rehearse::BATCH_MAX)];
    let permit = console.database.permit().await?;
    let rehearsal = rehearse(&console.tools.pool, &console.event_reader, shown).await?;
    drop(permit);
    let effects = html! {
        p {
            "Each message goes back to the work queue. It leaves the dead-letter queue once the broker has confirmed that. "
            "The replay is on record with your name."
        }
        (outlook(&rehearsal, ids.len()))
    };
    Ok(confirmation(&visitor, ActionKind::Replay, &selection, &ids, &effects))
}

/// `GET /console/discard`
pub(super) async fn discard(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Markup, PageError> {
    let (selection, ids) = selected(&console, &fields, visitor.now_ms).await?;
    let mut snapshot = console.database.snapshot().await?;
    let elsewhere = dead_letter_queries::elsewhere(&mut snapshot, &ids).await?;
    snapshot.end().await?;
    let effects = html! {
        @if let Some(warning) = warning(elsewhere) { p.alert { (warning) "." } }
        p {
            strong { "These events will have no effect." }
            " Their messages leave the dead-letter queue for good. The record stays, with your name and your reason. "
            "If such an event comes again and can be applied then, it is applied."
        }
        (id_list(&ids))
    };
    Ok(confirmation(&visitor, ActionKind::Discard, &selection, &ids, &effects))
}

/// The selection of a form, and the ids of its open dead letters.
async fn selected(console: &Console, fields: &FormFields, now_ms: i64) -> Result<(Selection, Vec<String>), PageError> {
    let selection = selection(fields, now_ms)?;
    let mut snapshot = console.database.snapshot().await?;
    let ids = selection.open_ids(&mut snapshot).await.map_err(page_error)?;
    snapshot.end().await?;
    if ids.is_empty() {
        return Err(PageError::NotFound("no open dead letter matches".to_owned()));
    }
    Ok((selection, ids))
}

/// The selection of a confirmed form. Refuses it if other dead letters match now
/// than on the page that the operator confirmed.
pub(super) async fn confirmed(console: &Console, fields: &FormFields, now_ms: i64) -> Result<Selection, PageError> {
    let (selection, ids) = selected(console, fields, now_ms).await?;
    if fields.get("seen") != Some(&digest_of(&ids)) {
        let changed = "other dead letters match now than when you opened the page: open it again";
        return Err(PageError::Conflict(changed.to_owned()));
    }
    Ok(match selection {
        Selection::Matching(filter) => Selection::Seen(filter, ids),
        other => other,
    })
}

/// A digest of the selected ids, in any order.
fn digest_of(ids: &[String]) -> String {
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    // No id contains a control character, so a line break separates them.
    hex::encode(Sha256::digest(sorted.join("\n")))
}

pub(super) fn page_error(error: MoveError) -> PageError {
    match error {
        MoveError::Database(error) => PageError::Database(error),
        MoveError::NotOpen(_) | MoveError::Busy => PageError::Conflict(error.to_string()),
        MoveError::Broker(_) | MoveError::Publish { .. } => PageError::Broker(error.to_string()),
    }
}

fn confirmation(
    visitor: &Visitor,
    kind: ActionKind,
    selection: &Selection,
    ids: &[String],
    effects: &Markup,
) -> Markup {
    let (path, verb, needs_why) = match kind {
        ActionKind::Replay => ("/console/replay", "Replay", false),
        ActionKind::Discard => ("/console/discard", "Discard", true),
    };
    let count = count_in_words(ids.len());
    let content = html! {
        h1 { (verb) " " (count) "?" }
        p { "Selected: " code { (text(&selection.words())) } }
        (effects)
        form.stack action=(path) method="post" {
            (form_token(visitor))
            @for (name, value) in fixed_fields(selection) { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="seen" value=(digest_of(ids));
            div {
                label for="why" { "Why" @if !needs_why { " (optional)" } }
                input #why name="why" maxlength=(WHY_CHARS_MAX) required[needs_why] autocomplete="off";
            }
            div.actions {
                button.danger[needs_why] type="submit" { (verb) " " (count) }
                a.button.quiet href="/console/dead-letters" { "Cancel" }
            }
        }
    };
    layout::page(visitor, NavItem::DeadLetters, &format!("{verb} {count}?"), &content)
}

fn count_in_words(dead_letters: usize) -> String {
    match dead_letters {
        1 => "one dead letter".to_owned(),
        count => format!("{} dead letters", grouped(i64::try_from(count).unwrap_or(i64::MAX))),
    }
}

fn id_list(ids: &[String]) -> Markup {
    html! {
        ul { @for id in ids.iter().take(LISTED_MAX) { li { (DetailPage::DeadLetter.link(id)) } } }
        @if ids.len() > LISTED_MAX { p { "And " (count_in_words(ids.len() - LISTED_MAX)) " more." } }
    }
}

/// The effects of a replay, as the rehearsal found them.
fn outlook(rehearsal: &Rehearsal, selected: usize) -> Markup {
    let row = |dead_letter: &RehearsedDeadLetter| {
        let why = dead_letter.why.as_deref().unwrap_or_default();
        vec![
            DetailPage::DeadLetter.link(&dead_letter.id),
            html! { span.tag { (dead_letter.would_be) } },
            text(why),
        ]
    };
    let rows: Vec<Vec<Markup>> = rehearsal.dead_letters.iter().map(row).collect();
    let shown = rehearsal.dead_letters.len();
    html! {
        section aria-labelledby="outlook" {
            h2 #outlook { "What it would do now" }
            p.hint {
                "Just tried in a transaction that was rolled back."
                @if shown < selected { " Only the first " (shown) " were tried." }
            }
            (layout::table("What each would become", &["Id", "Would be", "Why"], &rows))
            @if rehearsal.changes_nothing() {
                p { "No row that applications read would change." }
            } @else {
                @for change in &rehearsal.changes { (changed_row(change)) }
            }
        }
    }
}

fn value_cell(value: &Value) -> Markup {
    value.as_i64().map_or_else(
        || text(&value_in_words(value)),
        |number| format::plain(&grouped(number)),
    )
}

fn changed_row(change: &RowChange) -> Markup {
    let row = |(column, now, then): &(String, Value, Value)| {
        vec![
            html! { code { (column) } },
            value_cell(now),
            html! { strong { (value_cell(then)) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = change.columns.iter().map(row).collect();
    html! {
        h3 {
            @if change.meter.is_none() { "Entitlement of " } @else { "Balance of " }
            (DetailPage::User.link(&change.user_id))
            @if let Some(meter) = &change.meter { ", " code { (text(meter)) } }
        }
        (layout::table("What would change", &["Column", "Now", "Then"], &rows))
    }
}
