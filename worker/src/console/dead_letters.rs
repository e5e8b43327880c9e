//! The list of open dead letters, with filters and a choice for an action.

use super::{
    fields::FormFields,
    format::{grouped, id, text, visible, when, word},
    layout::{self, NavItem},
    links::{DetailPage, owner_link, with_query},
    page_error::PageError,
    selection::{self, FILTERS},
    state::Console,
    visitor::Visitor,
};
use crate::{
    failure::Permanent,
    store::{
        self,
        dead_letter_queries::{self, DeadLetter, DeadLetterFilter},
    },
};
use axum::{Extension, extract::State};
use maud::{Markup, html};
use std::{collections::BTreeSet, sync::Arc};

/// Dead letters on a page of the list.
const PAGE_SIZE: usize = 100;
/// The highest count of matches. A count of more would take long.
const COUNT_MAX: i64 = 100_000;

/// `GET /console/dead-letters`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Markup, PageError> {
    let filter = selection::filter(&fields, visitor.now_ms)?;
    let mut snapshot = console.database.snapshot().await?;
    let page = DeadLetterFilter {
        limit: i64::try_from(PAGE_SIZE + 1).ok(),
        ..filter.clone()
    };
    let mut found = dead_letter_queries::list(&mut snapshot, &page).await?;
    let counted = DeadLetterFilter {
        after: None,
        limit: Some(COUNT_MAX),
        ..filter
    };
    let matching = store::console::count(&mut snapshot, &counted).await?;
    snapshot.end().await?;
    let more = found.len() > PAGE_SIZE;
    found.truncate(PAGE_SIZE);
    let content = html! {
        h1 { "Dead letters" }
        p.hint { "Messages that the workers gave up. Fix the cause, then replay them. Discard those that no longer matter." }
        (filters(&fields))
        @if found.is_empty() {
            p.notice { "No open dead letter matches." }
        } @else {
            p { (count_in_words(matching)) }
            (chooser(&found, &fields, matching, &visitor))
            @if more { (next_page_link(&found, &fields)) }
        }
    };
    Ok(layout::page(&visitor, NavItem::DeadLetters, "Dead letters", &content))
}

fn count_in_words(matching: i64) -> String {
    match matching {
        1 => "One matches.".to_owned(),
        COUNT_MAX => format!("{} or more match, oldest first.", grouped(matching)),
        count => format!("{} match, oldest first.", grouped(count)),
    }
}

fn filters(fields: &FormFields) -> Markup {
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
            (input("customer", "Customer, or usage user", ""))
            (input("older", "Older than", "2h"))
            (input("newer", "Newer than", "30m"))
            button type="submit" { "DeadLetterFilter" }
            @if FILTERS.iter().any(|name| fields.get(name).is_some()) { a href="/console/dead-letters" { "Show all" } }
        }
    }
}

/// The dead letters, each with a check box, and the buttons for the chosen ones.
fn chooser(found: &[DeadLetter], fields: &FormFields, matching: i64, visitor: &Visitor) -> Markup {
    let row = |dead_letter: &DeadLetter| {
        let owner = dead_letter.customer.as_deref();
        vec![
            html! { input type="checkbox" name="id" value=(dead_letter.id) aria-label={ "Choose " (visible(&dead_letter.id)) }; },
            DetailPage::DeadLetter.link(&dead_letter.id),
            word(&dead_letter.kind),
            word(&dead_letter.reason),
            html! { @if let Some(owner) = owner { (owner_link(dead_letter, owner)) } },
            when(dead_letter.first_failed, visitor),
            text(&dead_letter.detail),
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
                    a.button.quiet href=(with_query("/console/replay", all.clone())) { "Replay all " (grouped(matching)) "…" }
                    a.button.quiet href=(with_query("/console/discard", all)) { "Discard all " (grouped(matching)) "…" }
                }
            }
            (layout::choices("Open dead letters", &head, &rows))
        }
    }
}

/// The latest dead letters of a user or a customer, open or not, with links to all
/// open ones. Empty if there are none.
pub(super) fn of_owner(dead_letters: &[DeadLetter], visitor: &Visitor) -> Markup {
    let row = |dead_letter: &DeadLetter| {
        vec![
            DetailPage::DeadLetter.link(&dead_letter.id),
            word(&dead_letter.kind),
            word(&dead_letter.reason),
            when(dead_letter.last_failed, visitor),
            text(dead_letter.resolution.as_deref().unwrap_or("open")),
        ]
    };
    let rows: Vec<Vec<Markup>> = dead_letters.iter().map(row).collect();
    let open = dead_letters
        .iter()
        .filter(|dead_letter| dead_letter.resolved_at.is_none());
    let owners: BTreeSet<&str> = open.filter_map(|dead_letter| dead_letter.customer.as_deref()).collect();
    html! {
        @if !dead_letters.is_empty() {
            section aria-labelledby="dead-letters" {
                h2 #dead-letters { "Dead letters" }
                (layout::table("Open ones first", &["Id", "Type", "Reason", "Failed", "State"], &rows))
                @for owner in owners {
                    p { a href=(with_query("/console/dead-letters", [("customer", owner)])) { "Open dead letters of " (id(owner)) } }
                }
            }
        }
    }
}

fn next_page_link(found: &[DeadLetter], fields: &FormFields) -> Markup {
    let filters = FILTERS
        .iter()
        .filter_map(|name| Some((*name, fields.get(name)?.to_owned())));
    let after = found.last().map(selection::after_fields).into_iter().flatten();
    html! { p { a rel="next" href=(with_query("/console/dead-letters", filters.chain(after))) { "Next page" } } }
}
