//! Looking up an id, whatever it is the id of.

use super::{
    Console,
    dead_letters::of_somebody,
    fields::Fields,
    guard::Visitor,
    layout::{self, Place, Thing, id, when, word},
    problem::Problem,
    user::customer,
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

const EVENTS_MOST: i64 = 25;
const USERS_MOST: i64 = 25;
const LETTERS_MOST: i64 = 25;

/// `GET /console/search?q=`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
) -> Result<Response, Problem> {
    let Some(asked) = fields.get("q") else {
        return Err(Problem::Wrong("write an id to search for".to_owned()));
    };
    let mut look = console.reader.look().await?;
    let found = store::console::find(&mut look, asked).await?;
    let account = if found.is_customer {
        Some(asked)
    } else {
        found.of.as_ref().map(|(account, _)| account.as_str())
    };
    let (users, events) = match account {
        Some(account) => (
            store::console::users_of(&mut look, account, USERS_MOST).await?,
            store::console::events_of(&mut look, account, EVENTS_MOST).await?,
        ),
        None => Default::default(),
    };
    let owner = account.unwrap_or(asked).to_owned();
    let letters = store::console::letters_of(&mut look, &[owner], LETTERS_MOST).await?;
    look.end().await?;
    if let Some(path) = only(&found, &letters, asked) {
        return Ok(Redirect::to(&path).into_response());
    }
    let content = html! {
        h1 { "Search for " (id(asked)) }
        (hits(&found, &letters, asked))
        @if let Some(account) = account { (of_customer(account, &users, &events, &visitor)) }
        (of_somebody(&letters, &visitor))
    };
    Ok(layout::page(&visitor, Place::Elsewhere, "Search", &content).into_response())
}

/// The page to go to at once, if there is just one.
fn only(found: &IdMatches, letters: &[DeadLetter], asked: &str) -> Option<String> {
    if found.is_customer || found.of.is_some() {
        return None;
    }
    match (found.is_user, found.is_letter, found.is_event) {
        // Their page has their dead letters too.
        (true, false, false) => Thing::User.path(asked),
        _ if !letters.is_empty() => None,
        (false, true, false) => Thing::DeadLetter.path(asked),
        (false, _, true) => Thing::Event.path(asked),
        _ => None,
    }
}

fn hits(found: &IdMatches, letters: &[DeadLetter], asked: &str) -> Markup {
    let is_known = found.is_user || found.is_customer || found.is_event || found.is_letter || found.of.is_some();
    let is_owner = !letters.is_empty();
    html! {
        @if !is_known && is_owner {
            p { "Only dead letters tell of them: no event of theirs was applied." }
        } @else if !is_known {
            p { "Nothing is known by this id. Ids are looked up as they are, in full: of a user, a customer, a subscription, a checkout session or an event." }
        }
        @if is_known {
            ul {
                @if found.is_user { li { "User " (Thing::User.link(asked)) } }
                @if found.is_event { li { "Event " (Thing::Event.link(asked)) } }
                @if found.is_letter { li { "Dead letter " (Thing::DeadLetter.link(asked)) } }
                @if let Some((account, user)) = &found.of {
                    li {
                        "Subscription or checkout session of customer " (customer(account))
                        @match user {
                            Some(user) => { ", of user " (Thing::User.link(user)) },
                            None => ", whose user is not known yet",
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
                event.created.map_or_else(layout::nothing, |at| when(at, visitor)),
                Thing::Event.link(&event.id),
                word(&event.kind),
                html! { span.tag { (event.outcome) } },
            ]
        })
        .collect();
    html! {
        section aria-labelledby="customer" {
            h2 #customer { "Customer " (id(account)) }
            @if users.is_empty() { p { "Whose they are is not known yet." } } @else {
                p { "Of user " @for (place, user) in users.iter().enumerate() { @if place > 0 { ", " } (Thing::User.link(user)) } }
            }
            @if rows.is_empty() { p { "No event of theirs was applied." } } @else {
                (layout::table("Their latest events, as Stripe made them", &["Created", "Event", "Type", "Outcome"], &rows))
            }
        }
    }
}
