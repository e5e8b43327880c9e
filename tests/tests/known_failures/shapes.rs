//! Subscriptions with several items, and prices of other intervals.

use crate::buyer::{Buyer, Shaped, add_item, set_item};
use crate::stage::{HOUR, M, SHAPES, tell};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::fixtures::price::{self, BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY, PLUS_YEARLY};
use tests::fixtures::{
    ApiVersion, DAY, Event, Interval, Invoice, Line, Period, Price, Resource, Subscription, previous_attributes,
};
use tests::harness::{Balance, unix_now};

/// Support by the year; the catalog does not know it.
const SUPPORT_YEARLY: Price = Price {
    id: "price_1QbTbrsupportYearly50EUR",
    lookup_key: "support_yearly",
    product: "prod_support",
    cents: 5_000,
    interval: Interval::Year,
    ..price::UNKNOWN
};

/// Storage by the month; the catalog does not know it.
const STORAGE_MONTHLY: Price = Price {
    id: "price_1QbTbrstorageMonthly2EUR",
    lookup_key: "storage_monthly",
    product: "prod_storage",
    cents: 200,
    ..price::UNKNOWN
};

const CREATED: &str = "customer.subscription.created";

#[test]
fn a_yearly_add_on_beside_a_monthly_plan_changes_no_period_usage_or_grace() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 40 * DAY;
        for (version, is_first) in SHAPES
            .into_iter()
            .flat_map(|version| [(version, true), (version, false)])
        {
            let user = format!("user_add_on_{}_{is_first}", version.date());
            let mut buyer = Buyer::new(version, &user, MAX_MONTHLY, start);
            let add_on = buyer.mint.id("si");
            let shape = |_: &Subscription, rendered: &mut Value| {
                let year = SUPPORT_YEARLY.period_from(start);
                add_item(rendered, &add_on, SUPPORT_YEARLY, year, is_first);
            };
            let created = Shaped::new(&buyer.subscription, &shape);
            let created = buyer.mint.event(CREATED, start, &created);
            let invoice = first_invoice(&mut buyer, start);
            let shaped = |_: &Invoice, rendered: &mut Value| set_item(&mut rendered["lines"]["data"][1], &add_on);
            let paid = buyer.mint.event("invoice.paid", start, &Shaped::new(&invoice, &shaped));
            stage.told(&[created, paid]).await?;
            stage.used(&user, 6 * M, start + 20 * DAY).await?;
            let row = stage.row(&user).await?;
            ensure!(row.current_period_end == Some(start + 30 * DAY), "{row:?}");
            stage.tokens(&user, Balance::new(15 * M, 6 * M, 0, 0, 9 * M)).await?;

            let past = buyer.subscription.period;
            let renewed = buyer.updated_as(&shape, past.end, Subscription::renew);
            let mut cycle = buyer.bill("subscription_cycle", past.end);
            cycle.period = past;
            let paid = buyer.paid(&cycle, past.end + HOUR);
            stage.told(&[renewed, paid]).await?;
            stage.used(&user, M, start + 35 * DAY).await?;
            // 15,000,000 less 6,000,000 roll over.
            stage.tokens(&user, Balance::new(15 * M, M, 9 * M, 0, 23 * M)).await?;

            let down = buyer.updated_as(&shape, start + 39 * DAY, |subscription| {
                subscription.price = BASIC_MONTHLY;
            });
            stage.told(&[down]).await?;
            stage.has(&user, "max", Some(("max", start + 60 * DAY))).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

/// An invoice for the plan, and for a year of support.
fn first_invoice(buyer: &mut Buyer, start: i64) -> Invoice {
    let mut invoice = buyer.bill("subscription_create", start);
    let year = SUPPORT_YEARLY.period_from(start);
    invoice.lines.push(Line::plan(&mut buyer.mint, SUPPORT_YEARLY, year));
    invoice
}

/// A yearly plan with a monthly item, whose first month is billed after it.
fn year_with_storage(version: ApiVersion, user: &str, start: i64) -> Vec<Event> {
    let mut buyer = Buyer::new(version, user, PLUS_YEARLY, start);
    let storage = buyer.mint.id("si");
    let month = |number: i64| Period {
        start: start + 30 * number * DAY,
        end: start + 30 * (number + 1) * DAY,
    };
    let shape = |number: i64| {
        let storage = storage.clone();
        move |_: &Subscription, rendered: &mut Value| {
            add_item(rendered, &storage, STORAGE_MONTHLY, month(number), false);
            // In the old shape the one period is the shortest of all items'.
            if rendered["current_period_end"].is_i64() {
                rendered["current_period_start"] = json!(month(number).start);
                rendered["current_period_end"] = json!(month(number).end);
            }
        }
    };
    // The plan alone, so that its year is known; the storage comes a second later.
    let mut events = buyer.subscribed();
    let alone = |_: &Subscription, _: &mut Value| ();
    let mut shown: Value = Shaped::new(&buyer.subscription, &alone).render(version);
    for (number, at) in [(0, start + 1), (1, month(0).end), (2, month(1).end)] {
        let now = Shaped::new(&buyer.subscription, &shape(number)).render(version);
        let data = json!({ "object": now, "previous_attributes": previous_attributes(&shown, &now) });
        events.push(buyer.mint.envelope("customer.subscription.updated", at, &data));
        shown = now;
        if number > 0 {
            let past = month(number - 1);
            let lines = vec![Line::plan(&mut buyer.mint, STORAGE_MONTHLY, month(number))];
            let mut invoice = buyer.invoice("subscription_cycle", at, lines);
            invoice.item.clone_from(&storage);
            invoice.period = past;
            events.push(buyer.paid(&invoice, at + HOUR));
        }
    }
    events
}

#[test]
fn the_monthly_invoices_of_another_item_do_not_close_the_plan_s_year() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 65 * DAY;
        for version in SHAPES {
            let user = format!("user_storage_{}", version.date());
            let events = year_with_storage(version, &user, start);
            stage.told(&events[..3]).await?;
            stage.used(&user, 30 * M, start + 40 * DAY).await?;
            stage.told(&events[3..]).await?;
            let row = stage.row(&user).await?;
            let year = (Some(start), Some(start + 365 * DAY));
            ensure!((row.current_period_start, row.current_period_end) == year, "{row:?}");
            let left = 120 * M - 30 * M;
            stage.tokens(&user, Balance::new(120 * M, 30 * M, 0, 0, left)).await?;
            stage.audited(&user).await?;
        }
        Ok(())
    })
}

