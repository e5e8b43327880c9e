//! Catalogs that change, and catalogs that know other people's products, seats and trials.

use crate::buyer::{Buyer, Shaped};
use crate::stage::{M, Stage};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tests::fixtures::price::{self, BASIC_MONTHLY, MAX_MONTHLY, MAX_YEARLY, PLUS_MONTHLY};
use tests::fixtures::{ApiVersion, DAY, Event, Mint, Pack, Period, Resource, Subscription, previous_attributes};
use tests::harness::{Balance, Pair, Setup, TestEnv, repository, unix_now};
use tests::test_catalog::{TestCatalog, restart};

/// Writes the shipped catalog with `changes`: each text in the place of another.
fn write(shop: &TestCatalog, changes: &[(&str, &str)]) -> Result<()> {
    let mut text = std::fs::read_to_string(repository().join("deploy/catalog.toml"))?;
    for (old, new) in changes {
        ensure!(text.contains(old), "the shipped catalog has no {old}");
        text = text.replace(old, new);
    }
    Ok(std::fs::write(shop.path(), text)?)
}

/// Max with so many million tokens a month.
fn max_tokens(millions: i64) -> (String, String) {
    let limits = |millions: i64| format!("limits = {{ tokens = {millions}_000_000, voice_chars = 3_000_000");
    (limits(15), limits(millions))
}

/// The catalog is another one from now on, and the worker reads it.
async fn change(shop: &TestCatalog, changes: &[(&str, &str)], pair: &mut Pair) -> Result<()> {
    write(shop, changes)?;
    restart(pair).await
}

/// Somebody edits a subscription's metadata.
fn noted(buyer: &mut Buyer, at: i64) -> Event {
    buyer.updated(at, |subscription| {
        subscription.metadata.insert("note".to_owned(), at.to_string());
    })
}

#[tokio::test]
async fn a_lowered_limit_counts_from_the_next_period_on_and_a_raised_one_at_once() -> Result<()> {
    let shop = TestCatalog::new("known_limits")?;
    let env = TestEnv::new("known_limits").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let now = unix_now();
    let mut yearly = Buyer::new(ApiVersion::Y2026, "user_yearly", MAX_YEARLY, now - 40 * DAY);
    let mut monthly = Buyer::new(ApiVersion::V2024, "user_monthly", MAX_MONTHLY, now - 31 * DAY);
    let begun = [yearly.subscribed(), monthly.subscribed()].concat();
    let full = Balance::new(180 * M, 0, 0, 0, 180 * M);
    {
        let stage = Stage { env: &env, pair: &pair };
        stage.told(&begun).await?;
        stage.tokens("user_yearly", full).await?;
    }

    let (fifteen, ten) = max_tokens(10);
    change(&shop, &[(&fifteen, &ten)], &mut pair).await?;
    {
        let stage = Stage { env: &env, pair: &pair };
        stage.told(&[noted(&mut yearly, now - 120)]).await?;
        stage.tokens("user_yearly", full).await?;
        // 15,000,000 of the old period are left, of which 10,000,000 have room.
        stage.told(&monthly.renewed()).await?;
        let expected = Balance::new(10 * M, 0, 10 * M, 0, 20 * M);
        stage.tokens("user_monthly", expected).await?;
    }

    let (fifteen, twenty) = max_tokens(20);
    change(&shop, &[(&fifteen, &twenty)], &mut pair).await?;
    let stage = Stage { env: &env, pair: &pair };
    stage
        .told(&[noted(&mut yearly, now - 60), noted(&mut monthly, now - 60)])
        .await?;
    let raised = Balance::new(12 * 20 * M, 0, 0, 0, 12 * 20 * M);
    stage.tokens("user_yearly", raised).await?;
    let expected = Balance::new(20 * M, 0, 10 * M, 0, 30 * M);
    stage.tokens("user_monthly", expected).await?;
    pair.operate(&["audit"]).await.map(drop)
}

