//! Charts of a balance and of tiers over time, each with a table of the same
//! values. The style sheet has the colours, so that they follow the colour scheme.

use super::format::{grouped, id, rfc3339, text};
use crate::domain::explain::{MeterHistory, SubscriptionHistory};
use maud::{Markup, html};
use std::fmt::Write;

/// The charts' size in SVG units. The style sheet stretches them to the page.
const WIDTH: i64 = 1_000;
const HEIGHT: i64 = 100;
/// Points that a chart draws, the latest ones.
const POINTS_MAX: usize = 500;
/// Rows of a chart's table, the latest ones.
const ROWS_MAX: usize = 50;

/// From when a value holds, in seconds, and the value. None is unlimited.
type ChartPoint = (i64, Option<i64>);

/// The available balance of a meter, from its first change until `now`.
pub(super) fn balance(meter: &MeterHistory, now: i64, number: usize) -> Markup {
    let points = points(meter, now);
    let Some((from, _)) = points.first() else {
        return html! {};
    };
    let known: Vec<i64> = points.iter().filter_map(|(_, value)| *value).collect();
    let (Some(min), Some(max)) = (known.iter().min(), known.iter().max()) else {
        return html! { p.hint { "Unlimited all the time." } };
    };
    let unlimited = unlimited_spans(&points, now);
    let title = format!(
        "{} available from {} to {}: between {} and {}",
        meter.meter,
        rfc3339(*from),
        rfc3339(now),
        grouped(*min),
        grouped(*max)
    );
    html! {
        figure {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-labelledby={ "chart" (number) } {
                title id={ "chart" (number) } { (title) }
                @if *min < 0 {
                    @let zero = height(0, *min, *max);
                    line.zero x1="0" x2=(WIDTH) y1=(zero) y2=(zero) {}
                }
                @for (left, right) in &unlimited { rect.unlimited x=(left) y="0" width=((right - left).max(1)) height=(HEIGHT) {} }
                @for path in paths(&points, now, *min, *max) {
                    path.area d={ (path) "V" (HEIGHT) "H" (start_x(&path)) "Z" } {}
                    path.line d=(path) {}
                }
            }
            div.axis aria-hidden="true" {
                span { (day(*from)) }
                span { (grouped(*min.min(&0))) " – " (grouped((*max).max(0))) @if !unlimited.is_empty() { ", unlimited where filled" } }
                span { (day(now)) }
            }
            details {
                summary { "Show as a table" }
                (rows(&format!("{} available, latest first", meter.meter), &points))
            }
        }
    }
}

/// The points of a meter: the last value of each second that changed it.
fn points(meter: &MeterHistory, now: i64) -> Vec<ChartPoint> {
    let mut points: Vec<ChartPoint> = Vec::new();
    for line in meter.lines.iter().filter(|l| l.at.0 <= now) {
        match points.last_mut() {
            Some(last) if last.0 == line.at.0 => last.1 = line.available,
            Some(last) if last.1 == line.available => {}
            _ => points.push((line.at.0, line.available)),
        }
    }
    points.split_off(points.len().saturating_sub(POINTS_MAX))
}

/// An SVG path for each span of time in which the value has a limit.
fn paths(points: &[ChartPoint], now: i64, min: i64, max: i64) -> Vec<String> {
    let from = points.first().map_or(now, |(at, _)| *at);
    let x = |at: i64| across(at, from, now);
    let ends = points.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let mut paths: Vec<String> = Vec::new();
    let mut drawing = false;
    for ((at, value), end) in points.iter().zip(ends) {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let y = height(*value, min, max);
        if !drawing {
            paths.push(format!("M{} {y}", x(*at)));
            drawing = true;
        }
        if let Some(path) = paths.last_mut() {
            // Writing to a string cannot fail.
            let _ = write!(path, "V{y}H{}", x(end));
        }
    }
    paths
}

/// The spans without a limit, as left and right on the x axis.
fn unlimited_spans(points: &[ChartPoint], now: i64) -> Vec<(i64, i64)> {
    let from = points.first().map_or(now, |(at, _)| *at);
    let ends = points.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let spans = points.iter().zip(ends).filter(|((_, value), _)| value.is_none());
    spans
        .map(|((at, _), end)| (across(*at, from, now), across(end, from, now)))
        .collect()
}

/// The x at which a path begins.
fn start_x(path: &str) -> &str {
    path.strip_prefix('M').and_then(|p| p.split(' ').next()).unwrap_or("0")
}

fn across(at: i64, from: i64, to: i64) -> i64 {
    scaled(at, from, to, WIDTH)
}

/// The y of a value: SVG counts from the top. Zero is always on the chart.
fn height(value: i64, min: i64, max: i64) -> i64 {
    // Room for the stroke.
    HEIGHT - 3 - scaled(value, min.min(0), max.max(0), HEIGHT - 6)
}