#[test]
fn the_order_of_a_plan_s_and_another_item_s_events_does_not_matter() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 65 * DAY;
        // One period on each item: with the one of the old shape, the year is known from the first event alone.
        let life = |user: &str| {
            let mut events = year_with_storage(ApiVersion::Y2026, user, start);
            events.truncate(5);
            events
        };
        let check = async |user: &str| {
            stage.tokens(user, Balance::new(120 * M, 0, 0, 0, 120 * M)).await?;
            let row = stage.row(user).await?;
            ensure!(row.current_period_end == Some(start + 365 * DAY), "{row:?}");
            Ok(())
        };
        stage.in_every_order("user_order_storage", life, check).await
    })
}

#[test]
fn a_price_of_another_interval_sells_the_limits_of_a_month_in_proportion() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - HOUR;
        for (interval, count, days, limit) in [
            ("day", 1, 1, 10 * M / 30),
            ("week", 1, 7, 10 * M / 4),
            ("week", 2, 14, 2 * 10 * M / 4),
            ("month", 1, 30, 10 * M),
            ("month", 3, 90, 3 * 10 * M),
            ("year", 1, 365, 12 * 10 * M),
        ] {
            for version in SHAPES {
                let user = format!("user_{count}_{interval}_{}", version.date());
                let mut buyer = Buyer::new(version, &user, PLUS_MONTHLY, start);
                buyer.subscription.period.end = start + days * DAY;
                let shape = |_: &Subscription, rendered: &mut Value| {
                    let item = &mut rendered["items"]["data"][0];
                    // The catalog knows the product alone.
                    item["price"]["lookup_key"] = Value::Null;
                    for price in ["/price/recurring", "/plan"] {
                        let price = item.pointer_mut(price).expect("an item has both");
                        price["interval"] = json!(interval);
                        price["interval_count"] = json!(count);
                    }
                };
                let created = Shaped::new(&buyer.subscription, &shape);
                let created = buyer.mint.event(CREATED, start, &created);
                let paid = buyer.paid_first();
                stage.told(&[created, paid]).await?;
                let expected = Balance::new(limit, 0, 0, 0, limit);
                stage.tokens(&user, expected).await?;
            }
        }
        Ok(())
    })
}
