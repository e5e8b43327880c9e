//! Whose subscription it is, and which of several is shown.

use crate::buyer::{Buyer, Shaped};
use crate::stage::{HOUR, M, SHAPES, tell};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::fixtures::price::{BASIC_MONTHLY, MAX_MONTHLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Mint, Pack, Price, Session, Subscription};
use tests::harness::{Balance, unix_now};

/// One more subscription of the customer of `buyer`.
fn another(buyer: &mut Buyer, price: Price, start: i64) -> Subscription {
    let customer = buyer.subscription.customer.clone();
    Subscription::new(&mut buyer.mint, &customer, price, start).of_user(&buyer.user)
}

#[test]
fn a_newer_subscription_that_gives_nothing_is_shown_before_an_old_canceled_one() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 40 * DAY;
        for status in ["unpaid", "paused"] {
            let life = |user: &str| {
                let mut buyer = Buyer::new(ApiVersion::Y2026, user, MAX_MONTHLY, start);
                let created = buyer.created();
                let ended = buyer.ended(start + 20 * DAY);
                let mut newer = another(&mut buyer, BASIC_MONTHLY, start + 25 * DAY);
                newer.status = status;
                let kind = "customer.subscription.created";
                let begun = buyer.mint.event(kind, newer.created, &newer);
                vec![created, ended, begun]
            };
            let check = async |user: &str| {
                let row = stage.row(user).await?;
                ensure!(
                    row.status == status && row.tier == "basic" && row.effective_tier == "free" && !row.entitled,
                    "{row:?}"
                );
                ensure!(row.highest_tier_subscribed.as_deref() == Some("max"), "{row:?}");
                Ok(())
            };
            stage
                .in_every_order(&format!("user_newer_{status}"), life, check)
                .await?;
        }
        Ok(())
    })
}

#[test]
fn a_user_is_not_canceling_while_an_equal_subscription_goes_on() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        for version in SHAPES {
            let life = |user: &str| {
                let mut buyer = Buyer::new(version, user, PLUS_MONTHLY, start);
                let created = buyer.created();
                // The newer one of the two is canceled.
                let old = another(&mut buyer, PLUS_MONTHLY, start + DAY);
                let mut canceling = old.clone();
                canceling.cancel_with_period(start + 5 * DAY, version);
                let mint = &mut buyer.mint;
                let begun = mint.event("customer.subscription.created", old.created, &old);
                let kind = "customer.subscription.updated";
                vec![created, begun, mint.update(kind, start + 5 * DAY, &old, &canceling)]
            };
            let check = async |user: &str| {
                let row = stage.row(user).await?;
                ensure!(!row.is_canceling && row.cancel_at.is_none(), "{row:?}");
                ensure!(row.effective_tier == "plus", "{row:?}");
                Ok(())
            };
            let name = format!("user_goes_on_{}", version.date());
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

#[test]
fn an_end_that_has_passed_ends_the_access_although_nobody_told_of_it() -> Result<()> {
    tell(async |stage| {
        let now = unix_now();
        // Stripe's event of the end is late: it may take an hour.
        for (name, cancel_at, entitled) in [
            ("two_hours", now - 2 * HOUR, false),
            ("half_an_hour", now - HOUR / 2, true),
            ("in_an_hour", now + HOUR, true),
        ] {
            let user = format!("user_ends_{name}");
            let start = now - 20 * DAY;
            let mut buyer = Buyer::new(ApiVersion::Y2026, &user, MAX_MONTHLY, start);
            let mut events = buyer.subscribed();
            events.push(buyer.updated(start + 5 * DAY, |subscription| {
                subscription.cancel_at = Some(cancel_at);
                subscription.canceled_at = Some(start + 5 * DAY);
            }));
            stage.told(&events).await?;
            let row = stage.row(&user).await?;
            let effective = if entitled { "max" } else { "free" };
            ensure!(
                row.entitled == entitled && row.effective_tier == effective,
                "{name}: {row:?}"
            );
            let limit = if entitled { 15 * M } else { 0 };
            stage.tokens(&user, Balance::new(limit, 0, 0, 0, limit)).await?;
        }

        // Canceled with its period, which ended yesterday.
        let user = "user_ended_with_period";
        let start = now - 31 * DAY;
        let mut buyer = Buyer::new(ApiVersion::V2024, user, MAX_MONTHLY, start);
        let mut events = buyer.subscribed();
        events.push(buyer.updated(start + 5 * DAY, |subscription| {
            subscription.cancel_with_period(start + 5 * DAY, ApiVersion::V2024);
        }));
        stage.told(&events).await?;
        let row = stage.row(user).await?;
        ensure!(!row.entitled && row.effective_tier == "free", "{row:?}");
        stage.tokens(user, Balance::new(0, 0, 0, 0, 0)).await?;
        stage.audited("user_end").await
    })
}

#[test]
fn a_guest_s_subscription_moves_to_the_account_and_the_guest_keeps_only_what_was_bought() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        let life = |user: &str| {
            let guest = format!("guest_of_{user}");
            let mut buyer = Buyer::new(ApiVersion::Y2026, &guest, MAX_MONTHLY, start);
            let mut events = buyer.subscribed();
            let pack = Pack::bought(&mut buyer.mint, &guest, "tokens_5m", 1, start + DAY);
            events.push(pack.completed(&mut buyer.mint));
            events.push(buyer.updated(start + 3 * DAY, |subscription| {
                subscription.metadata.insert("user_id".to_owned(), user.to_owned());
            }));
            events
        };
        let check = async |user: &str| {
            stage.has(user, "max", None).await?;
            // 27 of 30 days.
            let limit = 13_500_000;
            stage.tokens(user, Balance::new(limit, 0, 0, 0, limit)).await?;
            let guest = format!("guest_of_{user}");
            // As of a user who only ever bought packs.
            let row = stage.row(&guest).await?;
            ensure!(!row.entitled && row.status == "none", "the guest still has {row:?}");
            stage.tokens(&guest, Balance::new(0, 0, 0, 5 * M, 5 * M)).await
        };
        stage.in_every_order("user_handed_over", life, check).await
    })
}