fn scaled(value: i64, from: i64, to: i64, length: i64) -> i64 {
    let (value, from, to) = (i128::from(value), i128::from(from), i128::from(to));
    let share = (value - from) * i128::from(length) / (to - from).max(1);
    i64::try_from(share.clamp(0, i128::from(length))).unwrap_or_default()
}

fn day(at: i64) -> String {
    rfc3339(at).split('T').next().unwrap_or_default().to_owned()
}

fn rows(caption: &str, points: &[ChartPoint]) -> Markup {
    html! {
        table.counts {
            caption { (caption) }
            thead { tr { th scope="col" { "From" } th.number scope="col" { "Available" } } }
            tbody {
                @for (at, value) in points.iter().rev().take(ROWS_MAX) {
                    tr { th scope="row" { (rfc3339(*at)) } td.number { (value.map_or("unlimited".to_owned(), grouped)) } }
                }
            }
        }
    }
}

/// The tiers that each subscription gave, as bands on one time axis.
pub(super) fn tiers(histories: &[SubscriptionHistory], now: i64) -> Markup {
    let bands: Vec<(&SubscriptionHistory, Vec<(i64, &str)>)> = histories
        .iter()
        .map(|history| (history, tier_changes(history, now)))
        .filter(|(_, changes)| !changes.is_empty())
        .collect();
    let Some(from) = bands.iter().filter_map(|(_, changes)| Some(changes.first()?.0)).min() else {
        return html! {};
    };
    html! {
        figure {
            @for (number, (history, changes)) in bands.iter().enumerate() {
                @let title = format!("Tiers of {} from {} to {}", history.subscription, rfc3339(from), rfc3339(now));
                svg.band viewBox={ "0 0 " (WIDTH) " 10" } preserveAspectRatio="none" role="img" aria-labelledby={ "band" (number) } {
                    title id={ "band" (number) } { (title) }
                    @for (index, (at, tier)) in changes.iter().enumerate() {
                        @let until = changes.get(index + 1).map_or(now, |(at, _)| *at);
                        @let (left, right) = (across(*at, from, now), across(until, from, now));
                        rect class={ "tier" (shade(changes, tier)) } x=(left) y="0" width=((right - left).max(1)) height="10" {}
                    }
                }
            }
            div.axis aria-hidden="true" { span { (day(from)) } span { (day(now)) } }
            @for (history, changes) in &bands {
                ul.legend aria-label={ "Tiers of " (history.subscription) } {
                    @for tier in tier_names(changes) { li { span class={ "key tier" (shade(changes, tier)) } {} " " (text(tier)) } }
                }
            }
            details {
                summary { "Show as a table" }
                table.counts {
                    caption { "What each subscription gave" }
                    thead { tr { th scope="col" { "From" } th scope="col" { "Tier" } th scope="col" { "Subscription" } } }
                    tbody {
                        @for (history, changes) in &bands { @for (at, tier) in changes.iter().rev().take(ROWS_MAX) { tr {
                            th scope="row" { (rfc3339(*at)) }
                            td { span class={ "key tier" (shade(changes, tier)) } {} (text(tier)) }
                            td { (id(history.subscription.as_str())) }
                        } } }
                    }
                }
            }
        }
    }
}

/// The latest changes of a subscription's tier: when, in seconds, and to which tier.
fn tier_changes(history: &SubscriptionHistory, now: i64) -> Vec<(i64, &str)> {
    let entries = history.entries.iter().filter(|e| e.at.0 <= now);
    let changes: Vec<(i64, &str)> = entries
        .filter_map(|e| Some((e.at.0, e.access_tier.as_deref()?)))
        .collect();
    changes[changes.len().saturating_sub(POINTS_MAX)..].to_vec()
}

fn tier_names<'a>(changes: &[(i64, &'a str)]) -> Vec<&'a str> {
    let mut names: Vec<&str> = changes.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The number of the style sheet's colour for a tier, by the order of the names.
fn shade(changes: &[(i64, &str)], tier: &str) -> usize {
    tier_names(changes)
        .iter()
        .position(|name| *name == tier)
        .unwrap_or_default()
        % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_drawn_in_steps_and_stops_where_there_is_no_limit() {
        let points = [(0, Some(0)), (250, Some(100)), (500, None), (750, Some(-100))];
        assert_eq!(
            paths(&points, 1_000, -100, 100),
            ["M0 50V50H250V3H500", "M750 97V97H1000"]
        );
        assert_eq!(unlimited_spans(&points, 1_000), [(500, 750)]);
        assert_eq!(start_x("M750 97V97H1000"), "750");
    }

    #[test]
    fn values_of_any_size_fit_on_the_chart() {
        for (min, max) in [
            (i64::MIN, i64::MAX),
            (0, 0),
            (5, 5),
            (i64::MAX, i64::MAX),
            (i64::MIN, i64::MIN),
        ] {
            for value in [min, max] {
                let y = height(value, min, max);
                assert!((0..=HEIGHT).contains(&y), "{value} at {y}");
            }
        }
        assert_eq!((across(5, 5, 5), across(i64::MAX, i64::MIN, i64::MAX)), (0, WIDTH));
    }
}
