//! What other systems' trackers report of events that come twice, at once, or in another order than they happened.

use crate::buyer::Buyer;
use crate::stage::{DEADLINE, M, SHAPES, Stage, tell};
use anyhow::{Result, ensure};
use serde_json::json;
use tests::crowd::{Senders, all_applied, all_recorded, ids};
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Mint, Pack, Period, Subscription};
use tests::harness::{Balance, Pair, Setup, TestEnv, unix_now};

const CREATED: &str = "customer.subscription.created";

/// stripe/sync-engine #268.
#[test]
fn an_announcement_of_the_same_second_does_not_win_over_the_change() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        for version in SHAPES {
            let life = |user: &str| {
                let mut buyer = Buyer::new(version, user, BASIC_MONTHLY, start);
                let trial = Period {
                    start,
                    end: start + 3 * DAY,
                };
                buyer.subscription.status = "trialing";
                buyer.subscription.trial = Some(trial);
                buyer.subscription.period = trial;
                let created = buyer.created();
                // Within the first hundredth of the trial, so that the change counts from its beginning.
                let (kind, at) = ("customer.subscription.trial_will_end", start + 1_800);
                let announced = buyer.mint.event(kind, at, &buyer.subscription);
                vec![created, announced, buyer.switched(PLUS_MONTHLY, at)]
            };
            let check = async |user: &str| {
                stage.has(user, "plus", None).await?;
                stage.tokens(user, Balance::new(10 * M, 0, 0, 0, 10 * M)).await
            };
            let name = format!("user_announced_{}", version.date());
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

/// A checkout: an incomplete subscription, which its payment makes active `later` seconds after.
fn checkout(version: ApiVersion, user: &str, start: i64, later: i64) -> Vec<Event> {
    let mut buyer = Buyer::new(version, user, PLUS_MONTHLY, start);
    buyer.subscription.status = "incomplete";
    let created = buyer.created();
    let session = buyer.checkout();
    let active = buyer.updated(start + later, |subscription| subscription.status = "active");
    let paid = buyer.paid_first();
    let completed = buyer.mint.event("checkout.session.completed", start + later, &session);
    vec![created, active, paid, completed]
}

/// Checks that `user` has one subscription, active, with the limit of one month.
async fn is_active_once(stage: &Stage<'_>, user: &str) -> Result<()> {
    let row = stage.row(user).await?;
    ensure!(row.status == "active" && row.effective_tier == "plus", "{row:?}");
    let rows = sqlx::query_scalar("SELECT count(*) FROM billing.entitlements WHERE stripe_subscription_id = $1");
    let rows: i64 = rows
        .bind(&row.stripe_subscription_id)
        .fetch_one(stage.env.pool())
        .await?;
    ensure!(rows == 1, "{rows} rows of one subscription");
    stage.tokens(user, Balance::new(10 * M, 0, 0, 0, 10 * M)).await
}

/// Cashier #1201.
#[test]
fn an_update_that_arrives_before_the_creation_is_not_undone_by_it() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        for version in SHAPES {
            let life = |user: &str| checkout(version, user, start, 1);
            let name = format!("user_overtaken_{}", version.date());
            let check = async |user: &str| is_active_once(stage, user).await;
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

/// Cashier #1759.
#[test]
fn a_creation_and_an_update_of_one_second_that_arrive_at_once_leave_an_active_subscription() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        let users: Vec<String> = (0..40).map(|number| format!("user_at_once_{number}")).collect();
        let events = users.iter().zip(SHAPES.iter().cycle()).enumerate();
        let events = events.flat_map(|(number, (user, version))| {
            let mut two = checkout(*version, user, start, 0);
            two.truncate(2);
            if number % 2 == 1 {
                two.reverse();
            }
            two
        });
        let events: Vec<Event> = events.collect();
        at_once(stage, &events).await?;
        for user in &users {
            is_active_once(stage, user).await?;
        }
        stage.audited("user_at_once").await
    })
}

