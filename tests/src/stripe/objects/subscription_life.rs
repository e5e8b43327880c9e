//! A subscription's life: its periods follow each other, each with its invoice, until it ends.

use crate::fixtures::{DAY, previous_attributes};
use crate::stripe::account::Call;
use crate::stripe::objects::invoice;
use crate::stripe::objects::subscription::SUBSCRIPTIONS;
use serde_json::{Value, json};
use time::{Date, Duration, Month, OffsetDateTime};

/// Ends it.
pub(crate) fn end(call: &mut Call, subscription: &mut Value, at: i64) {
    if subscription["status"] == "canceled" {
        return;
    }
    subscription["status"] = json!("canceled");
    subscription["ended_at"] = json!(at);
    if subscription["canceled_at"].is_null() {
        subscription["canceled_at"] = json!(at);
    }
    call.mode.put(SUBSCRIPTIONS.collection, subscription);
    call.tell("customer.subscription.deleted", subscription, None);
}

/// Lets it live until `time`: trials end, periods are paid and follow each other, and what was to be
/// canceled is.
pub(crate) fn move_on(call: &mut Call, subscription: &mut Value, time: i64) {
    loop {
        let item = &subscription["items"]["data"][0];
        let start = item["current_period_start"].as_i64().unwrap_or_default();
        let Some(end_of_period) = item["current_period_end"].as_i64().filter(|end| *end <= time) else {
            return;
        };
        let lives = ["active", "trialing", "past_due"];
        if !lives.iter().any(|status| subscription["status"] == *status) {
            return;
        }
        if subscription["cancel_at"].as_i64().is_some_and(|at| at <= end_of_period) {
            return end(call, subscription, end_of_period);
        }
        let old = subscription.clone();
        subscription["status"] = json!("active");
        for item in subscription["items"]["data"].as_array_mut().into_iter().flatten() {
            item["current_period_start"] = json!(end_of_period);
            item["current_period_end"] = json!(period_end(&item["price"], end_of_period));
        }
        let invoice = invoice::paid(call, subscription, "subscription_cycle", (start, end_of_period));
        subscription["latest_invoice"] = json!(invoice);
        call.mode.put(SUBSCRIPTIONS.collection, subscription);
        let changed = previous_attributes(&old, subscription);
        call.tell("customer.subscription.updated", subscription, Some(changed));
    }
}

/// When a period of `price` that starts at `start` ends.
pub(crate) fn period_end(price: &Value, start: i64) -> i64 {
    let count = price["recurring"]["interval_count"].as_i64().unwrap_or(1);
    let months = match price["recurring"]["interval"].as_str() {
        Some("day") => return start + count * DAY,
        Some("week") => return start + count * 7 * DAY,
        Some("year") => count * 12,
        _ => count,
    };
    let Ok(start) = OffsetDateTime::from_unix_timestamp(start) else {
        return start;
    };
    let month = i64::from(start.year()) * 12 + i64::from(u8::from(start.month())) - 1 + months;
    let (year, month) = (i32::try_from(month / 12), u8::try_from(month % 12 + 1));
    let first = year.ok().zip(month.ok().and_then(|month| Month::try_from(month).ok()));
    // Of a month that is too short it is the last day.
    let date = first.and_then(|(year, month)| {
        let day = start.day().min(month.length(year));
        Date::from_calendar_date(year, month, day).ok()
    });
    let end = date.map_or(start + Duration::days(30 * months), |date| start.replace_date(date));
    end.unix_timestamp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_ends_on_the_same_day_or_the_last_of_a_shorter_month() {
        // 2026-01-31, 2026-02-28, 2027-01-31, 2026-02-01, 2026-02-07, at noon in UTC.
        let start = 1_769_860_800;
        for (interval, count, end) in [
            ("month", 1, 1_772_280_000),
            ("year", 1, 1_801_396_800),
            ("day", 1, 1_769_947_200),
            ("week", 1, 1_770_465_600),
        ] {
            let price = json!({"recurring": {"interval": interval, "interval_count": count}});
            assert_eq!(period_end(&price, start), end, "{interval}");
        }
    }
}
