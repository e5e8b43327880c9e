//! The actions of operators, and their progress.

use super::{
    fields::FormFields,
    format::{grouped, plain, text, when, word},
    layout::{self, NavItem, list},
    links::{DetailPage, with_query},
    page_error::PageError,
    state::Console,
    visitor::Visitor,
};
use crate::store::{
    self,
    action::{self, OperatorAction, ReplayProgress},
    console::ActionDeadLetter,
};
use axum::{
    Extension,
    extract::{Path, State},
    http::header,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use std::sync::Arc;

/// Actions on a page of the list.
const PAGE_SIZE: i64 = 50;
/// Dead letters that an action's page lists.
const LISTED_MAX: i64 = 100;
/// How often the page of a running action reloads, in seconds.
const RELOAD_S: &str = "2";
/// An action that is older and has not ended was cut off.
const RUNNING_MS_MAX: i64 = 15 * 60_000;

/// `GET /console/actions`
pub(super) async fn show_all(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Markup, PageError> {
    let before = fields.get("before").and_then(|id| id.parse().ok());
    let mut snapshot = console.database.snapshot().await?;
    let mut actions = action::actions(&mut snapshot, before, PAGE_SIZE + 1).await?;
    snapshot.end().await?;
    let more = actions.len() > usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX);
    actions.truncate(usize::try_from(PAGE_SIZE).unwrap_or(usize::MAX));
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
    let head = ["Action", "Begun", "Operator", "What", "Selected", "Why", "Outcome"];
    let content = html! {
        h1 { "Actions" }
        p.hint { "Replays and discards of dead letters, in the console and by command." }
        @if rows.is_empty() { p.notice { "No action is on record." } } @else { (layout::table("Latest first", &head, &rows)) }
        @if more && let Some(last) = actions.last() {
            p { a rel="next" href=(with_query("/console/actions", [("before", last.id.to_string())])) { "Earlier actions" } }
        }
    };
    Ok(layout::page(&visitor, NavItem::Actions, "Actions", &content))
}

/// `GET /console/actions/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
    Path(number): Path<String>,
) -> Result<Response, PageError> {
    let missing = || PageError::NotFound("no action has this number".to_owned());
    let number: i64 = number.parse().map_err(|_| missing())?;
    let mut snapshot = console.database.snapshot().await?;
    let action = action::actions(&mut snapshot, number.checked_add(1), 1).await?;
    let action = action.into_iter().find(|a| a.id == number).ok_or_else(missing)?;
    let standing = action::replay_progress(&mut snapshot, number).await?;
    let dead_letters = store::console::touched(&mut snapshot, number, LISTED_MAX).await?;
    snapshot.end().await?;
    let is_recent = visitor.now_ms - action.begun_at.unix_timestamp() * 1_000 < RUNNING_MS_MAX;
    let is_running = is_recent && (action.finished_at.is_none() || standing.pending > 0);
    // A reader must be able to stop a page that updates itself (WCAG 2.2.2).
    let is_still = fields.get("still").is_some();
    let content = html! {
        h1 { "Action " (number) ": " (action.action) " by " (text(&action.operator)) }
        (facts(&action, &visitor))
        @if action.action == "replay" { (progress(&action, standing, is_running)) }
        (touched(&dead_letters, action.letters))
        @if is_running { (reloading(number, is_still)) }
    };
    let title = format!("Action {number}");
    let page = layout::page(&visitor, NavItem::Actions, &title, &content);
    if is_running && !is_still {
        return Ok(([(header::REFRESH, RELOAD_S)], page).into_response());
    }
    Ok(page.into_response())
}

fn reloading(number: i64, is_still: bool) -> Markup {
    html! {
        p.hint {
            @if is_still {
                "The action is running. " a href={ "/console/actions/" (number) } { "Reload this page every " (RELOAD_S) " s" }
            } @else {
                "The action is running. This page reloads every " (RELOAD_S) " s. "
                a href={ "/console/actions/" (number) "?still=1" } { "Stop reloading" }
            }
        }
    }
}

fn facts(action: &OperatorAction, visitor: &Visitor) -> Markup {
    let ended = match action.finished_at {
        Some(at) => when(at, visitor),
        None => plain("not yet, or the action was cut off"),
    };
    let mut facts = vec![
        ("Begun", when(action.begun_at, visitor)),
        ("Ended", ended),
        ("Selected", text(&action.selection)),
        ("Dead letters", plain(&grouped(action.letters))),
        ("By", plain(&action.via)),
    ];
    if let Some(why) = &action.why {
        facts.push(("Why", text(why)));
    }
    if let Some(outcome) = &action.outcome {
        facts.push(("Outcome", text(outcome)));
    }
    html! { section aria-label="Facts" { (list(&facts)) } }
}

/// The progress of a replay: messages put back to work, and what became of them.
fn progress(action: &OperatorAction, standing: ReplayProgress, is_running: bool) -> Markup {
    let ReplayProgress {
        resolved,
        dead,
        pending,
    } = standing;
    let settled = resolved + dead;
    html! {
        section aria-labelledby="progress" {
            h2 #progress { "Progress" }
            @if is_running {
                progress aria-labelledby="progress" value=(settled) max=(action.letters.max(1)) {}
            }
            p {
                (grouped(settled + pending)) " of " (grouped(action.letters)) " put back to work: "
                strong { (grouped(resolved)) " applied or ignored" } ", "
                @if dead > 0 { strong { (grouped(dead)) " dead again" } } @else { "none dead again" }
                ", " (grouped(pending)) " on the way."
            }
            @if dead > 0 { p.alert { "The " a href="/console/dead-letters" { "list of dead letters" } " says why they are dead again." } }
        }
    }
}

fn touched(dead_letters: &[ActionDeadLetter], all: i64) -> Markup {
    let state = |dead_letter: &ActionDeadLetter| match &dead_letter.resolution {
        Some(how) => how.clone(),
        None if dead_letter.queued => "dead".to_owned(),
        None => "on the way".to_owned(),
    };
    let row = |dead_letter: &ActionDeadLetter| {
        vec![
            DetailPage::DeadLetter.link(&dead_letter.id),
            word(&dead_letter.kind),
            html! { span.tag { (state(dead_letter)) } },
        ]
    };
    let rows: Vec<Vec<Markup>> = dead_letters.iter().map(row).collect();
    let listed = i64::try_from(dead_letters.len()).unwrap_or(i64::MAX);
    html! {
        section aria-labelledby="dead-letters" {
            h2 #dead-letters { "Dead letters" }
            @if rows.is_empty() { p { "None yet." } } @else { (layout::table("Their state now", &["Id", "Type", "State"], &rows)) }
            @if listed == LISTED_MAX && all > listed { p { "And " (grouped(all - listed)) " more." } }
        }
    }
}