/// Pay #371.
#[test]
fn events_of_one_checkout_that_arrive_at_once_make_one_row() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - DAY;
        let users: Vec<String> = (0..30).map(|number| format!("user_parallel_{number}")).collect();
        let events = users.iter().enumerate().flat_map(|(number, user)| {
            let mut events = checkout(ApiVersion::Y2026, user, start, 1);
            // Stripe also tells of the payment and the charge.
            let mut mint = Mint::new(ApiVersion::Y2026, &format!("{user} payment"));
            for (kind, object) in [
                ("payment_intent.succeeded", "payment_intent"),
                ("charge.succeeded", "charge"),
            ] {
                let data = json!({ "object": { "id": mint.id("pi"), "object": object } });
                events.push(mint.envelope(kind, start, &data));
            }
            events.rotate_left(number % 6);
            events
        });
        let events: Vec<Event> = events.collect();
        at_once(stage, &events).await?;
        for user in &users {
            is_active_once(stage, user).await?;
        }
        stage.audited("user_parallel").await
    })
}

/// Posts `events` over many connections, each event three times, and waits until they are on record.
async fn at_once(stage: &Stage<'_>, events: &[Event]) -> Result<()> {
    let copies: Vec<Event> = events
        .iter()
        .flat_map(|event| [event.clone(), event.clone(), event.clone()])
        .collect();
    Senders::start(&stage.pair.client, &copies, 16).finish().await?;
    all_recorded(stage.env.pool(), &ids(events), DEADLINE).await
}

/// dj-stripe #1267.
#[tokio::test]
async fn many_workers_on_the_same_users_lose_no_event_to_a_deadlock() -> Result<()> {
    let env = TestEnv::new("known_deadlock").await?;
    let setup = Setup::default()
        .workers(3)
        .worker("BATCH_SIZE", "7")
        .worker("LANES", "2");
    let pair = Pair::start(&env, setup).await?;
    let stage = Stage { env: &env, pair: &pair };
    let start = unix_now() - 40 * DAY;
    // Each user has four customers, so that events of several accounts need the same user.
    let mut events = Vec::new();
    for (user, customer) in (0..6).flat_map(|user| (0..4).map(move |customer| (user, customer))) {
        let mut buyer = Buyer::new(ApiVersion::Y2026, &format!("{user} {customer}"), PLUS_MONTHLY, start);
        buyer.subscription = buyer.subscription.of_user(&format!("user_shared_{user}"));
        events.extend(buyer.subscribed());
        events.extend(buyer.renewed());
        let price = if customer == user % 4 {
            MAX_MONTHLY
        } else {
            BASIC_MONTHLY
        };
        events.push(buyer.switched(price, start + 32 * DAY));
    }
    // Neighbours are of different users.
    events.sort_by_cached_key(|event| event.id.chars().rev().collect::<String>());
    at_once(&stage, &events).await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    for user in 0..6 {
        stage.has(&format!("user_shared_{user}"), "max", None).await?;
    }
    let letters = pair.dead_letters(&[]).await?;
    ensure!(letters.is_empty(), "{letters:?}");
    pair.operate(&["audit"]).await.map(drop)
}

/// better-auth #7099.
#[test]
fn an_upgrade_through_a_new_checkout_leaves_one_row() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start);
            let created = buyer.created();
            let (at, customer) = (start + 5 * DAY, buyer.subscription.customer.clone());
            let upgraded = Subscription::new(&mut buyer.mint, &customer, PLUS_MONTHLY, at).of_user(user);
            let ended = buyer.ended(at + 10);
            buyer.subscription = upgraded;
            let session = buyer.checkout();
            let completed = buyer.mint.event("checkout.session.completed", at + 5, &session);
            vec![
                created,
                ended,
                buyer.mint.event(CREATED, at, &buyer.subscription),
                completed,
            ]
        };
        let check = async |user: &str| {
            let row = stage.row(user).await?;
            ensure!(row.tier == "plus", "{row:?}");
            is_active_once(stage, user).await
        };
        stage.in_every_order("user_new_checkout", life, check).await
    })
}