const ONE_TO_THREE: [(&str, &str); 0] = [];
const TEN_TO_THIRTY: [(&str, &str); 3] = [
    ("rank = 1\n", "rank = 10\n"),
    ("rank = 2\n", "rank = 20\n"),
    ("rank = 3\n", "rank = 30\n"),
];

async fn trial_days(env: &TestEnv, user: &str, tier: &str) -> Result<i32> {
    let days = sqlx::query_scalar("SELECT billing.trial_days($1, $2)");
    Ok(days.bind(user).bind(tier).fetch_one(env.pool()).await?)
}

#[tokio::test]
async fn other_ranks_are_no_second_trial_and_no_grace() -> Result<()> {
    let shop = TestCatalog::new("known_ranks")?;
    let env = TestEnv::new("known_ranks").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let start = unix_now() - 5 * DAY;
    let mut tried = Buyer::new(ApiVersion::Y2026, "user_tried", PLUS_MONTHLY, start);
    {
        let stage = Stage { env: &env, pair: &pair };
        stage.told(&tried.subscribed()).await?;
        ensure!(trial_days(&env, "user_tried", "plus").await? == 0);
    }

    change(&shop, &TEN_TO_THIRTY, &mut pair).await?;
    let mut ranked = Buyer::new(ApiVersion::Y2026, "user_ranked", PLUS_MONTHLY, start);
    {
        let stage = Stage { env: &env, pair: &pair };
        for tier in ["basic", "plus"] {
            let days = trial_days(&env, "user_tried", tier).await?;
            ensure!(days == 0, "a second trial of {tier}: {days} days");
        }
        ensure!(trial_days(&env, "user_nobody", "plus").await? == 3);
        stage.told(&[noted(&mut tried, start + DAY)]).await?;
        stage.has("user_tried", "plus", None).await?;
        stage.told(&ranked.subscribed()).await?;
    }

    change(&shop, &ONE_TO_THREE, &mut pair).await?;
    let stage = Stage { env: &env, pair: &pair };
    stage.told(&[noted(&mut ranked, start + DAY)]).await?;
    stage.has("user_ranked", "plus", None).await?;
    // A real downgrade under the new ranks still has its grace.
    stage.told(&[ranked.switched(BASIC_MONTHLY, start + 2 * DAY)]).await?;
    let grace = Some(("plus", start + 30 * DAY));
    stage.has("user_ranked", "plus", grace).await?;
    pair.operate(&["audit"]).await.map(drop)
}

#[tokio::test]
async fn a_tier_that_is_sold_by_the_seat_has_its_limits_for_each_seat() -> Result<()> {
    let shop = TestCatalog::new("known_seats")?;
    write(&shop, &[("name = \"plus\"\n", "name = \"plus\"\nper_unit = true\n")])?;
    let env = TestEnv::new("known_seats").await?.with("CATALOG_FILE", &shop.path());
    let pair = Pair::start(&env, Setup::default()).await?;
    let stage = Stage { env: &env, pair: &pair };
    let start = unix_now() - 20 * DAY;
    let seats = |count: i64| {
        move |_: &Subscription, rendered: &mut Value| {
            rendered["items"]["data"][0]["quantity"] = json!(count);
            if rendered["quantity"].is_i64() {
                rendered["quantity"] = json!(count);
            }
        }
    };
    let life = |version: ApiVersion| {
        move |user: &str| {
            let mut buyer = Buyer::new(version, user, PLUS_MONTHLY, start);
            let three = Shaped::new(&buyer.subscription, &seats(3)).render(version);
            let five = Shaped::new(&buyer.subscription, &seats(5)).render(version);
            let created = json!({ "object": three });
            let created = buyer.mint.envelope("customer.subscription.created", start, &created);
            let previous = previous_attributes(&three, &five);
            let more = json!({ "object": five, "previous_attributes": previous });
            let at = start + 15 * DAY;
            vec![
                created,
                buyer.paid_first(),
                buyer.mint.envelope("customer.subscription.updated", at, &more),
            ]
        }
    };
    for version in crate::stage::SHAPES {
        // 15 days of 3 × 10,000,000 and 15 of 5 × 10,000,000.
        let limit = (15 * 3 * 10 * M + 15 * 5 * 10 * M) / 30;
        let check = async |user: &str| stage.tokens(user, Balance::new(limit, 0, 0, 0, limit)).await;
        let name = format!("user_seats_{}", version.date());
        stage.in_every_order(&name, life(version), check).await?;
    }
    Ok(())
}

