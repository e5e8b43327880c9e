//! One dead letter: why it is one, what was done with it, what it says.

use super::{
    Console,
    dead_letters::owner,
    fields::link,
    guard::Visitor,
    layout::{self, Place, Thing, grouped, id, list, plain, text, when, word},
    problem::Problem,
};
use crate::{
    dead_letters::show::{Shown, Step, look},
    store::action::OperatorAction,
};
use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};
use std::sync::Arc;

/// The longest payload that a page shows, in bytes.
const PAYLOAD_MOST: usize = 200_000;

/// `GET /console/dead-letters/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Markup, Problem> {
    let mut reading = console.reader.look().await?;
    let shown = look(&mut reading, &name).await?;
    reading.end().await?;
    let Some(shown) = shown else {
        return Err(Problem::NotFound(format!("no dead letter has the id '{name}'")));
    };
    let content = html! {
        h1 { "Dead letter " (id(&name)) }
        (state(&shown))
        (facts(&shown, &visitor))
        section aria-labelledby="happened" {
            h2 #happened { "What happened" }
            (journey(&shown, &visitor))
        }
        (payload(&shown))
    };
    let title = format!("Dead letter {name}");
    Ok(layout::page(&visitor, Place::DeadLetters, &title, &content))
}

/// Where it stands, why, and what can be done about it.
fn state(shown: &Shown) -> Markup {
    let letter = &shown.letter;
    let is_open = letter.resolved_at.is_none();
    let act = |path: &str| link(path, [("id", letter.id.as_str())]);
    html! {
        section.alert[is_open].notice[!is_open] aria-label="State" {
            p { strong { (text(&shown.state())) } }
            @if is_open { p { (word(&letter.reason)) ": " (text(&letter.detail)) } }
        }
        @if is_open {
            div.actions {
                a.button href=(act("/console/replay")) { "Replay…" }
                a.button.quiet href=(act("/console/discard")) { "Discard…" }
            }
        }
    }
}

fn facts(shown: &Shown, visitor: &Visitor) -> Markup {
    let letter = &shown.letter;
    let received = shown.received.as_ref();
    let kind = word(&letter.kind);
    let mut facts = vec![("Type", kind)];
    if let Some(of) = &letter.customer {
        let name = if letter.source == "usage" { "User" } else { "Customer" };
        facts.push((name, owner(letter, of)));
    }
    facts.push(("Source", plain(&letter.source)));
    if let Some(created) = received.and_then(|r| r.created) {
        facts.push(("Created", when(created, visitor)));
    }
    if let Some(received) = received {
        facts.push(("Received", when(received.received_at, visitor)));
        facts.push(("Event", Thing::Event.link(&letter.id)));
    }
    facts.push(("First failed", when(letter.first_failed, visitor)));
    facts.push(("Last failed", when(letter.last_failed, visitor)));
    facts.push(("Failed tries", plain(&grouped(letter.attempts))));
    html! { section aria-label="Facts" { (list(&facts)) } }
}

/// All that happened to it, in order.
pub(super) fn journey(shown: &Shown, visitor: &Visitor) -> Markup {
    html! {
        ol.story {
            @for step in shown.journey() {
                li {
                    (when(step.at(), visitor))
                    @match step {
                        Step::Failed(failure) => p {
                            "Given up, try " (grouped(failure.attempts)) ": " (word(&failure.reason)) ", " (text(&failure.detail))
                        },
                        Step::Touched(action) => p { (deed(action)) },
                    }
                }
            }
            @if let Some((how, at)) = shown.letter.resolution.as_ref().zip(shown.letter.resolved_at) {
                li { (when(at, visitor)) p { strong { (text(how)) } } }
            }
        }
    }
}

/// Who did what and why, and what came of it.
fn deed(action: &OperatorAction) -> Markup {
    html! {
        a href={ "/console/actions/" (action.id) } { "Action " (action.id) } ": "
        (text(&action.action)) " by " (text(&action.operator)) " (" (action.via) ")"
        @if let Some(why) = &action.why { ", because “" (text(why)) "”" }
        "; " (text(action.outcome.as_deref().unwrap_or("not finished")))
    }
}

/// What it says, without what is secret or personal.
pub(super) fn payload(shown: &Shown) -> Markup {
    let raw = html! { code { "worker dead-letters show --raw" } " shows all." };
    said(&shown.payload(false), &raw)
}

/// A redacted payload, and where it is shown whole.
pub(super) fn said(payload: &str, raw: &Markup) -> Markup {
    let cut = payload.floor_char_boundary(PAYLOAD_MOST);
    html! {
        section aria-labelledby="payload" {
            h2 #payload { "Payload" }
            p.hint { "What is secret or personal is hidden. " (raw) }
            pre { (text(&payload[..cut])) }
            @if cut < payload.len() { p { "The rest is left out: it is longer than a page." } }
        }
    }
}
