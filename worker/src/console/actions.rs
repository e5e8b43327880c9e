//! What operators did, and how far it is.

use super::{
    Console,
    fields::{Fields, link},
    guard::Visitor,
    layout::{self, Place, Thing, grouped, list, plain, text, when, word},
    problem::Problem,
};
use crate::store::{
    self,
    action::{self, OperatorAction, ReplayProgress},
    console::TouchedLetter,
};
use axum::{
    Extension,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use std::sync::Arc;

const PAGE: i64 = 50;
/// The letters of an action that are named.
const LETTERS_MOST: i64 = 100;
/// A page whose action goes on is loaded again so often.
const AGAIN_S: &str = "2";
/// What was not finished by then was cut off.
const GOES_ON_MS: i64 = 15 * 60_000;

/// `GET /console/actions`
pub(super) async fn show_all(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Markup, Problem> {
    let before = fields.get("before").and_then(|id| id.parse().ok());
    let mut look = console.reader.look().await?;
    let mut actions = action::actions(&mut look, before, PAGE + 1).await?;
    look.end().await?;
    let more = actions.len() > usize::try_from(PAGE).unwrap_or(usize::MAX);
    actions.truncate(usize::try_from(PAGE).unwrap_or(usize::MAX));
    let row = |action: &OperatorAction| {
        vec![
            html! { a href={ "/console/actions/" (action.id) } { (action.id) } },
            when(action.begun_at, &visitor),
            text(&action.operator),
            html! { span.tag { (action.action) } },
            text(&action.selection),
            text(action.why.as_deref().unwrap_or_default()),
            text(action.outcome.as_deref().unwrap_or("not finished")),
        ]
    };
    let rows: Vec<Vec<Markup>> = actions.iter().map(row).collect();
    let head = [
        "Action",
        "Begun",
        "Operator",
        "What",
        "Selected",
        "Because",
        "Came of it",
    ];
    let content = html! {
        h1 { "Actions" }
        p.hint { "What operators did with dead letters, here and by command." }
        @if rows.is_empty() { p.notice { "None is on record." } } @else { (layout::table("The latest first", &head, &rows)) }
        @if more && let Some(last) = actions.last() {
            p { a rel="next" href=(link("/console/actions", [("before", last.id.to_string())])) { "Earlier ones" } }
        }
    };
    Ok(layout::page(&visitor, Place::Actions, "Actions", &content))
}

/// `GET /console/actions/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    let missing = || Problem::NotFound("there is no such action on record".to_owned());
    let number: i64 = number.parse().map_err(|_| missing())?;
    let mut look = console.reader.look().await?;
    let action = action::actions(&mut look, number.checked_add(1), 1).await?;
    let action = action.into_iter().find(|a| a.id == number).ok_or_else(missing)?;
    let standing = action::replay_progress(&mut look, number).await?;
    let letters = store::console::touched(&mut look, number, LETTERS_MOST).await?;
    look.end().await?;
    let is_young = visitor.now_ms - action.begun_at.unix_timestamp() * 1_000 < GOES_ON_MS;
    let goes_on = is_young && (action.finished_at.is_none() || standing.pending > 0);
    // Who reads slowly must be able to stop a page that changes (WCAG 2.2.2).
    let is_still = fields.get("still").is_some();
    let content = html! {
        h1 { "Action " (number) ": " (action.action) " by " (text(&action.operator)) }
        (facts(&action, &visitor))
        @if action.action == "replay" { (progress(&action, standing, goes_on)) }
        (touched(&letters, action.letters))
        @if goes_on { (again(number, is_still)) }
    };
    let title = format!("Action {number}");
    let page = layout::page(&visitor, Place::Actions, &title, &content);
    if goes_on && !is_still {
        return Ok(([(header::REFRESH, AGAIN_S)], page).into_response());
    }
    Ok(page.into_response())
}

fn again(number: i64, is_still: bool) -> Markup {
    html! {
        p.hint {
            @if is_still {
                "It goes on. " a href={ "/console/actions/" (number) } { "Load this page again and again" }
            } @else {
                "It goes on; this page is loaded again every " (AGAIN_S) " s. "
                a href={ "/console/actions/" (number) "?still=1" } { "Stop that" }
            }
        }
    }
}

fn facts(action: &OperatorAction, visitor: &Visitor) -> Markup {
    let ended = match action.finished_at {
        Some(at) => when(at, visitor),
        None => plain("not yet, or it was cut off"),
    };
    let mut facts = vec![
        ("Begun", when(action.begun_at, visitor)),
        ("Ended", ended),
        ("Selected", text(&action.selection)),
        ("Dead letters", plain(&grouped(action.letters))),
        ("By", plain(&action.via)),
    ];
    if let Some(why) = &action.why {
        facts.push(("Because", text(why)));
    }
    if let Some(outcome) = &action.outcome {
        facts.push(("Came of it", text(outcome)));
    }
    html! { section aria-label="Facts" { (list(&facts)) } }
}

/// How far a replay is: put back to work, and what workers made of them.
fn progress(action: &OperatorAction, standing: ReplayProgress, goes_on: bool) -> Markup {
    let ReplayProgress {
        resolved,
        dead,
        pending,
    } = standing;
    let settled = resolved + dead;
    html! {
        section aria-labelledby="progress" {
            h2 #progress { "Progress" }
            @if goes_on {
                progress aria-labelledby="progress" value=(settled) max=(action.letters.max(1)) {}
            }
            p {
                (grouped(settled + pending)) " of " (grouped(action.letters)) " put back to work: "
                strong { (grouped(resolved)) " applied or ignored" } ", "
                @if dead > 0 { strong { (grouped(dead)) " dead again" } } @else { "none dead again" }
                ", " (grouped(pending)) " on their way."
            }
            @if dead > 0 { p.alert { "What is dead again is " a href="/console/dead-letters" { "in the list" } ", with its reason." } }
        }
    }
}

fn touched(letters: &[TouchedLetter], all: i64) -> Markup {
    let state = |letter: &TouchedLetter| match &letter.resolution {
        Some(how) => how.clone(),
        None if letter.queued => "dead".to_owned(),
        None => "on its way".to_owned(),
    };
    let row = |letter: &TouchedLetter| {
        vec![
            Thing::DeadLetter.link(&letter.id),
            word(&letter.kind),
            html! { span.tag { (state(letter)) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = letters.iter().map(row).collect();
    let more = all - i64::try_from(letters.len()).unwrap_or_default();
    html! {
        section aria-labelledby="letters" {
            h2 #letters { "Dead letters" }
            @if rows.is_empty() { p { "None yet." } } @else { (layout::table("How they stand now", &["Id", "Type", "State"], &rows)) }
            @if more > 0 && letters.len() > 99 { p { "And " (grouped(more)) " more." } }
        }
    }
}
