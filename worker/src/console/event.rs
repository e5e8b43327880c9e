//! One event: its journey, what it said, and what it changed.

use super::{
    Console,
    guard::Visitor,
    layout::{self, Place, Thing, grouped, id, text, when, when_seconds, word},
    letter,
    problem::Problem,
    story,
    user::{customer, told},
};
use crate::{
    dead_letters::{
        redact::redacted,
        show::{Shown, look},
    },
    domain::{
        explain::{Explanation, HistoryEntry},
        ids::UserId,
    },
    store::{
        self,
        console::{StoredEvent, UsageLine},
        dead_letter_queries,
    },
};
use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};
use std::sync::Arc;

/// An account has one user, as a rule; of more, these are looked at.
const USERS_MOST: i64 = 3;

/// `GET /console/events/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Markup, Problem> {
    let mut reading = console.reader.look().await?;
    let Some(event) = store::console::event(&mut reading, &name).await? else {
        return Err(Problem::NotFound(format!("no event '{name}' was received")));
    };
    let mut stories = Vec::new();
    if let Some(account) = &event.account {
        for user in store::console::users_of(&mut reading, account, USERS_MOST).await? {
            stories.extend(story::of_user(&mut reading, &UserId::new(user), visitor.now_ms / 1_000).await?);
        }
    }
    let used = store::console::used_by(&mut reading, &name).await?;
    let letter = look(&mut reading, &name).await?;
    let body = dead_letter_queries::received(&mut reading, &name)
        .await?
        .and_then(|r| r.body);
    reading.end().await?;
    let title = format!("Event {name}");
    let content = html! {
        h1 { "Event " (id(&name)) }
        (journey(&event, letter.as_ref(), &visitor))
        (effects(&event, &stories, &used, &visitor))
        @match &body {
            Some(body) => (letter::said(&redacted(body), &layout::nothing())),
            None => p.hint { "Its payload is not stored: it was purged, or it is a report of use, which the ledger holds." },
        }
    };
    Ok(layout::page(&visitor, Place::Elsewhere, &title, &content))
}

fn journey(event: &StoredEvent, letter: Option<&Shown>, visitor: &Visitor) -> Markup {
    html! {
        section aria-labelledby="journey" {
            h2 #journey { "Journey" }
            p { "Type " (word(&event.kind)) @if let Some(account) = &event.account { ", of customer " (customer(account)) } }
            ol.story {
                @if let Some(created) = event.created { li { (when(created, visitor)) p { (made(event)) } } }
                li { (when(event.received_at, visitor)) p { "It was received." } }
            }
            @if let Some(letter) = letter {
                p { "It was a " @match Thing::DeadLetter.path(&event.id) { Some(path) => a href=(path) { "dead letter" }, None => "dead letter" } ":" }
                (letter::journey(letter, visitor))
            }
            p { "Outcome: " span.tag { (event.outcome) } @if let Some(reason) = &event.reason { " " code { (text(reason)) } } }
        }
    }
}

/// What its own time tells.
fn made(event: &StoredEvent) -> &'static str {
    match event.kind.as_str() {
        "usage" => "The application says that it was used then.",
        _ => "Stripe made it.",
    }
}

/// What the event is told to have changed, in each user's story, or in the ledger.
fn effects(event: &StoredEvent, stories: &[Explanation], used: &[UsageLine], visitor: &Visitor) -> Markup {
    html! {
        section aria-labelledby="effects" {
            h2 #effects { "Effects" }
            @if !used.is_empty() { (uses(used, visitor)) } @else if stories.is_empty() { p { (none(event)) } }
            @for story in stories {
                h3 { "User " (Thing::User.link(story.user_id.as_str())) }
                @let entries = entries(event, story);
                @let lines: Vec<&str> = lines(event, story);
                @if entries.is_empty() && lines.is_empty() { p { "It changed nothing of theirs." } }
                ol.story { @for entry in entries { li { (told(entry, visitor)) } } }
                @if !lines.is_empty() { ul { @for line in lines { li { (text(line)) } } } }
            }
        }
    }
}

/// What a report of use took, and of whom.
fn uses(used: &[UsageLine], visitor: &Visitor) -> Markup {
    let row = |line: &UsageLine| {
        let changes = [line.amount, line.used, line.rollover, line.purchased];
        let numbers = changes.map(|number| html! { span.number { (grouped(number)) } });
        let who = [
            Thing::User.link(&line.user),
            html! { code { (text(&line.meter)) } },
            when_seconds(line.at, visitor),
        ];
        who.into_iter().chain(numbers).collect()
    };
    let rows: Vec<Vec<Markup>> = used.iter().map(row).collect();
    let head = [
        "User",
        "Meter",
        "Counts at",
        "Units",
        "Used",
        "Rolled over",
        "Purchased",
    ];
    layout::table("What it added to the ledger, and to the balances", &head, &rows)
}

fn none(event: &StoredEvent) -> &'static str {
    match (event.outcome.as_str(), event.kind.as_str()) {
        ("dead", _) => "None: it was not applied.",
        ("ignored", _) => "None: it is none of our business.",
        (_, "usage") => "A report of use of which the ledger has no line.",
        _ => "Kept; no user is known yet for its customer.",
    }
}

fn entries<'a>(event: &StoredEvent, story: &'a Explanation) -> Vec<&'a HistoryEntry> {
    let chapters = story.subscriptions.iter().flat_map(|c| &c.entries);
    let all = chapters.chain(&story.others);
    all.filter(|e| e.event.as_ref().is_some_and(|of| of.as_str() == event.id))
        .collect()
}

/// What it moved of balances, under its own name.
fn lines<'a>(event: &StoredEvent, story: &'a Explanation) -> Vec<&'a str> {
    let lines = story.meters.iter().flat_map(|m| m.lines.iter().chain(&m.corrections));
    lines
        .filter(|l| l.cause == event.id)
        .map(|l| l.words.as_str())
        .collect()
}
