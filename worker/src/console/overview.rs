//! The first page: the state of the system, and what needs an operator.

use super::{
    format::{counted, duration, grouped, plain, text, when, when_seconds, word},
    layout::{self, NavItem, list, table},
    links::DetailPage,
    page_error::PageError,
    rates::{by_label, gauge, outcomes},
    state::Console,
    visitor::Visitor,
};
use crate::{
    metrics::{self, DELIVERY_OUTCOMES},
    recent,
    store::{self, dead_letter_queries::DeadLetter},
};
use axum::{Extension, extract::State};
use maud::{Markup, html};
use prometheus::IntGauge;
use shared::{
    metrics::{BROKER_BLOCKED, BROKER_UP, Metric},
    topology::Purpose,
};
use std::{collections::BTreeMap, sync::Arc};

/// The latest dead letters that the page lists.
const DEAD_LETTERS_MAX: i64 = 5;

/// `GET /console`
pub(super) async fn show(State(console): State<Arc<Console>>, Extension(visitor): Extension<Visitor>) -> Markup {
    let open = open_dead_letters(&console).await.inspect_err(PageError::log);
    let content = html! {
        h1 { "Overview" }
        (state(&console))
        div.columns {
            (queues())
            (open_by_reason(open.as_ref().ok()))
        }
        (latest(open, &visitor))
        (by_type())
        (errors(&visitor))
    };
    layout::page(&visitor, NavItem::Overview, "Overview", &content)
}

/// The open dead letters, read in one snapshot. The gauge is some seconds old, and
/// would still count a dead letter that an operator has just dealt with.
struct OpenDeadLetters {
    by_reason: Vec<(String, i64)>,
    latest: Vec<DeadLetter>,
}

async fn open_dead_letters(console: &Console) -> Result<OpenDeadLetters, PageError> {
    let mut snapshot = console.database.snapshot().await?;
    let mut by_reason = store::dead_letter::count_open(&mut snapshot).await?;
    by_reason.sort();
    let latest = store::console::latest_dead_letters(&mut snapshot, DEAD_LETTERS_MAX).await?;
    snapshot.end().await?;
    Ok(OpenDeadLetters { by_reason, latest })
}

/// A few figures that show whether everything works.
fn state(console: &Console) -> Markup {
    let is_on = |of: &Metric<IntGauge>| gauge(of).is_some_and(|value| value > 0);
    // A gauge that is not known yet is not off.
    let is_off = |of: &Metric<IntGauge>| gauge(of) == Some(0);
    let database = if is_on(&metrics::DATABASE_DOWN) || is_off(&metrics::DATABASE_UP) {
        "cannot be used"
    } else {
        "in use"
    };
    let broker = if by_label(&BROKER_UP).iter().any(|(_, up)| *up == 0) {
        "cannot be reached"
    } else if is_off(&metrics::CONSUMING) {
        "is not consumed from"
    } else if is_on(&BROKER_BLOCKED) {
        "blocks publishing"
    } else {
        "in use"
    };
    let waiting = [
        (
            &metrics::UNLINKED,
            "subscription without a user",
            "subscriptions without a user",
        ),
        (
            &metrics::UNSEEN,
            "subscription without events of its own",
            "subscriptions without events of their own",
        ),
        (
            &metrics::UNLINKED_PACKS,
            "paid pack without a user",
            "paid packs without a user",
        ),
    ];
    let waiting: Vec<String> = waiting
        .into_iter()
        .filter_map(|(of, singular, plural)| Some((gauge(of)?, singular, plural)))
        .filter(|(count, ..)| *count > 0)
        .map(|(count, singular, plural)| counted(count, singular, plural))
        .collect();
    let oldest = oldest_in_words(
        gauge(&metrics::OLDEST_UNAPPLIED),
        is_on(&metrics::CONSUMING),
        depth(Purpose::Work),
    );
    let rate = console.rates.per_minute();
    let facts = [
        ("Database", plain(database)),
        ("Broker", plain(broker)),
        ("Oldest event in this worker", plain(&oldest)),
        (
            "This worker settles",
            plain(&rate.map_or("unknown yet".to_owned(), |r| {
                counted(r, "delivery a minute", "deliveries a minute")
            })),
        ),
        (
            "Waiting for Stripe",
            html! {
                @if waiting.is_empty() { "nothing" }
                @for line in waiting { span.line { (line) } }
            },
        ),
    ];
    html! { section aria-label="State" { (list(&facts)) } }
}

/// The age of the oldest event in this worker, in words. The age of events in the
/// queue is unknown. `oldest`: in seconds, 0 if the worker has none. `waiting`: the
/// messages in the work queue.
fn oldest_in_words(oldest: Option<i64>, is_consuming: bool, waiting: Option<i64>) -> String {
    match (oldest, waiting) {
        _ if !is_consuming => "unknown: this worker does not consume".to_owned(),
        (None, _) => "unknown".to_owned(),
        (Some(0), Some(1..)) => "unknown: events wait in the queue, and this worker has no old ones".to_owned(),
        (Some(0), None) => "this worker has no old events; the depth of the queue is unknown".to_owned(),
        (Some(0), Some(_)) => "no event waits".to_owned(),
        (Some(seconds), _) => duration(seconds),
    }
}

