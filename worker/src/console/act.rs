//! Replay and discard: first what it would do, then, asked once, the deed.

use super::{
    Console,
    fields::Fields,
    guard::Visitor,
    layout::{self, Place, Thing, grouped, hidden, text},
    problem::Problem,
    selection::{fixed, selection},
};
use crate::{
    dead_letters::{
        MoveError, Selection,
        discard::{discard, warning},
        rehearse::{self, Letter, Rehearsal, RowChange, in_words, rehearse},
        replay::replay,
    },
    store::{
        action::{Deed, Operator, Via},
        dead_letter_queries,
    },
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// The longest reason on record, in characters.
const WHY_MOST: usize = 500;
/// How long the answer waits for an action to begin: for its turn and the broker.
const BEGIN_MOST: Duration = Duration::from_secs(20);
/// Ids that are named before only their number is told.
const NAMED_MOST: usize = 20;

/// `GET /console/replay`
pub(super) async fn ask_replay(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Markup, Problem> {
    let (selection, ids) = chosen(&console, &fields, visitor.now_ms).await?;
    let shown = &ids[..ids.len().min(rehearse::AT_ONCE)];
    let turn = console.reader.turn().await?;
    let rehearsal = rehearse(&console.tools.pool, &console.event_reader, shown).await?;
    drop(turn);
    let what = html! {
        p {
            "Each message goes back to the work queue, is confirmed there, and only then leaves the dead-letter queue. "
            "It is on record with your name."
        }
        (outlook(&rehearsal, ids.len()))
    };
    Ok(confirm(&visitor, Deed::Replay, &selection, &ids, &what))
}

/// `GET /console/discard`
pub(super) async fn ask_discard(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Markup, Problem> {
    let (selection, ids) = chosen(&console, &fields, visitor.now_ms).await?;
    let mut look = console.reader.look().await?;
    let elsewhere = dead_letter_queries::elsewhere(&mut look, &ids).await?;
    look.end().await?;
    let what = html! {
        @if let Some(warning) = warning(elsewhere) { p.alert { (warning) "." } }
        p {
            strong { "What these events say will not count." }
            " Their messages leave the dead-letter queue for good; the record stays, with your name and your reason. "
            "An event that comes again, and can be applied then, is applied."
        }
        (names(&ids))
    };
    Ok(confirm(&visitor, Deed::Discard, &selection, &ids, &what))
}

/// What is selected, as it stands now.
async fn chosen(console: &Console, fields: &Fields, now_ms: i64) -> Result<(Selection, Vec<String>), Problem> {
    let selection = selection(fields, now_ms)?;
    let mut look = console.reader.look().await?;
    let ids = selection.open(&mut look).await.map_err(refused)?;
    look.end().await?;
    if ids.is_empty() {
        return Err(Problem::NotFound("no open dead letter is like this".to_owned()));
    }
    Ok((selection, ids))
}

fn confirm(visitor: &Visitor, deed: Deed, selection: &Selection, ids: &[String], what: &Markup) -> Markup {
    let (path, verb, needs_why) = match deed {
        Deed::Replay => ("/console/replay", "Replay", false),
        Deed::Discard => ("/console/discard", "Discard", true),
    };
    let many = many(ids.len());
    let content = html! {
        h1 { (verb) " " (many) "?" }
        p { "Selected: " code { (text(&selection.words())) } }
        (what)
        form.stack action=(path) method="post" {
            (hidden(visitor))
            @for (name, value) in fixed(selection) { input type="hidden" name=(name) value=(value); }
            input type="hidden" name="seen" value=(print_of(ids));
            div {
                label for="why" { "Why" @if !needs_why { " (optional)" } }
                input #why name="why" maxlength=(WHY_MOST) required[needs_why] autocomplete="off";
            }
            div.actions {
                button.danger[needs_why] type="submit" { (verb) " " (many) }
                a.button.quiet href="/console/dead-letters" { "Back, do nothing" }
            }
        }
    };
    layout::page(visitor, Place::DeadLetters, &format!("{verb} {many}?"), &content)
}

/// What tells whether the same dead letters are selected.
fn print_of(ids: &[String]) -> String {
    let mut sorted: Vec<&str> = ids.iter().map(String::as_str).collect();
    sorted.sort_unstable();
    // No id holds a control character.
    hex::encode(Sha256::digest(sorted.join("\n")))
}

/// What the page showed that was agreed to.
async fn agreed(console: &Console, fields: &Fields, now_ms: i64) -> Result<Selection, Problem> {
    let (selection, ids) = chosen(console, fields, now_ms).await?;
    if fields.get("seen") != Some(&print_of(&ids)) {
        let changed = "other dead letters are selected now than when you looked: look again";
        return Err(Problem::Conflict(changed.to_owned()));
    }
    Ok(match selection {
        Selection::Matching(filter) => Selection::Seen(filter, ids),
        other => other,
    })
}

fn many(letters: usize) -> String {
    match letters {
        1 => "one dead letter".to_owned(),
        some => format!("{} dead letters", grouped(i64::try_from(some).unwrap_or(i64::MAX))),
    }
}

fn names(ids: &[String]) -> Markup {
    html! {
        ul { @for id in ids.iter().take(NAMED_MOST) { li { (Thing::DeadLetter.link(id)) } } }
        @if ids.len() > NAMED_MOST { p { "And " (many(ids.len() - NAMED_MOST)) " more." } }
    }
}

/// What a replay would come to, as found by trying it and taking it back.
fn outlook(rehearsal: &Rehearsal, selected: usize) -> Markup {
    let row = |letter: &Letter| {
        let why = letter.why.as_deref().unwrap_or_default();
        vec![
            Thing::DeadLetter.link(&letter.id),
            html! { span.tag { (letter.would_be) } },
            text(why),
        ]
    };
    let rows: Vec<Vec<Markup>> = rehearsal.letters.iter().map(row).collect();
    let shown = rehearsal.letters.len();
    html! {
        section aria-labelledby="outlook" {
            h2 #outlook { "What it would do now" }
            p.hint {
                "Tried for real just now, and taken back."
                @if shown < selected { " Only the first " (shown) " were tried." }
            }
            (layout::table("What each would become", &["Id", "Would be", "Why"], &rows))
            @if rehearsal.changes_nothing() {
                p { "No row that applications read would change." }
            } @else {
                @for change in &rehearsal.changes { (changed(change)) }
            }
        }
    }
}

fn value(of: &Value) -> Markup {
    of.as_i64()
        .map_or_else(|| text(&in_words(of)), |number| layout::plain(&grouped(number)))
}

fn changed(change: &RowChange) -> Markup {
    let row = |(column, was, will): &(String, Value, Value)| {
        vec![
            html! { code { (column) } },
            value(was),
            html! { strong { (value(will)) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = change.columns.iter().map(row).collect();
    html! {
        h3 {
            @if change.meter.is_none() { "Entitlement of " } @else { "Balance of " }
            (Thing::User.link(&change.user_id))
            @if let Some(meter) = &change.meter { ", " code { (text(meter)) } }
        }
        (layout::table("What would change", &["Column", "Now", "Then"], &rows))
    }
}

/// `POST /console/replay`
pub(super) async fn do_replay(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Response, Problem> {
    let (selection, why) = (agreed(&console, &fields, visitor.now_ms).await?, why(&fields)?);
    let (tools, operator) = (console.tools.clone(), operator(visitor));
    let (begun, begins) = mpsc::unbounded_channel();
    // Goes on when the answer is given: its page shows how far it is.
    tokio::spawn(async move {
        let tell = begun.clone();
        let progress = move |so_far: &crate::dead_letters::replay::Replayed| {
            // Who asked may be gone.
            let _ = tell.send(Ok(so_far.action));
        };
        let done = replay(&tools, &selection, &operator, why.as_deref(), progress).await;
        tell_of(done.map(|done| done.action), &begun);
    });
    answer(begins).await
}

/// Who asked may be gone, so that a failure is told in the logs too.
fn tell_of(done: Result<i64, MoveError>, begun: &mpsc::UnboundedSender<Result<i64, MoveError>>) {
    if let Err(error) = &done {
        tracing::error!(%error, "an action of the console failed");
    }
    let _ = begun.send(done);
}

/// `POST /console/discard`
pub(super) async fn do_discard(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Response, Problem> {
    let why = why(&fields)?.ok_or_else(|| Problem::Wrong("say why: it goes on record".to_owned()))?;
    let selection = agreed(&console, &fields, visitor.now_ms).await?;
    let (tools, operator) = (console.tools.clone(), operator(visitor));
    let (begun, begins) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let done = discard(&tools, &selection, &operator, &why).await;
        tell_of(done.map(|done| done.action), &begun);
    });
    answer(begins).await
}

fn operator(visitor: Visitor) -> Operator {
    Operator {
        name: visitor.operator,
        via: Via::Console,
    }
}

fn why(fields: &Fields) -> Result<Option<String>, Problem> {
    let why = fields.get("why");
    if why.is_some_and(|why| why.chars().count() > WHY_MOST) {
        return Err(Problem::Wrong(format!("say why in {WHY_MOST} characters at the most")));
    }
    Ok(why.map(str::to_owned))
}

/// Leads to the action's page as soon as it is on record.
async fn answer(mut begins: mpsc::UnboundedReceiver<Result<i64, MoveError>>) -> Result<Response, Problem> {
    match tokio::time::timeout(BEGIN_MOST, begins.recv()).await {
        Ok(Some(Ok(action))) => Ok(Redirect::to(&format!("/console/actions/{action}")).into_response()),
        Ok(Some(Err(error))) => Err(refused(error)),
        Ok(None) => Err(Problem::Broken),
        Err(_) => Ok(Redirect::to("/console/actions").into_response()),
    }
}

fn refused(error: MoveError) -> Problem {
    match error {
        MoveError::Database(error) => Problem::Database(error),
        MoveError::NotOpen(_) | MoveError::Busy => Problem::Conflict(error.to_string()),
        MoveError::Broker(_) | MoveError::Publish { .. } => Problem::Failed(error.to_string()),
    }
}
