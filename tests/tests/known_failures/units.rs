//! Units that nobody paid for: trials of a yearly price, an upgrade in the last hour, a card that dies with the
//! trial, and a report from the future.

use crate::buyer::Buyer;
use crate::stage::{HOUR, M, SHAPES, tell};
use anyhow::{Context, Result, ensure};
use shared::message::{Meta, now_ms, properties};
use tests::crowd::all_recorded;
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_YEARLY};
use tests::fixtures::{ApiVersion, DAY, Event, Period};
use tests::harness::{Balance, report, report_key, unix_now};

/// A trial of three days that begins at `start`; its first invoice is for nothing.
fn trial_of_a_year(version: ApiVersion, user: &str, start: i64) -> Buyer {
    let mut buyer = Buyer::new(version, user, PLUS_YEARLY, start);
    let trial = Period {
        start,
        end: start + 3 * DAY,
    };
    buyer.subscription.status = "trialing";
    buyer.subscription.trial = Some(trial);
    buyer.subscription.period = trial;
    buyer
}

#[test]
fn a_trial_of_a_yearly_price_has_the_limits_of_a_month_and_not_of_the_year() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        let life = |version| {
            move |user: &str| {
                let mut buyer = trial_of_a_year(version, user, start);
                let session = buyer.checkout();
                let mut invoice = buyer.bill("subscription_create", start);
                invoice.lines[0].amount = 0;
                vec![
                    buyer.created(),
                    buyer.paid(&invoice, start),
                    buyer.mint.event("checkout.session.completed", start + 5, &session),
                ]
            }
        };
        for version in SHAPES {
            let check = async |user: &str| {
                stage.tokens(user, Balance::new(10 * M, 0, 0, 0, 10 * M)).await?;
                stage.meter(user, "voice_chars", Balance::new(M, 0, 0, 0, M)).await?;
                stage.meter(user, "basic_chars", Balance::unlimited(0)).await?;
                let row = stage.row(user).await?;
                ensure!(row.effective_tier == "plus" && !row.ever_paid, "{row:?}");
                Ok(())
            };
            let name = format!("user_trial_{}", version.date());
            stage.in_every_order(&name, life(version), check).await?;
        }
        Ok(())
    })
}

#[test]
fn an_upgrade_in_the_last_hour_buys_an_hour_of_the_higher_limit_and_not_a_month() -> Result<()> {
    tell(async |stage| {
        let user = "user_last_hour";
        let end = unix_now() - DAY;
        let start = end - 30 * DAY;
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start);
        stage.told(&buyer.subscribed()).await?;
        stage.used(user, 5 * M, start + DAY).await?;
        stage.tokens(user, Balance::new(5 * M, 5 * M, 0, 0, 0)).await?;

        let (at, period) = (end - HOUR, buyer.subscription.period);
        let switched = buyer.switched(MAX_MONTHLY, at);
        // An hour of 30 days of 10 and of 40 EUR.
        let lines = vec![
            buyer.share(BASIC_MONTHLY, at, period, -1),
            buyer.share(MAX_MONTHLY, at, period, 6),
        ];
        let invoice = buyer.invoice("subscription_update", at, lines);
        stage.told(&[switched, buyer.paid(&invoice, at + 2)]).await?;
        stage.has(user, "max", None).await?;
        // 719 hours at 5,000,000 and 1 hour at 15,000,000: 5,013,888.
        let limit = (719 * 5 * M + 15 * M) / 720;
        let left = limit - 5 * M;
        stage.tokens(user, Balance::new(limit, 5 * M, 0, 0, left)).await?;
        // Basic has no voice characters: 1 of 720 hours of 3,000,000.
        let voice = 3 * M / 720;
        stage
            .meter(user, "voice_chars", Balance::new(voice, 0, 0, 0, voice))
            .await?;

        // The same number is the allowance of rollover.
        stage.told(&buyer.renewed()).await?;
        stage
            .tokens(user, Balance::new(15 * M, 0, left, 0, 15 * M + left))
            .await?;
        stage.audited(user).await
    })
}

/// A correction leaves round numbers.
#[test]
fn an_upgrade_within_the_first_hundredth_of_the_period_counts_from_its_beginning() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start);
            let mut events = buyer.subscribed();
            // 7 of 720 hours are less than a hundredth.
            events.push(buyer.switched(MAX_MONTHLY, start + 7 * HOUR));
            events
        };
        let check = async |user: &str| stage.tokens(user, Balance::new(15 * M, 0, 0, 0, 15 * M)).await;
        stage.in_every_order("user_corrected", life, check).await
    })
}

