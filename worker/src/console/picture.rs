//! A balance over time, and the tier: drawn, and the same as a table. Colours
//! and strokes are the style sheet's, so that they follow the scheme.

use super::layout::{grouped, rfc3339};
use crate::domain::explain::{MeterHistory, SubscriptionHistory};
use maud::{Markup, html};
use std::fmt::Write;

const WIDTH: i64 = 1_000;
const HEIGHT: i64 = 100;
/// The latest steps that are drawn.
const STEPS_MOST: usize = 500;
/// The latest steps that are listed.
const ROWS_MOST: usize = 50;

/// A value from a time on; none is unlimited.
type Step = (i64, Option<i64>);

/// What was left of a meter, from its first change until `now`.
pub(super) fn balance(meter: &MeterHistory, now: i64, number: usize) -> Markup {
    let steps = steps(meter, now);
    let Some((from, _)) = steps.first() else {
        return html! {};
    };
    let known: Vec<i64> = steps.iter().filter_map(|(_, value)| *value).collect();
    let (Some(least), Some(most)) = (known.iter().min(), known.iter().max()) else {
        return html! { p.hint { "Unlimited all the time." } };
    };
    let free = unlimited(&steps, now);
    let title = format!(
        "{} available from {} to {}: between {} and {}",
        meter.meter,
        rfc3339(*from),
        rfc3339(now),
        grouped(*least),
        grouped(*most)
    );
    html! {
        figure {
            svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-labelledby={ "chart" (number) } {
                title id={ "chart" (number) } { (title) }
                @if *least < 0 {
                    @let zero = height(0, *least, *most);
                    line.zero x1="0" x2=(WIDTH) y1=(zero) y2=(zero) {}
                }
                @for (left, right) in &free { rect.unlimited x=(left) y="0" width=((right - left).max(1)) height=(HEIGHT) {} }
                @for path in paths(&steps, now, *least, *most) {
                    path.area d={ (path) "V" (HEIGHT) "H" (start(&path)) "Z" } {}
                    path.line d=(path) {}
                }
            }
            div.axis aria-hidden="true" {
                span { (day(*from)) }
                span { (grouped(*least.min(&0))) " – " (grouped((*most).max(0))) @if !free.is_empty() { ", unlimited where filled" } }
                span { (day(now)) }
            }
            details {
                summary { "The same as a table" }
                (rows(&format!("{} available, the latest first", meter.meter), &steps))
            }
        }
    }
}

/// One value a second at the most, the last of it.
fn steps(meter: &MeterHistory, now: i64) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in meter.lines.iter().filter(|l| l.at.0 <= now) {
        match steps.last_mut() {
            Some(last) if last.0 == line.at.0 => last.1 = line.available,
            Some(last) if last.1 == line.available => {}
            _ => steps.push((line.at.0, line.available)),
        }
    }
    steps.split_off(steps.len().saturating_sub(STEPS_MOST))
}

/// A path for each stretch of time in which the value is limited.
fn paths(steps: &[Step], now: i64, least: i64, most: i64) -> Vec<String> {
    let from = steps.first().map_or(now, |(at, _)| *at);
    let place = |at: i64| across(at, from, now);
    let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let mut paths: Vec<String> = Vec::new();
    let mut drawing = false;
    for ((at, value), end) in steps.iter().zip(ends) {
        let Some(value) = value else {
            drawing = false;
            continue;
        };
        let y = height(*value, least, most);
        if !drawing {
            paths.push(format!("M{} {y}", place(*at)));
            drawing = true;
        }
        if let Some(path) = paths.last_mut() {
            // Writing to a string cannot fail.
            let _ = write!(path, "V{y}H{}", place(end));
        }
    }
    paths
}

/// From where to where the value has no limit.
fn unlimited(steps: &[Step], now: i64) -> Vec<(i64, i64)> {
    let from = steps.first().map_or(now, |(at, _)| *at);
    let ends = steps.iter().skip(1).map(|(at, _)| *at).chain([now]);
    let stretches = steps.iter().zip(ends).filter(|((_, value), _)| value.is_none());
    stretches
        .map(|((at, _), end)| (across(*at, from, now), across(end, from, now)))
        .collect()
}

/// Where a path begins, from left.
fn start(path: &str) -> &str {
    path.strip_prefix('M').and_then(|p| p.split(' ').next()).unwrap_or("0")
}

fn across(at: i64, from: i64, to: i64) -> i64 {
    scaled(at, from, to, WIDTH)
}

/// From above, as SVG counts; zero is always in the picture.
fn height(value: i64, least: i64, most: i64) -> i64 {
    // Room for the stroke.
    HEIGHT - 3 - scaled(value, least.min(0), most.max(0), HEIGHT - 6)
}

fn scaled(value: i64, from: i64, to: i64, length: i64) -> i64 {
    let (value, from, to) = (i128::from(value), i128::from(from), i128::from(to));
    let share = (value - from) * i128::from(length) / (to - from).max(1);
    i64::try_from(share.clamp(0, i128::from(length))).unwrap_or_default()
}

