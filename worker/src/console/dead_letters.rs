//! The open dead letters: found by filters, chosen for an action.

use super::{
    Console,
    fields::{Fields, link},
    guard::Visitor,
    layout::{self, Place, Thing, grouped, id, text, when, word},
    problem::Problem,
    selection::{self, FILTERS},
    user::customer,
};
use crate::{
    failure::Permanent,
    store::dead_letter_queries::{self, DeadLetter, DeadLetterFilter},
};
use axum::{Extension, extract::State};
use maud::{Markup, html};
use std::{collections::BTreeSet, sync::Arc};

const PAGE: usize = 100;
/// More than these are not counted.
const COUNTED_MOST: i64 = 100_000;

/// `GET /console/dead-letters`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Markup, Problem> {
    let filter = selection::filter(&fields, visitor.now_ms)?;
    let mut look = console.reader.look().await?;
    let page = DeadLetterFilter {
        limit: i64::try_from(PAGE + 1).ok(),
        ..filter.clone()
    };
    let mut found = dead_letter_queries::list(&mut look, &page).await?;
    let counted = DeadLetterFilter {
        after: None,
        limit: Some(COUNTED_MOST),
        ..filter
    };
    let matching = crate::store::console::count(&mut look, &counted).await?;
    look.end().await?;
    let more = found.len() > PAGE;
    found.truncate(PAGE);
    let content = html! {
        h1 { "Dead letters" }
        p.hint { "Messages that were given up. Mend the cause, then replay them; what no longer matters, discard." }
        (filters(&fields))
        @if found.is_empty() {
            p.notice { "No open dead letter is like this." }
        } @else {
            p { (counted_words(matching)) }
            (chooser(&found, &fields, matching, &visitor))
            @if more { (next(&found, &fields)) }
        }
    };
    Ok(layout::page(&visitor, Place::DeadLetters, "Dead letters", &content))
}

fn counted_words(matching: i64) -> String {
    match matching {
        1 => "One matches.".to_owned(),
        COUNTED_MOST => format!("{} or more match, the oldest first.", grouped(matching)),
        some => format!("{} match, the oldest first.", grouped(some)),
    }
}

fn filters(fields: &Fields) -> Markup {
    let input = |name: &str, title: &str, hint: &str| {
        html! {
            div {
                label for={ "f-" (name) } { (title) }
                input id={ "f-" (name) } name=(name) value=[fields.get(name)] placeholder=[(!hint.is_empty()).then_some(hint)];
            }
        }
    };
    html! {
        form.filters action="/console/dead-letters" method="get" aria-label="Filters" {
            (input("type", "Type", ""))
            div {
                label for="f-reason" { "Reason" }
                select #f-reason name="reason" {
                    option value="" { "any" }
                    @for reason in Permanent::ALL.map(Permanent::as_str) {
                        option value=(reason) selected[fields.get("reason") == Some(reason)] { (reason) }
                    }
                }
            }
            (input("customer", "Customer, or user of usage", ""))
            (input("older", "Older than", "2h"))
            (input("newer", "Newer than", "30m"))
            button type="submit" { "Filter" }
            @if FILTERS.iter().any(|name| fields.get(name).is_some()) { a href="/console/dead-letters" { "Show all" } }
        }
    }
}

/// The letters, each with a box to choose it, and what may be done with them.
fn chooser(found: &[DeadLetter], fields: &Fields, matching: i64, visitor: &Visitor) -> Markup {
    let row = |letter: &DeadLetter| {
        let of = letter.customer.as_deref();
        vec![
            html! { input type="checkbox" name="id" value=(letter.id) aria-label={ "Choose " (layout::visible(&letter.id)) }; },
            Thing::DeadLetter.link(&letter.id),
            word(&letter.kind),
            word(&letter.reason),
            html! { @if let Some(of) = of { (owner(letter, of)) } },
            when(letter.first_failed, visitor),
            text(&letter.detail),
        ]
    };
    let rows: Vec<Vec<Markup>> = found.iter().map(row).collect();
    let head = ["", "Id", "Type", "Reason", "Customer", "Failed", "Why"];
    let all = FILTERS.iter().filter_map(|name| Some((*name, fields.get(name)?)));
    let all: Vec<(&str, &str)> = [("all", "1")].into_iter().chain(all).collect();
    html! {
        form.stack action="/console/replay" method="get" {
            div.actions {
                button type="submit" { "Replay the chosen…" }
                button.quiet type="submit" formaction="/console/discard" { "Discard the chosen…" }
                @if matching > 1 {
                    a.button.quiet href=(link("/console/replay", all.clone())) { "Replay all " (grouped(matching)) "…" }
                    a.button.quiet href=(link("/console/discard", all)) { "Discard all " (grouped(matching)) "…" }
                }
            }
            (layout::choices("Open dead letters", &head, &rows))
        }
    }
}

/// Whose a dead letter is: usage names a user, all else a customer.
pub(super) fn owner(letter: &DeadLetter, of: &str) -> Markup {
    if letter.source == "usage" {
        Thing::User.link(of)
    } else {
        customer(of)
    }
}

/// The latest dead letters of somebody, open or not, and the way to all that are
/// open; nothing if there is none.
pub(super) fn of_somebody(letters: &[DeadLetter], visitor: &Visitor) -> Markup {
    let row = |letter: &DeadLetter| {
        vec![
            Thing::DeadLetter.link(&letter.id),
            word(&letter.kind),
            word(&letter.reason),
            when(letter.last_failed, visitor),
            text(letter.resolution.as_deref().unwrap_or("open")),
        ]
    };
    let rows: Vec<Vec<Markup>> = letters.iter().map(row).collect();
    let open = letters.iter().filter(|letter| letter.resolved_at.is_none());
    let owners: BTreeSet<&str> = open.filter_map(|letter| letter.customer.as_deref()).collect();
    html! {
        @if !letters.is_empty() {
            section aria-labelledby="letters" {
                h2 #letters { "Dead letters" }
                (layout::table("The open ones first", &["Id", "Type", "Reason", "Failed", "State"], &rows))
                @for of in owners {
                    p { a href=(link("/console/dead-letters", [("customer", of)])) { "Open dead letters of " (id(of)) } }
                }
            }
        }
    }
}

fn next(found: &[DeadLetter], fields: &Fields) -> Markup {
    let own = FILTERS
        .iter()
        .filter_map(|name| Some((*name, fields.get(name)?.to_owned())));
    let end = found.last().map(selection::end).into_iter().flatten();
    html! { p { a rel="next" href=(link("/console/dead-letters", own.chain(end))) { "The next ones" } } }
}