/// What a year sees whose trial ended with a dead card: the year begins, the payment fails, Stripe tries again.
fn trial_with_a_dead_card(version: ApiVersion, user: &str, start: i64) -> (Buyer, Vec<Event>) {
    let mut buyer = trial_of_a_year(version, user, start);
    let created = buyer.created();
    let end = start + 3 * DAY;
    let active = buyer.updated(end, |subscription| {
        subscription.status = "active";
        subscription.period = PLUS_YEARLY.period_from(end);
    });
    let invoice = buyer.bill("subscription_cycle", end);
    let failed = buyer.failed(&invoice, end + HOUR);
    let past_due = buyer.updated(end + HOUR + 5, |subscription| subscription.status = "past_due");
    (buyer, vec![created, active, failed, past_due])
}

#[test]
fn a_card_that_dies_at_the_end_of_a_trial_leaves_what_the_trial_left_in_every_order() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 5 * DAY;
        for version in SHAPES {
            let life = |user: &str| trial_with_a_dead_card(version, user, start).1;
            let check = async |user: &str| {
                stage.tokens(user, Balance::new(10 * M, 0, 0, 0, 10 * M)).await?;
                stage.has(user, "plus", None).await
            };
            let name = format!("user_dead_card_{}", version.date());
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

#[test]
fn after_a_trial_the_same_counter_runs_on_until_the_first_invoice_is_paid() -> Result<()> {
    tell(async |stage| {
        let user = "user_counter";
        let start = unix_now() - 5 * DAY;
        let (mut buyer, events) = trial_with_a_dead_card(ApiVersion::Y2026, user, start);
        stage.told(&events[..1]).await?;
        stage.used(user, 4 * M, start + DAY).await?;
        stage.told(&events[1..]).await?;
        stage.tokens(user, Balance::new(10 * M, 4 * M, 0, 0, 6 * M)).await?;
        // 6,000,000 are left, so of 7,000,000 one is owed.
        stage.used(user, 7 * M, start + 4 * DAY).await?;
        stage.tokens(user, Balance::new(10 * M, 10 * M, -M, 0, -M)).await?;

        let invoice = buyer.bill("subscription_cycle", start + 3 * DAY);
        let paid = buyer.paid(&invoice, start + 4 * DAY + HOUR);
        stage.told(&[paid]).await?;
        let balances = Balance::load(stage.env.pool(), user).await?;
        let tokens = balances.get("tokens").context("no tokens")?;
        ensure!(tokens.plan_limit == Some(120 * M), "the year is paid: {tokens:?}");
        stage.audited(user).await
    })
}

/// At the edge.
#[test]
fn a_report_from_the_future_or_from_long_ago_is_refused_with_400() -> Result<()> {
    tell(async |stage| {
        let now = unix_now();
        for (time, status) in [
            (now + 400 * DAY, 400),
            (now + 6 * 60, 400),
            (now + 4 * 60, 202),
            (now - 34 * DAY, 202),
            (now - 36 * DAY, 400),
        ] {
            let report = report(&format!("edge {time}"), "user_edge", "tokens", 1, time)?;
            let answer = stage.pair.client.post_usage(&report).await?;
            ensure!(answer.status == status, "{time}: {} {}", answer.status, answer.body);
        }
        Ok(())
    })
}

/// At the worker.
#[test]
fn a_report_from_the_future_that_came_past_the_edge_is_charged_at_most_once() -> Result<()> {
    tell(async |stage| {
        let user = "user_future";
        let now = unix_now();
        let start = now - 70 * DAY;
        let mut buyer = Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start);
        stage.told(&buyer.subscribed()).await?;
        let report = report("from the future", user, "tokens", 6 * M, now + 400 * DAY)?;
        let id = report_key(&report)?;
        let message = (
            properties(&id, "usage", Meta::usage(now_ms()).headers()),
            report.to_string(),
        );
        let queues = stage.env.queues().await?;
        queues
            .publish(&stage.env.topology().work(), message.0, message.1.as_bytes())
            .await?;
        all_recorded(stage.env.pool(), &[id], crate::stage::DEADLINE).await?;

        stage.told(&[buyer.renewed(), buyer.renewed()].concat()).await?;
        // Two periods leave 5,000,000 each, and the third has 5,000,000.
        let balances = Balance::load(stage.env.pool(), user).await?;
        let tokens = balances.get("tokens").context("no tokens")?;
        let charged = tokens.available.map(|available| 15 * M - available);
        ensure!(
            charged.is_some_and(|units| (0..=6 * M).contains(&units)),
            "{charged:?} units are charged: {tokens:?}"
        );
        stage.audited(user).await
    })
}
