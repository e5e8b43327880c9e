//! Switches of the interval and of the price, paid, credited or neither.

use crate::buyer::Buyer;
use crate::stage::{HOUR, M, tell};
use anyhow::Result;
use tests::fixtures::price::{MAX_MONTHLY, MAX_YEARLY, PLUS_MONTHLY, PLUS_YEARLY};
use tests::fixtures::{ApiVersion, DAY, Event, Invoice, Line, Price};
use tests::harness::{Balance, unix_now};

/// The invoice of a switch to `price` at `at`, with which a new period begins: the rest of the old price is
/// credited with `credit` cents, if any, and the new one is charged.
fn switch_invoice(buyer: &mut Buyer, price: Price, at: i64, credit: Option<i64>) -> (Event, Invoice) {
    let (old, past) = (buyer.subscription.price, buyer.subscription.period);
    let switched = buyer.restarted(price, at);
    let mut lines: Vec<Line> = Vec::new();
    if let Some(cents) = credit {
        lines.push(buyer.share(old, at, past, -cents));
    }
    lines.push(Line::plan(&mut buyer.mint, price, buyer.subscription.period));
    (switched, buyer.invoice("subscription_update", at, lines))
}

#[test]
fn a_switch_to_the_year_whose_payment_failed_gives_no_new_counter() -> Result<()> {
    tell(async |stage| {
        let user = "user_unpaid_year";
        let start = unix_now() - 20 * DAY;
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
        stage.told(&buyer.subscribed()).await?;
        stage.used(user, 10 * M, start + 5 * DAY).await?;

        let at = start + 15 * DAY;
        let (switched, invoice) = switch_invoice(&mut buyer, PLUS_YEARLY, at, Some(1_000));
        let failed = buyer.failed(&invoice, at + 5);
        let past_due = buyer.updated(at + 6, |subscription| subscription.status = "past_due");
        stage.told(&[switched, failed, past_due]).await?;
        // The rank is the same, and still the month stands.
        stage.has(user, "plus", None).await?;
        stage.tokens(user, Balance::new(10 * M, 10 * M, 0, 0, 0)).await?;

        let paid = buyer.paid(&invoice, at + 2 * DAY);
        let active = buyer.updated(at + 2 * DAY + 5, |subscription| subscription.status = "active");
        stage.told(&[paid, active]).await?;
        // The month was cut in its middle and credited: half of it was sold, and the rest of what was used is owed.
        let debt = 10 * M - 10 * M * 15 / 30;
        stage
            .tokens(user, Balance::new(120 * M, 0, -debt, 0, 120 * M - debt))
            .await?;
        stage.audited(user).await
    })
}

#[test]
fn the_order_of_a_failed_switch_of_interval_does_not_matter() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 20 * DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::V2024, user, PLUS_MONTHLY, start);
            let mut events = buyer.subscribed();
            let at = start + 15 * DAY;
            let (switched, invoice) = switch_invoice(&mut buyer, PLUS_YEARLY, at, Some(1_000));
            events.extend([switched, buyer.failed(&invoice, at + 5)]);
            events
        };
        let check = async |user: &str| stage.tokens(user, Balance::new(10 * M, 0, 0, 0, 10 * M)).await;
        stage.in_every_order("user_unpaid_switch", life, check).await
    })
}

#[test]
fn credited_switches_from_month_to_year_to_month_leave_their_overuse_as_debt() -> Result<()> {
    tell(async |stage| {
        let user = "user_switcher";
        let start = unix_now() - 22 * DAY;
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
        stage.told(&buyer.subscribed()).await?;
        stage.used(user, 10 * M, start + 2 * DAY).await?;

        // 20 of 30 days of 20 EUR are credited.
        let at = start + 10 * DAY;
        let (switched, invoice) = switch_invoice(&mut buyer, PLUS_YEARLY, at, Some(1_333));
        stage.told(&[switched, buyer.paid(&invoice, at + 5)]).await?;
        // 10 of 30 days of 10,000,000 were sold: 3,333,333.
        let month = 10 * M - 10 * M * 10 / 30;
        let year = 120 * M;
        stage
            .tokens(user, Balance::new(year, 0, -month, 0, year - month))
            .await?;

        stage.used(user, 30 * M, start + 11 * DAY).await?;
        let expected = Balance::new(year, 30 * M, -month, 0, year - 30 * M - month);
        stage.tokens(user, expected).await?;

        // 355 of 365 days of 180 EUR are credited.
        let at = start + 20 * DAY;
        let (switched, invoice) = switch_invoice(&mut buyer, PLUS_MONTHLY, at, Some(17_507));
        stage.told(&[switched, buyer.paid(&invoice, at + 5)]).await?;
        // 10 of 365 days of 120,000,000 were sold: 3,287,671.
        let debt = month + 30 * M - year * 10 / 365;
        stage
            .tokens(user, Balance::new(10 * M, 0, -debt, 0, 10 * M - debt))
            .await?;
        stage.audited(user).await
    })
}

#[test]
fn a_year_that_is_given_up_without_credit_is_carried_over_whole() -> Result<()> {
    tell(async |stage| {
        let user = "user_given_up";
        let start = unix_now() - 31 * DAY;
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, MAX_YEARLY, start);
        stage.told(&buyer.subscribed()).await?;
        stage.used(user, 20 * M, start + DAY).await?;

        let at = start + 30 * DAY;
        let (switched, invoice) = switch_invoice(&mut buyer, MAX_MONTHLY, at, None);
        stage.told(&[switched, buyer.paid(&invoice, at + HOUR)]).await?;
        // Of 12 × 15,000,000 for the year 20,000,000 were used. The cap of 10,000,000 does not cut the rest.
        let left = 12 * 15 * M - 20 * M;
        stage
            .tokens(user, Balance::new(15 * M, 0, left, 0, 15 * M + left))
            .await?;
        let voice = 12 * 3 * M;
        stage
            .meter(user, "voice_chars", Balance::new(3 * M, 0, voice, 0, 3 * M + voice))
            .await?;
        stage.has(user, "max", None).await?;
        stage.audited(user).await
    })
}

#[test]
fn the_order_in_which_a_year_is_given_up_does_not_matter() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 31 * DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::V2024, user, MAX_YEARLY, start);
            let mut events = buyer.subscribed();
            let at = start + 30 * DAY;
            let (switched, invoice) = switch_invoice(&mut buyer, MAX_MONTHLY, at, None);
            events.extend([switched, buyer.paid(&invoice, at + HOUR)]);
            events
        };
        let check = async |user: &str| {
            let left = 12 * 15 * M;
            stage
                .tokens(user, Balance::new(15 * M, 0, left, 0, 15 * M + left))
                .await
        };
        stage.in_every_order("user_order_given_up", life, check).await
    })
}
