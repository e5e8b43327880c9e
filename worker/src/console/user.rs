//! One user: what they may use, what is left, why, and how it came.

use super::{
    Console,
    dead_letters::of_somebody,
    fields::Fields,
    guard::Visitor,
    layout::{self, Place, Thing, grouped, id, list, text, when_seconds, word},
    picture,
    problem::Problem,
    reader::Look,
    story,
};
use crate::{
    domain::{
        explain::{Explanation, HistoryEntry, MeterHistory, Moment, SubscriptionHistory},
        ids::{AccountId, UserId},
    },
    store::{self, console::Balance, dead_letter_queries::DeadLetter},
};
use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};
use std::sync::Arc;

/// The latest entries that are shown unless all are asked for.
const ENTRIES_MOST: usize = 50;
const LETTERS_MOST: i64 = 10;

/// `GET /console/users/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<Fields>,
    Path(name): Path<String>,
) -> Result<Markup, Problem> {
    let (user, now) = (UserId::new(name.as_str()), visitor.now_ms / 1_000);
    let mut look = console.reader.look().await?;
    let row = store::console::entitlement(&mut look, &name).await?;
    let balances = store::console::balances(&mut look, &name).await?;
    let story = story::of_user(&mut look, &user, now).await?;
    let letters = letters_of(&mut look, &user).await?;
    look.end().await?;
    let pages = Pages {
        visitor: &visitor,
        entries_most: if fields.get("all").is_some() {
            usize::MAX
        } else {
            ENTRIES_MOST
        },
        path: Thing::User.path(&name).unwrap_or_default(),
    };
    let known = match &story {
        Some(story) => html! {
            (has(story, &row, &balances))
            (of_somebody(&letters, &visitor))
            (pictures(story, now))
            (pages.subscriptions(story))
            (pages.meters(story))
        },
        None if letters.is_empty() => {
            return Err(Problem::NotFound(format!(
                "no event tells of user '{name}': check the id's spelling, that metadata.user_id or \
                 client_reference_id is set at Stripe, and whether their events are dead letters of a customer"
            )));
        }
        None => html! {
            p { "Only dead letters tell of them: no event of theirs was applied." }
            (of_somebody(&letters, &visitor))
        },
    };
    let title = format!("User {name}");
    let content = html! { h1 { "User " (id(&name)) } (known) };
    Ok(layout::page(&visitor, Place::Elsewhere, &title, &content))
}

/// The dead letters of their usage and of their customers.
async fn letters_of(look: &mut Look, user: &UserId) -> Result<Vec<DeadLetter>, Problem> {
    let accounts = store::explain::accounts_of(look, user).await?;
    let owners = accounts.iter().map(AccountId::as_str).chain([user.as_str()]);
    let owners: Vec<String> = owners.map(str::to_owned).collect();
    Ok(store::console::letters_of(look, &owners, LETTERS_MOST).await?)
}

/// What they have, in words and as applications see it.
fn has(story: &Explanation, row: &[(String, String)], balances: &[Balance]) -> Markup {
    let columns: Vec<(&str, Markup)> = row.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    html! {
        section.summary aria-label="In short" { @for sentence in &story.summary { p { (text(sentence)) } } }
        div.columns {
            section aria-labelledby="entitlement" {
                h2 #entitlement { "Entitlement" }
                @if row.is_empty() { p { "No row in " code { "billing.entitlements" } "." } } @else { (list(&columns)) }
            }
            section aria-labelledby="balances" {
                h2 #balances { "Balances" }
                @if balances.is_empty() { p { "None." } } @else { (balance_table(balances)) }
            }
        }
    }
}

fn pictures(story: &Explanation, now: i64) -> Markup {
    html! {
        section aria-labelledby="time" {
            h2 #time { "Over time" }
            h3 { "Tier" }
            (picture::tiers(&story.subscriptions, now))
            @for (number, meter) in story.meters.iter().enumerate() {
                h3 { "Available " code { (text(&meter.meter)) } }
                (picture::balance(meter, now, number))
            }
        }
    }
}

struct Pages<'a> {
    visitor: &'a Visitor,
    entries_most: usize,
    path: String,
}