/// Stripe's customer, with an application's metadata.
fn customer(mint: &mut Mint, kind: &str, id: &str, metadata: &Value, at: i64) -> Event {
    let data = json!({ "object": {
        "id": id,
        "object": "customer",
        "address": null,
        "balance": 0,
        "created": at,
        "currency": null,
        "delinquent": false,
        "description": null,
        "email": "customer@example.com",
        "livemode": false,
        "metadata": metadata,
        "name": null,
        "phone": null,
        "shipping": null,
        "tax_exempt": "none",
        "test_clock": null
    }});
    mint.envelope(kind, at, &data)
}

#[test]
fn a_user_id_on_the_customer_alone_links_the_subscription_in_every_order() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        for version in SHAPES {
            let life = |user: &str| {
                let mut buyer = Buyer::unnamed(version, user, PLUS_MONTHLY, start);
                let id = buyer.subscription.customer.clone();
                let metadata = json!({ "user_id": user });
                let known = customer(&mut buyer.mint, "customer.created", &id, &metadata, start - DAY);
                // A later word without a user changes nothing.
                let edited = customer(&mut buyer.mint, "customer.updated", &id, &json!({}), start + DAY);
                [vec![known, edited], buyer.subscribed()].concat()
            };
            let check = async |user: &str| {
                stage.has(user, "plus", None).await?;
                stage.tokens(user, Balance::new(10 * M, 0, 0, 0, 10 * M)).await
            };
            let name = format!("user_of_customer_{}", version.date());
            stage.in_every_order(&name, life, check).await?;
        }
        Ok(())
    })
}

#[test]
fn of_two_users_with_one_customer_only_the_one_of_the_session_has_a_row() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        let life = |user: &str| {
            let mut buyer = Buyer::unnamed(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
            // The older session of another user, for a subscription that is not known.
            let mut other = Session {
                subscription: Some(buyer.mint.id("sub")),
                created: start - 10 * DAY,
                ..buyer.checkout()
            };
            other.client_reference_id = Some(format!("other_of_{user}"));
            let session = buyer.checkout();
            let kind = "checkout.session.completed";
            vec![
                buyer.mint.event(kind, start - 10 * DAY, &other),
                buyer.mint.event(kind, start + 5, &session),
                buyer.created(),
            ]
        };
        let check = async |user: &str| {
            stage.has(user, "plus", None).await?;
            let other = format!("other_of_{user}");
            let row = stage.found(&other).await?;
            ensure!(row.is_none(), "{row:?}");
            Balance::expect(stage.env.pool(), &other, &[]).await
        };
        stage.in_every_order("user_of_two", life, check).await
    })
}

#[test]
fn metadata_that_is_an_empty_list_is_no_reason_to_refuse_a_subscription_or_its_end() -> Result<()> {
    tell(async |stage| {
        let start = unix_now() - 10 * DAY;
        let shape = |_: &Subscription, rendered: &mut Value| rendered["metadata"] = json!([]);
        let life = |user: &str| {
            let mut buyer = Buyer::unnamed(ApiVersion::V2024, user, PLUS_MONTHLY, start);
            let session = buyer.checkout();
            let completed = buyer.mint.event("checkout.session.completed", start + 5, &session);
            let begun = Shaped::new(&buyer.subscription, &shape);
            let created = buyer.mint.event("customer.subscription.created", start, &begun);
            buyer.subscription.end(start + 5 * DAY);
            let over = Shaped::new(&buyer.subscription, &shape);
            let kind = "customer.subscription.deleted";
            vec![completed, created, buyer.mint.event(kind, start + 5 * DAY, &over)]
        };
        let check = async |user: &str| {
            let row = stage.row(user).await?;
            ensure!(row.status == "canceled" && row.effective_tier == "free", "{row:?}");
            Ok(())
        };
        stage.in_every_order("user_list", life, check).await
    })
}
