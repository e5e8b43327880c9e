//! The search for an id of any kind.

use super::{
    dead_letters::of_owner,
    fields::FormFields,
    format::{id, nothing, when, word},
    layout::{self, NavItem},
    links::{DetailPage, customer_link},
    page_error::PageError,
    state::Console,
    visitor::Visitor,
};
use crate::store::{
    self,
    console::{IdMatches, StoredEvent},
    dead_letter_queries::DeadLetter,
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use std::sync::Arc;

const EVENTS_MAX: i64 = 25;
const USERS_MAX: i64 = 25;
const DEAD_LETTERS_MAX: i64 = 25;

/// `GET /console/search?q=`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Response, PageError> {
    let Some(query) = fields.get("q") else {
        return Err(PageError::Invalid("enter an id to search for".to_owned()));
    };
    let mut snapshot = console.database.snapshot().await?;
    let found = store::console::find(&mut snapshot, query).await?;
    let account = if found.is_customer {
        Some(query)
    } else {
        found.of.as_ref().map(|(account, _)| account.as_str())
    };
    let (users, events) = match account {
        Some(account) => (
            store::console::users_of(&mut snapshot, account, USERS_MAX).await?,
            store::console::events_of(&mut snapshot, account, EVENTS_MAX).await?,
        ),
        None => Default::default(),
    };
    let owner = account.unwrap_or(query).to_owned();
    let dead_letters = store::console::dead_letters_of(&mut snapshot, &[owner], DEAD_LETTERS_MAX).await?;
    snapshot.end().await?;
    if let Some(path) = only_match(&found, &dead_letters, query) {
        return Ok(Redirect::to(&path).into_response());
    }
    let content = html! {
        h1 { "Search for " (id(query)) }
        (matches_list(&found, &dead_letters, query))
        @if let Some(account) = account { (of_customer(account, &users, &events, &visitor)) }
        (of_owner(&dead_letters, &visitor))
    };
    Ok(layout::page(&visitor, NavItem::None, "Search", &content).into_response())
}

/// The path of the only match, to redirect to it.
fn only_match(found: &IdMatches, dead_letters: &[DeadLetter], query: &str) -> Option<String> {
    if found.is_customer || found.of.is_some() {
        return None;
    }
    match (found.is_user, found.is_letter, found.is_event) {
        // The page of a user shows the user's dead letters too.
        (true, false, false) => DetailPage::User.path(query),
        _ if !dead_letters.is_empty() => None,
        (false, true, false) => DetailPage::DeadLetter.path(query),
        (false, _, true) => DetailPage::Event.path(query),
        _ => None,
    }
}

fn matches_list(found: &IdMatches, dead_letters: &[DeadLetter], query: &str) -> Markup {
    let is_known = found.is_user || found.is_customer || found.is_event || found.is_letter || found.of.is_some();
    let has_dead_letters = !dead_letters.is_empty();
    html! {
        @if !is_known && has_dead_letters {
            p { "Only dead letters have this id. No event with it was applied." }
        } @else if !is_known {
            p { "Nothing is known by this id. Enter the whole id of a user, a customer, a subscription, a checkout session or an event." }
        }
        @if is_known {
            ul {
                @if found.is_user { li { "User " (DetailPage::User.link(query)) } }
                @if found.is_event { li { "Event " (DetailPage::Event.link(query)) } }
                @if found.is_letter { li { "Dead letter " (DetailPage::DeadLetter.link(query)) } }
                @if let Some((account, user)) = &found.of {
                    li {
                        "Subscription or checkout session of customer " (customer_link(account))
                        @match user {
                            Some(user) => { ", of user " (DetailPage::User.link(user)) },
                            None => "; the user is not known yet",
                        }
                    }
                }
            }
        }
    }
}

fn of_customer(account: &str, users: &[String], events: &[StoredEvent], visitor: &Visitor) -> Markup {
    let rows: Vec<Vec<Markup>> = events
        .iter()
        .map(|event| {
            vec![
                event.created.map_or_else(nothing, |at| when(at, visitor)),
                DetailPage::Event.link(&event.id),
                word(&event.kind),
                html! { span.tag { (event.outcome) } },
            ]
        })
        .collect();
    html! {
        section aria-labelledby="customer" {
            h2 #customer { "Customer " (id(account)) }
            @if users.is_empty() { p { "The user of this customer is not known yet." } } @else {
                p { "User " @for (index, user) in users.iter().enumerate() { @if index > 0 { ", " } (DetailPage::User.link(user)) } }
            }
            @if rows.is_empty() { p { "No event of this customer was applied." } } @else {
                (layout::table("The latest events, by their creation at Stripe", &["Created", "Event", "Type", "Outcome"], &rows))
            }
        }
    }
}