/// What the catalog says of trials comes before a month's limits.
#[tokio::test]
async fn a_trial_has_the_limits_that_the_catalog_gives_to_trials() -> Result<()> {
    let shop = TestCatalog::new("known_trials")?;
    let trial = "name = \"plus\"\ntrial_limits = { tokens = 1000 }\n";
    write(&shop, &[("name = \"plus\"\n", trial)])?;
    let env = TestEnv::new("known_trials").await?.with("CATALOG_FILE", &shop.path());
    let pair = Pair::start(&env, Setup::default()).await?;
    let stage = Stage { env: &env, pair: &pair };
    let (user, start) = ("user_trial", unix_now() - DAY);
    let mut buyer = Buyer::new(ApiVersion::Y2026, user, PLUS_MONTHLY, start);
    buyer.subscription.status = "trialing";
    buyer.subscription.period = Period {
        start,
        end: start + 3 * DAY,
    };
    buyer.subscription.trial = Some(buyer.subscription.period);
    stage.told(&[buyer.created()]).await?;
    stage.tokens(user, Balance::new(1_000, 0, 0, 0, 1_000)).await?;
    pair.operate(&["audit"]).await.map(drop)
}

#[tokio::test]
async fn another_product_on_the_same_stripe_account_is_ignored_and_no_dead_letter() -> Result<()> {
    let shop = TestCatalog::new("known_products")?;
    let ignored = format!("ignored_products = [\"{}\"]", price::UNKNOWN.product);
    write(&shop, &[("ignored_products = []", &ignored)])?;
    let env = TestEnv::new("known_products").await?.with("CATALOG_FILE", &shop.path());
    let pair = Pair::start(&env, Setup::default()).await?;
    let stage = Stage { env: &env, pair: &pair };
    let start = unix_now() - 40 * DAY;
    for version in crate::stage::SHAPES {
        let user = format!("user_gold_{}", version.date());
        let mut gold = Buyer::new(version, &user, price::UNKNOWN, start);
        let life = [gold.subscribed(), gold.renewed(), vec![gold.ended(start + 35 * DAY)]].concat();
        stage.told(&life).await?;
        for event in &life {
            stage.ignored(event, "other_product").await?;
        }
        let row = stage.found(&user).await?;
        ensure!(row.is_none(), "{row:?}");

        // Beside our own plan it is only another item.
        let user = format!("user_both_{}", version.date());
        let mut both = Buyer::new(version, &user, PLUS_MONTHLY, start + 20 * DAY);
        let period = both.subscription.period;
        let shape = |_: &Subscription, rendered: &mut Value| {
            crate::buyer::add_item(rendered, "si_gold", price::UNKNOWN, period, true);
        };
        let shown = Shaped::new(&both.subscription, &shape);
        let created = both
            .mint
            .event("customer.subscription.created", start + 20 * DAY, &shown);
        stage.told(&[created]).await?;
        stage.has(&user, "plus", None).await?;
    }

    // A shop's checkout names neither a pack nor a user.
    let mut mint = Mint::new(ApiVersion::Y2026, "shop");
    let mut order = Pack::bought(&mut mint, "nobody", "tokens_5m", 1, start);
    order.session.metadata.clear();
    let completed = order.completed(&mut mint);
    stage.told(std::slice::from_ref(&completed)).await?;
    stage.ignored(&completed, "no_user").await?;
    let letters = pair.dead_letters(&[]).await?;
    ensure!(letters.is_empty(), "{letters:?}");
    pair.operate(&["audit"]).await.map(drop)
}