impl Pages<'_> {
    fn subscriptions(&self, story: &Explanation) -> Markup {
        html! {
            section aria-labelledby="story" {
                h2 #story { "Why: the subscriptions" }
                @if story.subscriptions.is_empty() { p { "None." } }
                @for chapter in &story.subscriptions { (self.chapter(chapter)) }
                @if !story.others.is_empty() {
                    h3 { "Beside the subscriptions" }
                    (self.entries(&story.others))
                }
            }
        }
    }

    fn chapter(&self, chapter: &SubscriptionHistory) -> Markup {
        html! {
            h3 {
                "Subscription " (id(chapter.subscription.as_str()))
                @if chapter.is_current { " " span.tag { "current" } }
            }
            p { "Customer " (customer(chapter.customer.as_str())) }
            @for note in &chapter.notes { p { (text(note)) } }
            (self.entries(&chapter.entries))
        }
    }

    fn entries(&self, entries: &[HistoryEntry]) -> Markup {
        let skipped = entries.len().saturating_sub(self.entries_most);
        html! {
            @if skipped > 0 {
                p { (grouped(i64::try_from(skipped).unwrap_or(i64::MAX))) " earlier ones are left out. " a href={ (self.path) "?all=1" } { "Show all" } }
            }
            ol.story { @for entry in &entries[skipped..] { li { (told(entry, self.visitor)) } } }
        }
    }

    fn meters(&self, story: &Explanation) -> Markup {
        html! {
            section aria-labelledby="meters" {
                h2 #meters { "Why: the balances" }
                @if story.meters.is_empty() { p { "None." } }
                @for meter in &story.meters { (self.meter(meter)) }
            }
        }
    }

    fn meter(&self, meter: &MeterHistory) -> Markup {
        let lines = meter.summed_lines();
        let skipped = lines.len().saturating_sub(self.entries_most);
        let line = |at: Moment, words: &str| html! { li { (when_seconds(at.0, self.visitor)) p { (text(words)) } } };
        html! {
            h3 { "Meter " code { (text(&meter.meter)) } }
            p { (text(&meter.summary)) }
            @if skipped > 0 {
                p { (grouped(i64::try_from(skipped).unwrap_or(i64::MAX))) " earlier lines are left out. " a href={ (self.path) "?all=1" } { "Show all" } }
            }
            ol.story { @for (at, words) in &lines[skipped..] { (line(*at, words)) } }
            @if !meter.corrections.is_empty() {
                p { "Corrected in the ledger; the lines above have it in them:" }
                ol.story { @for correction in &meter.corrections { (line(correction.at, &correction.words)) } }
            }
        }
    }
}

/// What an event told and changed.
pub(super) fn told(entry: &HistoryEntry, visitor: &Visitor) -> Markup {
    html! {
        (when_seconds(entry.at.0, visitor))
        @if let Some(event) = &entry.event { " " (Thing::Event.link(event.as_str())) }
        @if let Some(kind) = &entry.event_type { " " (word(kind)) }
        @if let Some(detail) = &entry.detail { p { (text(detail)) } }
        @if !entry.changes.is_empty() {
            ul { @for change in &entry.changes { li { (text(&change.words)) } } }
        }
    }
}

/// A customer, and the way to what is known of them.
pub(super) fn customer(of: &str) -> Markup {
    html! { a href=(super::fields::link("/console/search", [("q", of)])) { (id(of)) } }
}

fn balance_table(balances: &[Balance]) -> Markup {
    let limit = |limit: Option<i64>| limit.map_or("unlimited".to_owned(), grouped);
    let head = ["Meter", "Limit", "Used", "Rolled over", "Purchased", "Available"];
    let rows: Vec<Vec<Markup>> = balances
        .iter()
        .map(|b| {
            let numbers = [
                limit(b.plan_limit),
                grouped(b.used),
                grouped(b.rollover),
                grouped(b.purchased),
                limit(b.available),
            ];
            let name = html! { code { (text(&b.meter)) } };
            std::iter::once(name)
                .chain(numbers.iter().map(|n| html! { span.number { (n) } }))
                .collect()
        })
        .collect();
    layout::table("As the application sees them", &head, &rows)
}
