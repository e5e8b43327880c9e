//! Credits from periods and packs, and their use, with balances that were worked out by hand.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sqlx::{PgPool, Row};
use std::time::Duration;
use tests::crowd::{Senders, all_recorded, ids};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Event, Mint, Pack};
use tests::harness::{
    Balance, Entitlement, Pair, Setup, TestEnv, eventually, every_balance_is_the_sum_of_its_ledger, report, report_key,
    unix_now,
};
use tokio::task::JoinSet;

const DEADLINE: Duration = Duration::from_mins(1);

/// The rows of the three meters that the shipped catalog has.
fn rows(tokens: Balance, voice: Balance, basic: Balance) -> [(&'static str, Balance); 3] {
    [("tokens", tokens), ("voice_chars", voice), ("basic_chars", basic)]
}

/// One user's reports and Stripe's events, each waited for.
struct Stage<'a> {
    env: &'a TestEnv,
    pair: &'a Pair,
    user: &'a str,
    start: i64,
}

impl Stage<'_> {
    async fn told(&self, events: &[Event]) -> Result<()> {
        Senders::start(&self.pair.client, events, 1).finish().await?;
        all_recorded(self.env.pool(), &ids(events), DEADLINE).await
    }

    async fn used(&self, meter: &str, amount: i64, day: i64) -> Result<()> {
        let time = self.start + day * DAY;
        let id = format!("{meter} {amount} on {day} by {}", self.user);
        self.reported(&report(&id, self.user, meter, amount, time)?).await
    }

    async fn reported(&self, report: &Value) -> Result<()> {
        let answer = self.pair.client.post_usage(report).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
        all_recorded(self.env.pool(), &[report_key(report)?], DEADLINE).await
    }

    async fn shows(&self, when: &str, expected: &[(&str, Balance)]) -> Result<()> {
        let shown = Balance::expect(self.env.pool(), self.user, expected).await;
        shown.with_context(|| when.to_owned())
    }
}

#[tokio::test]
async fn the_story_of_credits_has_the_right_balances_after_every_act() -> Result<()> {
    let env = TestEnv::new("credits_story").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let start = unix_now() - 100 * DAY;
    let mut life = Customer::new(ApiVersion::Y2026, "user_story", start, BASIC_MONTHLY, true);
    let acts = life.credit_history(false);
    let stage = Stage {
        env: &env,
        pair: &pair,
        user: "user_story",
        start,
    };
    first_periods(&stage, &acts).await?;
    last_period(&stage, &acts).await?;
    every_balance_is_the_sum_of_its_ledger(env.pool()).await?;
    pair.operate(&["audit"]).await.map(drop)
}

async fn first_periods(stage: &Stage<'_>, acts: &[Vec<Event>]) -> Result<()> {
    let (none, basic) = (Balance::new(0, 0, 0, 0, 0), Balance::unlimited(0));
    stage.told(&acts[0]).await?;
    let tokens = Balance::new(5_000_000, 0, 0, 0, 5_000_000);
    stage.shows("subscribed", &rows(tokens, none, basic)).await?;

    stage.used("tokens", 1_200_000, 1).await?;
    let tokens = Balance::new(5_000_000, 1_200_000, 0, 0, 3_800_000);
    stage.shows("used some", &rows(tokens, none, basic)).await?;

    let mut weighted = report("weighted", stage.user, "tokens", 0, stage.start + 2 * DAY)?;
    weighted["data"] = serde_json::json!({"meter": "tokens", "quantities": {"input": 600_000, "output": 100_000}});
    stage.reported(&weighted).await?;
    stage.used("basic_chars", 123_456, 3).await?;
    let tokens = Balance::new(5_000_000, 2_400_000, 0, 0, 2_600_000);
    let basic = Balance::unlimited(123_456);
    stage.shows("weighted", &rows(tokens, none, basic)).await?;

    stage.used("tokens", 4_000_000, 5).await?;
    stage.used("voice_chars", 1_000, 5).await?;
    let tokens = Balance::new(5_000_000, 5_000_000, -1_400_000, 0, -1_400_000);
    let voice = Balance::new(0, 0, -1_000, 0, -1_000);
    stage.shows("over the limit", &rows(tokens, voice, basic)).await?;

    stage.told(&acts[1]).await?;
    let tokens = Balance::new(5_000_000, 5_000_000, 0, 3_600_000, 3_600_000);
    stage.shows("a pack pays the debt", &rows(tokens, voice, basic)).await?;

    stage.used("tokens", 600_000, 7).await?;
    stage.told(&acts[2]).await?;
    let tokens = Balance::new(5_000_000, 0, 0, 3_000_000, 8_000_000);
    let basic = Balance::unlimited(0);
    stage.shows("nothing is left over", &rows(tokens, voice, basic)).await?;

    stage.told(&acts[3]).await?;
    stage.used("tokens", 1_500_000, 46).await?;
    stage.used("voice_chars", 100_000, 46).await?;
    // Half of the month at 5 million, half at 10 million.
    let tokens = Balance::new(7_500_000, 1_500_000, 0, 3_000_000, 9_000_000);
    let voice = Balance::new(500_000, 100_000, -1_000, 0, 399_000);
    stage.shows("upgraded", &rows(tokens, voice, basic)).await?;

    // Half of 5 million and half of 10 million, less what was used; the debt is paid of it.
    stage.told(&acts[4]).await?;
    let tokens = Balance::new(10_000_000, 0, 6_000_000, 3_000_000, 19_000_000);
    let voice = Balance::new(1_000_000, 0, 399_000, 0, 1_399_000);
    stage.shows("rolled over", &rows(tokens, voice, basic)).await?;

    // 6 million are left over, of which 4 have room.
    stage.used("tokens", 4_000_000, 61).await?;
    stage.told(&acts[5]).await?;
    let tokens = Balance::new(10_000_000, 0, 10_000_000, 3_000_000, 23_000_000);
    let voice = Balance::new(1_000_000, 0, 1_000_000, 0, 2_000_000);
    stage.shows("capped", &rows(tokens, voice, basic)).await
}