fn depth(of: Purpose) -> Option<i64> {
    let depth = by_label(&metrics::QUEUED)
        .into_iter()
        .find(|(name, _)| name == of.as_str());
    depth.map(|(_, messages)| messages)
}

fn queues() -> Markup {
    let depths = by_label(&metrics::QUEUED);
    html! {
        section aria-labelledby="queues" {
            h2 #queues { "Queues" }
            @if depths.is_empty() {
                p { "The depths are unknown." }
            } @else {
                (counts("Waiting messages, by queue", "Queue", &depths))
            }
        }
    }
}

fn open_by_reason(open: Option<&OpenDeadLetters>) -> Markup {
    html! {
        section aria-labelledby="dead-letters" {
            h2 #dead-letters { "Dead letters" }
            @match open {
                None => p { "Their number is unknown." },
                Some(open) if open.by_reason.is_empty() => p { "None is open." },
                Some(open) => {
                    @let all = open.by_reason.iter().map(|(_, count)| count).sum();
                    p { a href="/console/dead-letters" { (grouped(all)) " open" } ": waiting for an operator." }
                    (counts("Open dead letters, by reason", "Reason", &open.by_reason))
                }
            }
        }
    }
}

fn counts(caption: &str, name: &str, counts: &[(String, i64)]) -> Markup {
    html! {
        table.counts {
            caption { (caption) }
            thead { tr { th scope="col" { (name) } th.number scope="col" { "Count" } } }
            tbody {
                @for (name, count) in counts {
                    tr { th scope="row" { code { (name) } } td.number { (grouped(*count)) } }
                }
            }
        }
    }
}

/// The latest open dead letters, or the error. The rest of the page works without
/// the database, and is needed most then.
fn latest(open: Result<OpenDeadLetters, PageError>, visitor: &Visitor) -> Markup {
    let (dead_letters, error) = match open {
        Ok(open) => (open.latest, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let row = |dead_letter: &DeadLetter| {
        vec![
            DetailPage::DeadLetter.link(&dead_letter.id),
            word(&dead_letter.kind),
            word(&dead_letter.reason),
            when(dead_letter.first_failed, visitor),
            text(&dead_letter.detail),
        ]
    };
    let rows: Vec<Vec<Markup>> = dead_letters.iter().map(row).collect();
    html! {
        section aria-labelledby="latest" {
            h2 #latest { "Latest dead letters" }
            @if let Some(error) = error { p.alert { (error) } } @else if rows.is_empty() { p { "None." } } @else {
                (table("Open ones, latest first", &["Id", "Type", "Reason", "Failed", "Why"], &rows))
            }
        }
    }
}

fn by_type() -> Markup {
    let mut types: BTreeMap<String, [u64; DELIVERY_OUTCOMES.len()]> = BTreeMap::new();
    for (kind, outcome, count) in outcomes() {
        if let Some(index) = DELIVERY_OUTCOMES.iter().position(|o| *o == outcome) {
            types.entry(kind).or_default()[index] += count;
        }
    }
    html! {
        section aria-labelledby="outcomes" {
            h2 #outcomes { "Outcomes by type" }
            @if types.is_empty() { p { "This worker has settled no delivery since it started." } } @else {
                div.scroll tabindex="0" role="group" aria-label="Table of outcomes" {
                    table.counts {
                        caption { "Deliveries that this worker settled since it started" }
                        thead { tr {
                            th scope="col" { "Type" }
                            @for outcome in DELIVERY_OUTCOMES { th.number scope="col" { (outcome) } }
                        } }
                        tbody { @for (kind, counts) in &types { tr {
                            th scope="row" { (word(kind)) }
                            @for count in counts {
                                td.number.none[*count == 0] { (grouped(i64::try_from(*count).unwrap_or(i64::MAX))) }
                            }
                        } } }
                    }
                }
            }
        }
    }
}

fn errors(visitor: &Visitor) -> Markup {
    let failures = recent::latest();
    let row = |failure: &recent::RecentFailure| {
        vec![
            when_seconds(failure.at_ms / 1_000, visitor),
            DetailPage::Event.link(&failure.event),
            word(&failure.kind),
            plain(failure.outcome),
            text(&failure.detail),
        ]
    };
    let rows: Vec<Vec<Markup>> = failures.iter().map(row).collect();
    html! {
        section aria-labelledby="errors" {
            h2 #errors { "Last errors" }
            @if rows.is_empty() { p { "This worker has had none since it started." } } @else {
                (table("Of this worker, latest first", &["When", "Event", "Type", "What", "Why"], &rows))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_events_in_the_queue_is_unknown() {
        for (oldest, is_consuming, waiting, expected) in [
            (Some(0), true, Some(0), "no event waits"),
            (Some(90), true, Some(0), "90 s"),
            (Some(600), true, Some(5), "10 min"),
            (Some(600), true, None, "10 min"),
            (
                Some(0),
                true,
                Some(5),
                "unknown: events wait in the queue, and this worker has no old ones",
            ),
            (
                Some(0),
                true,
                None,
                "this worker has no old events; the depth of the queue is unknown",
            ),
            (Some(0), false, Some(0), "unknown: this worker does not consume"),
            (Some(600), false, Some(5), "unknown: this worker does not consume"),
            (None, true, Some(0), "unknown"),
        ] {
            assert_eq!(oldest_in_words(oldest, is_consuming, waiting), expected);
        }
    }
}
