//! One dead letter: its reason, its history and its payload.

use super::{
    format::{grouped, id, plain, text, when, word},
    layout::{self, NavItem, list},
    links::{DetailPage, owner_link, with_query},
    page_error::PageError,
    state::Console,
    visitor::Visitor,
};
use crate::{
    dead_letters::show::{DeadLetterHistory, DeadLetterStep, history_of},
    store::action::OperatorAction,
};
use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};
use std::sync::Arc;

/// The longest payload that a page shows, in bytes.
const PAYLOAD_BYTES_MAX: usize = 200_000;

/// `GET /console/dead-letters/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Markup, PageError> {
    let mut snapshot = console.database.snapshot().await?;
    let history = history_of(&mut snapshot, &name).await?;
    snapshot.end().await?;
    let Some(history) = history else {
        return Err(PageError::NotFound(format!("no dead letter has the id '{name}'")));
    };
    let content = html! {
        h1 { "Dead letter " (id(&name)) }
        (state(&history))
        (facts(&history, &visitor))
        section aria-labelledby="happened" {
            h2 #happened { "What happened" }
            (steps(&history, &visitor))
        }
        (payload(&history))
    };
    let title = format!("Dead letter {name}");
    Ok(layout::page(&visitor, NavItem::DeadLetters, &title, &content))
}

/// The state, its reason, and the possible actions.
fn state(history: &DeadLetterHistory) -> Markup {
    let dead_letter = &history.dead_letter;
    let is_open = dead_letter.resolved_at.is_none();
    let act = |path: &str| with_query(path, [("id", dead_letter.id.as_str())]);
    html! {
        section.alert[is_open].notice[!is_open] aria-label="State" {
            p { strong { (text(&history.state())) } }
            @if is_open { p { (word(&dead_letter.reason)) ": " (text(&dead_letter.detail)) } }
        }
        @if is_open {
            div.actions {
                a.button href=(act("/console/replay")) { "Replay…" }
                a.button.quiet href=(act("/console/discard")) { "Discard…" }
            }
        }
    }
}

fn facts(history: &DeadLetterHistory, visitor: &Visitor) -> Markup {
    let dead_letter = &history.dead_letter;
    let received = history.received.as_ref();
    let mut facts = vec![("Type", word(&dead_letter.kind))];
    if let Some(owner) = &dead_letter.customer {
        let name = if dead_letter.source == "usage" {
            "User"
        } else {
            "Customer"
        };
        facts.push((name, owner_link(dead_letter, owner)));
    }
    facts.push(("Source", plain(&dead_letter.source)));
    if let Some(created) = received.and_then(|r| r.created) {
        facts.push(("Created", when(created, visitor)));
    }
    if let Some(received) = received {
        facts.push(("ReceivedEvent", when(received.received_at, visitor)));
        facts.push(("StoredEvent", DetailPage::Event.link(&dead_letter.id)));
    }
    facts.push(("First failed", when(dead_letter.first_failed, visitor)));
    facts.push(("Last failed", when(dead_letter.last_failed, visitor)));
    facts.push(("Failed attempts", plain(&grouped(dead_letter.attempts))));
    html! { section aria-label="Facts" { (list(&facts)) } }
}

/// Everything that happened to the dead letter, in order.
pub(super) fn steps(history: &DeadLetterHistory, visitor: &Visitor) -> Markup {
    html! {
        ol.timeline {
            @for step in history.steps() {
                li {
                    (when(step.at(), visitor))
                    @match step {
                        DeadLetterStep::GivenUp(failure) => p {
                            "Given up after attempt " (grouped(failure.attempts)) ": " (word(&failure.reason)) ", " (text(&failure.detail))
                        },
                        DeadLetterStep::Action(action) => p { (action_in_words(action)) },
                    }
                }
            }
            @if let Some((how, at)) = history.dead_letter.resolution.as_ref().zip(history.dead_letter.resolved_at) {
                li { (when(at, visitor)) p { strong { (text(how)) } } }
            }
        }
    }
}

/// An action: its operator, reason and outcome.
fn action_in_words(action: &OperatorAction) -> Markup {
    html! {
        a href={ "/console/actions/" (action.id) } { "OperatorAction " (action.id) } ": "
        (text(&action.action)) " by " (text(&action.operator)) " (" (action.via) ")"
        @if let Some(why) = &action.why { " because “" (text(why)) "”" }
        "; " (text(action.outcome.as_deref().unwrap_or("not finished")))
    }
}

/// The payload without secret and personal data.
fn payload(history: &DeadLetterHistory) -> Markup {
    let hint = html! { code { "worker dead-letters show --raw" } " shows everything." };
    redacted_payload(&history.payload(false), &hint)
}

/// A redacted payload. `hint` says how to see all of it.
pub(super) fn redacted_payload(payload: &str, hint: &Markup) -> Markup {
    let cut = payload.floor_char_boundary(PAYLOAD_BYTES_MAX);
    html! {
        section aria-labelledby="payload" {
            h2 #payload { "Payload" }
            p.hint { "Secret and personal data is hidden. " (hint) }
            pre { (text(&payload[..cut])) }
            @if cut < payload.len() { p { "The rest is not shown: the payload is too long for a page." } }
        }
    }
}