/// better-auth #6863.
#[test]
fn a_new_checkout_that_was_not_finished_does_not_hide_the_trial_before_it() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 20 * DAY;
        let begun = |user: &str, at: i64, status: &'static str| {
            let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, at);
            buyer.subscription.status = status;
            buyer
        };
        let days = async |user: &str, tier: &str| -> Result<i32> {
            let days = sqlx::query_scalar("SELECT billing.trial_days($1, $2)");
            Ok(days.bind(user).bind(tier).fetch_one(stage.env.pool()).await?)
        };
        let life = |user: &str| {
            let mut buyer = begun(user, start, "trialing");
            let created = buyer.created();
            let ended = buyer.ended(start + 2 * DAY);
            let customer = buyer.subscription.customer.clone();
            let again = Subscription::new(&mut buyer.mint, &customer, PLUS_MONTHLY, start + 10 * DAY);
            buyer.subscription = again.of_user(user);
            buyer.subscription.status = "incomplete";
            vec![created, ended, buyer.created()]
        };
        let check = async |user: &str| {
            for tier in ["basic", "plus", "max"] {
                let days = days(user, tier).await?;
                ensure!(days == 0, "{days} days of {tier}");
            }
            Ok(())
        };
        stage.in_every_order("user_tries_again", life, check).await?;

        // Who never got further than that has had no trial.
        let mut only = begun("user_only_begun", start, "incomplete");
        stage.told(&[only.created()]).await?;
        let days = days("user_only_begun", "plus").await?;
        ensure!(days == 3, "{days} days");
        Ok(())
    })
}

/// Polar #9410.
#[test]
fn an_upgrade_takes_no_credits_in_whatever_order_its_events_come() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 20 * DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::Y2026, user, BASIC_MONTHLY, start);
            let mut events = buyer.subscribed();
            let pack = Pack::bought(&mut buyer.mint, user, "tokens_5m", 1, start + DAY);
            events.push(pack.completed(&mut buyer.mint));
            let (at, period) = (start + 15 * DAY, buyer.subscription.period);
            events.push(buyer.switched(MAX_MONTHLY, at));
            let lines = vec![
                buyer.share(BASIC_MONTHLY, at, period, -500),
                buyer.share(MAX_MONTHLY, at, period, 2_000),
            ];
            let invoice = buyer.invoice("subscription_update", at, lines);
            events.push(buyer.paid(&invoice, at + 5));
            events
        };
        // Half of the period at 5,000,000 and half at 15,000,000, and the pack.
        let limit = (15 * 5 * M + 15 * 15 * M) / 30;
        let check = async |user: &str| {
            stage.has(user, "max", None).await?;
            stage
                .tokens(user, Balance::new(limit, 0, 0, 5 * M, limit + 5 * M))
                .await
        };
        stage.in_every_order("user_upgrades", life, check).await
    })
}

/// Lago #2243.
#[test]
fn a_payment_that_is_told_of_many_times_at_once_is_credited_once() -> Result<()> {
    tell(async |stage| {
        let at = unix_now() - DAY;
        let users: Vec<String> = (0..20).map(|number| format!("user_credited_{number}")).collect();
        let events = users.iter().flat_map(|user| {
            let mut mint = Mint::new(ApiVersion::Y2026, user);
            let pack = Pack::bought(&mut mint, user, "tokens_5m", 2, at);
            let told = [pack.completed(&mut mint), pack.paid_later(&mut mint, at + 60)];
            let twins = [mint.twin(&told[0]), mint.twin(&told[1])];
            [told, twins].concat()
        });
        let events: Vec<Event> = events.collect();
        at_once(stage, &events).await?;
        for user in &users {
            let expected = Balance::new(0, 0, 0, 10 * M, 10 * M);
            stage.tokens(user, expected).await?;
        }
        stage.audited("user_credited").await
    })
}

/// stripe/sync-engine #171.
#[test]
fn a_customer_that_is_deleted_at_stripe_has_no_access_and_no_late_event_returns_it() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
            let created = buyer.created();
            let upgraded = buyer.switched(MAX_MONTHLY, start + 5 * DAY);
            let at = start + 6 * DAY;
            // Stripe ends the subscriptions of a customer that it deletes.
            let ended = buyer.ended(at);
            let data = json!({ "object": { "id": buyer.subscription.customer, "object": "customer" } });
            let deleted = buyer.mint.envelope("customer.deleted", at, &data);
            vec![created, upgraded, ended, deleted]
        };
        let check = async |user: &str| {
            let row = stage.row(user).await?;
            ensure!(
                row.status == "canceled" && !row.entitled && row.effective_tier == "free",
                "{row:?}"
            );
            stage.tokens(user, Balance::new(0, 0, 0, 0, 0)).await
        };
        stage.in_every_order("user_deleted", life, check).await
    })
}
