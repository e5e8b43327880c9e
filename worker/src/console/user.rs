//! One user: entitlement, balances, and the events behind them.

use super::{
    charts,
    database::PageSnapshot,
    dead_letters::of_owner,
    explanation,
    fields::FormFields,
    format::{counted, grouped, id, text, when_seconds, word},
    layout::{self, NavItem, list},
    links::{DetailPage, customer_link},
    page_error::PageError,
    state::Console,
    visitor::Visitor,
};
use crate::{
    domain::{
        explain::{Explanation, HistoryEntry, MeterHistory, Moment, SubscriptionHistory},
        ids::{AccountId, UserId},
    },
    store::{self, console::BalanceView, dead_letter_queries::DeadLetter},
};
use axum::{
    Extension,
    extract::{Path, State},
};
use maud::{Markup, html};
use std::sync::Arc;

/// The latest entries of a history that are shown without `all`.
const ENTRIES_MAX: usize = 50;
const DEAD_LETTERS_MAX: i64 = 10;

/// `GET /console/users/{id}`
pub(super) async fn show(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
    Path(name): Path<String>,
) -> Result<Markup, PageError> {
    let (user, now) = (UserId::new(name.as_str()), visitor.now_ms / 1_000);
    let mut snapshot = console.database.snapshot().await?;
    let row = store::console::entitlement(&mut snapshot, &name).await?;
    let balances = store::console::balances(&mut snapshot, &name).await?;
    let explanation = explanation::of_user(&mut snapshot, &user, now).await?;
    let dead_letters = dead_letters_of(&mut snapshot, &user).await?;
    snapshot.end().await?;
    let page = UserPage {
        visitor: &visitor,
        entries_max: if fields.get("all").is_some() {
            usize::MAX
        } else {
            ENTRIES_MAX
        },
        path: DetailPage::User.path(&name).unwrap_or_default(),
    };
    let known = match &explanation {
        Some(explanation) => html! {
            (current(explanation, &row, &balances))
            (of_owner(&dead_letters, &visitor))
            (over_time(explanation, now))
            (page.subscriptions(explanation))
            (page.meters(explanation))
        },
        None if dead_letters.is_empty() => {
            return Err(PageError::NotFound(format!(
                "no event names user '{name}'. Check the spelling of the id. Check that metadata.user_id or \
                 client_reference_id is set at Stripe. Check whether the events are dead letters of a customer"
            )));
        }
        None => html! {
            p { "Only dead letters have this id. No event with it was applied." }
            (of_owner(&dead_letters, &visitor))
        },
    };
    let title = format!("User {name}");
    let content = html! { h1 { "User " (id(&name)) } (known) };
    Ok(layout::page(&visitor, NavItem::None, &title, &content))
}

/// The dead letters of the user's usage reports and Stripe customers.
async fn dead_letters_of(snapshot: &mut PageSnapshot, user: &UserId) -> Result<Vec<DeadLetter>, PageError> {
    let accounts = store::explain::accounts_of(snapshot, user).await?;
    let owners = accounts.iter().map(AccountId::as_str).chain([user.as_str()]);
    let owners: Vec<String> = owners.map(str::to_owned).collect();
    Ok(store::console::dead_letters_of(snapshot, &owners, DEAD_LETTERS_MAX).await?)
}

/// What the user has now, in words and as applications see it.
fn current(explanation: &Explanation, row: &[(String, String)], balances: &[BalanceView]) -> Markup {
    let columns: Vec<(&str, Markup)> = row.iter().map(|(name, value)| (name.as_str(), text(value))).collect();
    html! {
        section.summary aria-label="Summary" { @for sentence in &explanation.summary { p { (text(sentence)) } } }
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

fn over_time(explanation: &Explanation, now: i64) -> Markup {
    html! {
        section aria-labelledby="time" {
            h2 #time { "Over time" }
            h3 { "Tier" }
            (charts::tiers(&explanation.subscriptions, now))
            @for (number, meter) in explanation.meters.iter().enumerate() {
                h3 { "Available " code { (text(&meter.meter)) } }
                (charts::balance(meter, now, number))
            }
        }
    }
}

struct UserPage<'a> {
    visitor: &'a Visitor,
    entries_max: usize,
    path: String,
}

impl UserPage<'_> {
    fn subscriptions(&self, explanation: &Explanation) -> Markup {
        html! {
            section aria-labelledby="subscriptions" {
                h2 #subscriptions { "Why: the subscriptions" }
                @if explanation.subscriptions.is_empty() { p { "None." } }
                @for history in &explanation.subscriptions { (self.subscription(history)) }
                @if !explanation.others.is_empty() {
                    h3 { "Other events" }
                    (self.entries(&explanation.others))
                }
            }
        }
    }

    fn subscription(&self, history: &SubscriptionHistory) -> Markup {
        html! {
            h3 {
                "Subscription " (id(history.subscription.as_str()))
                @if history.is_current { " " span.tag { "current" } }
            }
            p { "Customer " (customer_link(history.customer.as_str())) }
            @for note in &history.notes { p { (text(note)) } }
            (self.entries(&history.entries))
        }
    }

    fn entries(&self, entries: &[HistoryEntry]) -> Markup {
        let skipped = entries.len().saturating_sub(self.entries_max);
        html! {
            @if skipped > 0 {
                (self.skipped_note(skipped))
            }
            ol.timeline { @for entry in &entries[skipped..] { li { (history_entry(entry, self.visitor)) } } }
        }
    }

    fn skipped_note(&self, skipped: usize) -> Markup {
        let skipped = i64::try_from(skipped).unwrap_or(i64::MAX);
        html! {
            p {
                (counted(skipped, "earlier entry is not shown. ", "earlier entries are not shown. "))
                a href={ (self.path) "?all=1" } { "Show all" }
            }
        }
    }

    fn meters(&self, explanation: &Explanation) -> Markup {
        html! {
            section aria-labelledby="meters" {
                h2 #meters { "Why: the balances" }
                @if explanation.meters.is_empty() { p { "None." } }
                @for meter in &explanation.meters { (self.meter(meter)) }
            }
        }
    }

    fn meter(&self, meter: &MeterHistory) -> Markup {
        let lines = meter.summed_lines();
        let skipped = lines.len().saturating_sub(self.entries_max);
        let line = |at: Moment, words: &str| html! { li { (when_seconds(at.0, self.visitor)) p { (text(words)) } } };
        html! {
            h3 { "Meter " code { (text(&meter.meter)) } }
            p { (text(&meter.summary)) }
            @if skipped > 0 {
                (self.skipped_note(skipped))
            }
            ol.timeline { @for (at, words) in &lines[skipped..] { (line(*at, words)) } }
            @if !meter.corrections.is_empty() {
                p { "Corrections of the ledger. The lines above include them:" }
                ol.timeline { @for correction in &meter.corrections { (line(correction.at, &correction.words)) } }
            }
        }
    }
}

/// One entry of a history: its time, its event, and what changed.
pub(super) fn history_entry(entry: &HistoryEntry, visitor: &Visitor) -> Markup {
    html! {
        (when_seconds(entry.at.0, visitor))
        @if let Some(event) = &entry.event { " " (DetailPage::Event.link(event.as_str())) }
        @if let Some(kind) = &entry.event_type { " " (word(kind)) }
        @if let Some(detail) = &entry.detail { p { (text(detail)) } }
        @if !entry.changes.is_empty() {
            ul { @for change in &entry.changes { li { (text(&change.words)) } } }
        }
    }
}

fn balance_table(balances: &[BalanceView]) -> Markup {
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
    layout::table("As applications see them", &head, &rows)
}