fn day(at: i64) -> String {
    rfc3339(at).split('T').next().unwrap_or_default().to_owned()
}

fn rows(caption: &str, steps: &[Step]) -> Markup {
    html! {
        table.counts {
            caption { (caption) }
            thead { tr { th scope="col" { "From" } th.number scope="col" { "Available" } } }
            tbody {
                @for (at, value) in steps.iter().rev().take(ROWS_MOST) {
                    tr { th scope="row" { (rfc3339(*at)) } td.number { (value.map_or("unlimited".to_owned(), grouped)) } }
                }
            }
        }
    }
}

/// The tiers that each subscription gave, as bands of one length of time.
pub(super) fn tiers(chapters: &[SubscriptionHistory], now: i64) -> Markup {
    let bands: Vec<(&SubscriptionHistory, Vec<(i64, &str)>)> = chapters
        .iter()
        .map(|chapter| (chapter, changes(chapter, now)))
        .filter(|(_, changes)| !changes.is_empty())
        .collect();
    let Some(from) = bands.iter().filter_map(|(_, changes)| Some(changes.first()?.0)).min() else {
        return html! {};
    };
    html! {
        figure {
            @for (number, (chapter, changes)) in bands.iter().enumerate() {
                @let title = format!("Tiers of {} from {} to {}", chapter.subscription, rfc3339(from), rfc3339(now));
                svg.band viewBox={ "0 0 " (WIDTH) " 10" } preserveAspectRatio="none" role="img" aria-labelledby={ "band" (number) } {
                    title id={ "band" (number) } { (title) }
                    @for (place, (at, tier)) in changes.iter().enumerate() {
                        @let until = changes.get(place + 1).map_or(now, |(at, _)| *at);
                        @let (left, right) = (across(*at, from, now), across(until, from, now));
                        rect class={ "tier" (shade(changes, tier)) } x=(left) y="0" width=((right - left).max(1)) height="10" {}
                    }
                }
            }
            div.axis aria-hidden="true" { span { (day(from)) } span { (day(now)) } }
            @for (chapter, changes) in &bands {
                ul.legend aria-label={ "Tiers of " (chapter.subscription) } {
                    @for tier in names(changes) { li { span class={ "key tier" (shade(changes, tier)) } {} " " (super::layout::text(tier)) } }
                }
            }
            details {
                summary { "The same as a table" }
                table.counts {
                    caption { "What each subscription gave" }
                    thead { tr { th scope="col" { "From" } th scope="col" { "Tier" } th scope="col" { "Subscription" } } }
                    tbody {
                        @for (chapter, changes) in &bands { @for (at, tier) in changes.iter().rev().take(ROWS_MOST) { tr {
                            th scope="row" { (rfc3339(*at)) }
                            td { span class={ "key tier" (shade(changes, tier)) } {} (super::layout::text(tier)) }
                            td { (super::layout::id(chapter.subscription.as_str())) }
                        } } }
                    }
                }
            }
        }
    }
}

fn changes(chapter: &SubscriptionHistory, now: i64) -> Vec<(i64, &str)> {
    let given = chapter.entries.iter().filter(|e| e.at.0 <= now);
    let given: Vec<(i64, &str)> = given
        .filter_map(|e| Some((e.at.0, e.access_tier.as_deref()?)))
        .collect();
    given[given.len().saturating_sub(STEPS_MOST)..].to_vec()
}

fn names<'a>(changes: &[(i64, &'a str)]) -> Vec<&'a str> {
    let mut names: Vec<&str> = changes.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// One of the style sheet's shades for each tier, in the order of their names.
fn shade(changes: &[(i64, &str)], tier: &str) -> usize {
    names(changes).iter().position(|name| *name == tier).unwrap_or_default() % 4
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_drawn_in_steps_and_stops_where_there_is_no_limit() {
        let steps = [(0, Some(0)), (250, Some(100)), (500, None), (750, Some(-100))];
        assert_eq!(
            paths(&steps, 1_000, -100, 100),
            ["M0 50V50H250V3H500", "M750 97V97H1000"]
        );
        assert_eq!(unlimited(&steps, 1_000), [(500, 750)]);
        assert_eq!(start("M750 97V97H1000"), "750");
    }

    #[test]
    fn values_of_any_size_fit_into_the_picture() {
        for (least, most) in [
            (i64::MIN, i64::MAX),
            (0, 0),
            (5, 5),
            (i64::MAX, i64::MAX),
            (i64::MIN, i64::MIN),
        ] {
            for value in [least, most] {
                let y = height(value, least, most);
                assert!((0..=HEIGHT).contains(&y), "{value} at {y}");
            }
        }
        assert_eq!((across(5, 5, 5), across(i64::MAX, i64::MIN, i64::MAX)), (0, WIDTH));
    }
}