async fn last_period(stage: &Stage<'_>, acts: &[Vec<Event>]) -> Result<()> {
    let voice = Balance::new(1_000_000, 0, 1_000_000, 0, 2_000_000);
    let basic = Balance::unlimited(0);
    stage.used("tokens", 24_500_000, 91).await?;
    let tokens = Balance::new(10_000_000, 10_000_000, -1_500_000, 0, -1_500_000);
    stage.shows("down every bucket", &rows(tokens, voice, basic)).await?;

    // Two days of the month at Plus, the rest at Max: Basic keeps it by its grace.
    let limit = (2 * 10_000_000 + 28 * 15_000_000) / 30;
    let voice_limit = (2 * 1_000_000 + 28 * 3_000_000) / 30;
    let voice = Balance::new(voice_limit, 0, 1_000_000, 0, voice_limit + 1_000_000);
    for (when, act) in [("upgraded", 6), ("downgraded with grace", 7)] {
        stage.told(&acts[act]).await?;
        let tokens = Balance::new(limit, 10_000_000, -1_500_000, 0, limit - 11_500_000);
        stage.shows(when, &rows(tokens, voice, basic)).await?;
    }
    let row = Entitlement::load(stage.env.pool(), stage.user)
        .await?
        .context("no row")?;
    ensure!(
        row.tier == "basic" && row.grace_tier.as_deref() == Some("max"),
        "{row:?}"
    );

    stage.told(&acts[8]).await?;
    let two_packs = Balance::new(limit, 10_000_000, 0, 8_500_000, limit - 1_500_000);
    stage.shows("two packs", &rows(two_packs, voice, basic)).await?;
    stage.told(&acts[9]).await?;
    let tokens = Balance::new(limit, 10_000_000, 0, 3_500_000, limit - 6_500_000);
    stage.shows("half refunded", &rows(tokens, voice, basic)).await?;
    stage.told(&acts[10]).await?;
    stage.shows("not refunded", &rows(two_packs, voice, basic)).await?;

    stage.used("tokens", 7_000_000, 97).await?;
    stage.told(&acts[11]).await?;
    // The limit pays what is left of it, the packs the rest.
    let purchased = 8_500_000 - (7_000_000 - (limit - 10_000_000));
    let debt = purchased - 10_000_000;
    let tokens = Balance::new(limit, limit, debt, 0, debt);
    stage.shows("withdrawn", &rows(tokens, voice, basic)).await?;
    stage.told(&acts[12]).await?;
    let tokens = Balance::new(limit, limit, 0, purchased, purchased);
    stage.shows("reinstated", &rows(tokens, voice, basic)).await?;

    stage.told(&acts[13]).await?;
    let tokens = Balance::new(0, limit, 0, purchased, purchased);
    let voice = Balance::new(0, 0, 1_000_000, 0, 1_000_000);
    let none = Balance::new(0, 0, 0, 0, 0);
    stage.shows("canceled", &rows(tokens, voice, none)).await?;
    stage.used("tokens", 1_000_000, 100).await?;
    let tokens = Balance::new(0, limit, 0, purchased - 1_000_000, purchased - 1_000_000);
    stage.shows("what was bought stays", &rows(tokens, voice, none)).await
}

