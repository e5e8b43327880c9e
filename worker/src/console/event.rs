//! One event: its history, its effects and its payload.

use super::{
    dead_letter, explanation,
    format::{grouped, id, nothing, text, when, when_seconds, word},
    layout::{self, NavItem},
    links::{DetailPage, customer_link},
    page_error::PageError,
    state::Console,
    user::history_entry,
    visitor::Visitor,
};
use crate::{
    dead_letters::{
        redact::redacted,
        show::{DeadLetterHistory, history_of},
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

/// An account usually has one user. A page shows at most these.
const USERS_MAX: i64 = 3;

/// `GET /console/events/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Markup, PageError> {
    let mut snapshot = console.database.snapshot().await?;
    let Some(event) = store::console::event(&mut snapshot, &name).await? else {
        return Err(PageError::NotFound(format!("no event '{name}' was received")));
    };
    let mut explanations = Vec::new();
    if let Some(account) = &event.account {
        for user in store::console::users_of(&mut snapshot, account, USERS_MAX).await? {
            explanations.extend(explanation::of_user(&mut snapshot, &UserId::new(user), visitor.now_ms / 1_000).await?);
        }
    }
    let used = store::console::used_by(&mut snapshot, &name).await?;
    let dead_letter_history = history_of(&mut snapshot, &name).await?;
    let body = dead_letter_queries::received(&mut snapshot, &name)
        .await?
        .and_then(|r| r.body);
    snapshot.end().await?;
    let title = format!("StoredEvent {name}");
    let content = html! {
        h1 { "StoredEvent " (id(&name)) }
        (history(&event, dead_letter_history.as_ref(), &visitor))
        (effects(&event, &explanations, &used, &visitor))
        @match &body {
            Some(body) => (dead_letter::redacted_payload(&redacted(body), &nothing())),
            None => p.hint { "The payload is not stored: it was purged, or it is a usage report, which is a line of the ledger." },
        }
    };
    Ok(layout::page(&visitor, NavItem::None, &title, &content))
}

fn history(event: &StoredEvent, dead_letter_history: Option<&DeadLetterHistory>, visitor: &Visitor) -> Markup {
    html! {
        section aria-labelledby="history" {
            h2 #history { "History" }
            p { "Type " (word(&event.kind)) @if let Some(account) = &event.account { ", of customer " (customer_link(account)) } }
            ol.timeline {
                @if let Some(created) = event.created { li { (when(created, visitor)) p { (created_in_words(event)) } } }
                li { (when(event.received_at, visitor)) p { "Received." } }
            }
            @if let Some(dead_letter_history) = dead_letter_history {
                p { "It was a " @match DetailPage::DeadLetter.path(&event.id) { Some(path) => a href=(path) { "dead letter" }, None => "dead letter" } ":" }
                (dead_letter::steps(dead_letter_history, visitor))
            }
            p { "Outcome: " span.tag { (event.outcome) } @if let Some(reason) = &event.reason { " " code { (text(reason)) } } }
        }
    }
}

/// What the event's own time means.
fn created_in_words(event: &StoredEvent) -> &'static str {
    match event.kind.as_str() {
        "usage" => "The time of use, as the application reported it.",
        _ => "Created at Stripe.",
    }
}

/// What the event changed, in each user's explanation or in the ledger.
fn effects(event: &StoredEvent, explanations: &[Explanation], used: &[UsageLine], visitor: &Visitor) -> Markup {
    html! {
        section aria-labelledby="effects" {
            h2 #effects { "Effects" }
            @if !used.is_empty() { (ledger_lines(used, visitor)) } @else if explanations.is_empty() { p { (no_effect(event)) } }
            @for explanation in explanations {
                h3 { "User " (DetailPage::User.link(explanation.user_id.as_str())) }
                @let entries = entries(event, explanation);
                @let lines: Vec<&str> = balance_lines(event, explanation);
                @if entries.is_empty() && lines.is_empty() { p { "It changed nothing for this user." } }
                ol.timeline { @for entry in entries { li { (history_entry(entry, visitor)) } } }
                @if !lines.is_empty() { ul { @for line in lines { li { (text(line)) } } } }
            }
        }
    }
}

/// The ledger's lines of a usage report.
fn ledger_lines(used: &[UsageLine], visitor: &Visitor) -> Markup {
    let row = |line: &UsageLine| {
        let changes = [line.amount, line.used, line.rollover, line.purchased];
        let numbers = changes.map(|number| html! { span.number { (grouped(number)) } });
        let columns = [
            DetailPage::User.link(&line.user),
            html! { code { (text(&line.meter)) } },
            when_seconds(line.at, visitor),
        ];
        columns.into_iter().chain(numbers).collect()
    };
    let rows: Vec<Vec<Markup>> = used.iter().map(row).collect();
    let head = [
        "User",
        "Meter",
        "Counts at",
        "Units",
        "UsageLine",
        "Rolled over",
        "Purchased",
    ];
    layout::table("What it added to the ledger and to the balances", &head, &rows)
}

fn no_effect(event: &StoredEvent) -> &'static str {
    match (event.outcome.as_str(), event.kind.as_str()) {
        ("dead", _) => "None: it was not applied.",
        ("ignored", _) => "None: the event was ignored.",
        (_, "usage") => "None: the ledger has no line of this usage report.",
        _ => "None yet: the user of its customer is not known. It is kept until then.",
    }
}

fn entries<'a>(event: &StoredEvent, explanation: &'a Explanation) -> Vec<&'a HistoryEntry> {
    let of_subscriptions = explanation.subscriptions.iter().flat_map(|s| &s.entries);
    let all = of_subscriptions.chain(&explanation.others);
    all.filter(|e| e.event.as_ref().is_some_and(|of| of.as_str() == event.id))
        .collect()
}

/// The changes of balances that name the event as their cause.
fn balance_lines<'a>(event: &StoredEvent, explanation: &'a Explanation) -> Vec<&'a str> {
    let lines = explanation
        .meters
        .iter()
        .flat_map(|m| m.lines.iter().chain(&m.corrections));
    lines
        .filter(|l| l.cause == event.id)
        .map(|l| l.words.as_str())
        .collect()
}
