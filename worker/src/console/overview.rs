//! The first page: does it work, and what needs somebody.

use super::{
    Console,
    guard::Visitor,
    layout::{self, Place, Thing, grouped, list, plain, span, table, text, when, word},
    problem::Problem,
    rates::{by_label, gauge, outcomes},
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

/// The latest dead letters that are shown.
const LETTERS_MAX: i64 = 5;

/// `GET /console`
pub(super) async fn show(State(console): State<Arc<Console>>, Extension(visitor): Extension<Visitor>) -> Markup {
    let dead = dead_letters(&console).await.inspect_err(Problem::log);
    let content = html! {
        h1 { "Overview" }
        (state(&console))
        div.columns {
            (queues())
            (open(dead.as_ref().ok()))
        }
        (latest(dead, &visitor))
        (by_type())
        (errors(&visitor))
    };
    layout::page(&visitor, Place::Overview, "Overview", &content)
}

/// The open dead letters, all of one moment: an operator who has just dealt with
/// one must not be told of it again, as a gauge of some seconds ago would.
struct Dead {
    by_reason: Vec<(String, i64)>,
    latest: Vec<DeadLetter>,
}

async fn dead_letters(console: &Console) -> Result<Dead, Problem> {
    let mut look = console.reader.look().await?;
    let mut by_reason = store::dead_letter::count_open(&mut look).await?;
    by_reason.sort();
    let latest = store::console::latest_letters(&mut look, LETTERS_MAX).await?;
    look.end().await?;
    Ok(Dead { by_reason, latest })
}

/// In a few figures whether all is well.
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
        (&metrics::UNLINKED, "subscriptions without a user"),
        (&metrics::UNSEEN, "subscriptions whose own events have not come"),
        (&metrics::UNLINKED_PACKS, "paid packs without a user"),
    ];
    let waiting: Vec<(i64, &str)> = waiting
        .into_iter()
        .filter_map(|(of, what)| Some((gauge(of).filter(|count| *count > 0)?, what)))
        .collect();
    let oldest = held(
        gauge(&metrics::OLDEST_UNAPPLIED),
        is_on(&metrics::CONSUMING),
        depth(Purpose::Work),
    );
    let rate = console.rates.per_minute();
    let facts = [
        ("Database", plain(database)),
        ("Broker", plain(broker)),
        ("Oldest event that this worker holds", plain(&oldest)),
        (
            "This worker settles",
            plain(&rate.map_or("not known yet".to_owned(), |r| {
                format!("{} deliveries a minute", grouped(r))
            })),
        ),
        (
            "Waiting for Stripe",
            html! {
                @if waiting.is_empty() { "nothing" }
                @for (count, what) in waiting { span.line { (grouped(count)) " " (what) } }
            },
        ),
    ];
    html! { section aria-label="State" { (list(&facts)) } }
}

/// How long the oldest event has waited that this worker holds, in words: of what
/// it does not hold it does not know the age. `oldest`: in seconds, 0 if it holds
/// none; `waiting`: how many are in the work queue.
fn held(oldest: Option<i64>, is_consuming: bool, waiting: Option<i64>) -> String {
    match (oldest, waiting) {
        _ if !is_consuming => "unknown: it does not consume".to_owned(),
        (None, _) => "unknown".to_owned(),
        (Some(0), Some(1..)) => "unknown: events wait in the queue, and it holds none or new ones".to_owned(),
        (Some(0), None) => "it holds none or new ones; whether any wait in the queue is unknown".to_owned(),
        (Some(0), Some(_)) => "none waits".to_owned(),
        (Some(seconds), _) => span(seconds),
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
                p { "Depths are unknown." }
            } @else {
                (counts("Messages that wait, by queue", "Queue", &depths))
            }
        }
    }
}

fn open(dead: Option<&Dead>) -> Markup {
    html! {
        section aria-labelledby="dead" {
            h2 #dead { "Dead letters" }
            @match dead {
                None => p { "Their number is unknown." },
                Some(dead) if dead.by_reason.is_empty() => p { "None is open." },
                Some(dead) => {
                    @let all = dead.by_reason.iter().map(|(_, count)| count).sum();
                    p { a href="/console/dead-letters" { (grouped(all)) " open" } " wait for somebody." }
                    (counts("Open dead letters, by reason", "Reason", &dead.by_reason))
                }
            }
        }
    }
}

fn counts(caption: &str, of: &str, counts: &[(String, i64)]) -> Markup {
    html! {
        table.counts {
            caption { (caption) }
            thead { tr { th scope="col" { (of) } th.number scope="col" { "Count" } } }
            tbody {
                @for (name, count) in counts {
                    tr { th scope="row" { code { (name) } } td.number { (grouped(*count)) } }
                }
            }
        }
    }
}

/// Without a database the rest of the page is the more needed.
fn latest(dead: Result<Dead, Problem>, visitor: &Visitor) -> Markup {
    let (letters, problem) = match dead {
        Ok(dead) => (dead.latest, None),
        Err(problem) => (Vec::new(), Some(problem)),
    };
    let row = |letter: &DeadLetter| {
        vec![
            Thing::DeadLetter.link(&letter.id),
            word(&letter.kind),
            word(&letter.reason),
            when(letter.first_failed, visitor),
            text(&letter.detail),
        ]
    };
    let rows: Vec<Vec<Markup>> = letters.iter().map(row).collect();
    html! {
        section aria-labelledby="latest" {
            h2 #latest { "Latest dead letters" }
            @if let Some(problem) = problem { p.alert { (problem) } } @else if rows.is_empty() { p { "None." } } @else {
                (table("Open, the latest first", &["Id", "Type", "Reason", "Failed", "Why"], &rows))
            }
        }
    }
}

fn by_type() -> Markup {
    let mut types: BTreeMap<String, [u64; DELIVERY_OUTCOMES.len()]> = BTreeMap::new();
    for (kind, outcome, count) in outcomes() {
        if let Some(place) = DELIVERY_OUTCOMES.iter().position(|o| *o == outcome) {
            types.entry(kind).or_default()[place] += count;
        }
    }
    html! {
        section aria-labelledby="outcomes" {
            h2 #outcomes { "Outcomes by type" }
            @if types.is_empty() { p { "This worker has settled nothing since it started." } } @else {
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
            layout::when_seconds(failure.at_ms / 1_000, visitor),
            Thing::Event.link(&failure.event),
            word(&failure.kind),
            plain(failure.outcome),
            text(&failure.detail),
        ]
    };
    let rows: Vec<Vec<Markup>> = failures.iter().map(row).collect();
    html! {
        section aria-labelledby="errors" {
            h2 #errors { "Last errors" }
            @if rows.is_empty() { p { "None on this worker since it started." } } @else {
                (table("Of this worker, the latest first", &["When", "Event", "Type", "What", "Why"], &rows))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_what_a_worker_does_not_hold_is_unknown() {
        for (oldest, is_consuming, waiting, said) in [
            (Some(0), true, Some(0), "none waits"),
            (Some(90), true, Some(0), "90 s"),
            (Some(600), true, Some(5), "10 min"),
            (Some(600), true, None, "10 min"),
            (
                Some(0),
                true,
                Some(5),
                "unknown: events wait in the queue, and it holds none or new ones",
            ),
            (
                Some(0),
                true,
                None,
                "it holds none or new ones; whether any wait in the queue is unknown",
            ),
            (Some(0), false, Some(0), "unknown: it does not consume"),
            (Some(600), false, Some(5), "unknown: it does not consume"),
            (None, true, Some(0), "unknown"),
        ] {
            assert_eq!(held(oldest, is_consuming, waiting), said);
        }
    }
}