#[tokio::test]
async fn a_user_who_never_subscribed_can_buy_and_use_credits_on_the_free_tier() -> Result<()> {
    let env = TestEnv::new("credits_none").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let start = unix_now() - DAY;
    let stage = |user| Stage {
        env: &env,
        pair: &pair,
        user,
        start,
    };
    let (buyer, debtor) = (stage("user_buyer"), stage("user_debtor"));
    let mut mint = Mint::new(ApiVersion::Y2026, "none");
    let pack = Pack::bought(&mut mint, buyer.user, "voice_500k", 2, start);
    // A payment that takes days grants nothing yet.
    buyer.told(&[pack.completed_unpaid(&mut mint)]).await?;
    buyer.shows("unpaid", &[]).await?;
    ensure!(Entitlement::load(env.pool(), buyer.user).await?.is_none());
    buyer.told(&[pack.paid_later(&mut mint, start + 600)]).await?;
    let voice = Balance::new(0, 0, 0, 1_000_000, 1_000_000);
    buyer.shows("paid", &[("voice_chars", voice)]).await?;
    buyer.used("voice_chars", 1_200_000, 1).await?;
    let voice = Balance::new(0, 0, -200_000, 0, -200_000);
    buyer.shows("used", &[("voice_chars", voice)]).await?;

    debtor.used("tokens", 700, 1).await?;
    debtor.used("basic_chars", 0, 1).await?;
    let tokens = Balance::new(0, 0, -700, 0, -700);
    let nothing = Balance::new(0, 0, 0, 0, 0);
    debtor
        .shows("used", &[("tokens", tokens), ("basic_chars", nothing)])
        .await?;
    for user in [buyer.user, debtor.user] {
        let row = Entitlement::load(env.pool(), user).await?;
        let free = || "free".to_owned();
        let expected = Entitlement {
            user_id: user.to_owned(),
            status: "none".to_owned(),
            tier: free(),
            effective_tier: free(),
            ..Entitlement::default()
        };
        ensure!(row.as_ref() == Some(&expected), "{row:?}");
    }
    every_balance_is_the_sum_of_its_ledger(env.pool()).await
}

#[tokio::test]
async fn a_hundred_copies_and_twenty_twins_of_one_pack_event_grant_once() -> Result<()> {
    let env = TestEnv::new("credits_once").await?;
    let setup = Setup::default()
        .workers(2)
        .worker("BATCH_SIZE", "7")
        .worker("LANES", "4");
    let pair = Pair::start(&env, setup).await?;
    let (mut mint, start) = (Mint::new(ApiVersion::Basil, "once"), unix_now() - DAY);
    let pack = Pack::bought(&mut mint, "user_once", "tokens_5m", 3, start);
    let event = pack.completed(&mut mint);
    let mut events = vec![event.clone(); 100];
    events.extend((0..20).map(|_| mint.twin(&event)));
    let later = pack.paid_later(&mut mint, start + 60);
    events.extend((0..4).map(|_| mint.twin(&later)));
    let posts: JoinSet<Result<()>> = events
        .iter()
        .cloned()
        .map(|event| (pair.client.clone(), event))
        .map(|(client, event)| async move { client.post_event(&event).await?.accepted() })
        .collect();
    for post in posts.join_all().await {
        post?;
    }
    eventually(DEADLINE, "every delivery is settled", async || {
        ensure!(pair.settled().await? == i64::try_from(events.len())?);
        Ok(())
    })
    .await;
    let tokens = Balance::new(0, 0, 0, 15_000_000, 15_000_000);
    Balance::expect(env.pool(), "user_once", &[("tokens", tokens)]).await?;
    let lines = ledger(env.pool(), "user_once").await?;
    ensure!(lines == [("grant".to_owned(), 15_000_000)], "{lines:?}");
    Ok(())
}

/// A charge says how much of it was given back in all.
#[tokio::test]
async fn of_two_refunds_within_one_second_both_count() -> Result<()> {
    let env = TestEnv::new("credits_refunds").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let start = unix_now() - DAY;
    let (mut events, mut users) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let user = format!("user_{number}");
        // Another mint each, so that the ids of the refunds say nothing of their order.
        let mut mints = [1, 2, 3].map(|own| Mint::new(ApiVersion::Y2026, &format!("{number} {own}")));
        let mut pack = Pack::bought(&mut mints[0], &user, "tokens_5m", 1, start);
        events.push(pack.completed(&mut mints[0]));
        for mint in &mut mints[1..] {
            events.push(pack.refunded(mint, 500, start + 600).1);
        }
        users.push(user);
    }
    Senders::start(&pair.client, &events, 4).finish().await?;
    all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
    let nothing = Balance::new(0, 0, 0, 0, 0);
    for user in &users {
        Balance::expect(env.pool(), user, &[("tokens", nothing)]).await?;
    }
    every_balance_is_the_sum_of_its_ledger(env.pool()).await
}

/// Kind and amount of each entry about a user.
async fn ledger(pool: &PgPool, user: &str) -> Result<Vec<(String, i64)>> {
    let lines = sqlx::query("SELECT kind, amount FROM billing.ledger WHERE user_id = $1 ORDER BY at, kind");
    let lines = lines.bind(user).fetch_all(pool).await?;
    lines.iter().map(|l| Ok((l.try_get(0)?, l.try_get(1)?))).collect()
}
