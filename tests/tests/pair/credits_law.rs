//! Credits end the same in whatever order events come, however often, and through kills; the ledger
//! proves each balance.

use anyhow::{Context, Result, ensure};
use lapin::BasicProperties;
use sha2::{Digest, Sha256};
use shared::message::{Meta, now_ms, properties};
use sqlx::{PgPool, Row};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests::crowd::{Senders, all_recorded, ids};
use tests::figures::note;
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Event};
use tests::harness::{
    Balance, Pair, Queues, Setup, TestEnv, eventually, every_balance_is_the_sum_of_its_ledger, report, report_key,
    unix_now, wait_for,
};
use tests::random;

const DEADLINE: Duration = Duration::from_mins(1);

/// Puts `things` into an order that the seed and their names decide.
fn shuffle<T>(seed: u64, things: &mut [T], name: impl Fn(&T) -> String) {
    things.sort_by_cached_key(|thing| Sha256::digest(format!("{seed} {}", name(thing))));
}

/// How much of the story happens: all of it, or all but its last acts.
#[derive(Clone, Copy)]
enum StoryPart {
    /// To the end: the dispute is won, the subscription canceled.
    All,
    /// Until the bank withdrew the money of two packs.
    Withdrawn,
    /// Until half of them was refunded.
    Refunded,
}

impl StoryPart {
    const EACH: [Self; 3] = [Self::All, Self::Withdrawn, Self::Refunded];

    const fn acts(self) -> usize {
        match self {
            Self::All => 14,
            Self::Withdrawn => 12,
            Self::Refunded => 10,
        }
    }

    /// Nothing is used: 5 million are left of the first period and 7.5 of the second, 10 have
    /// room; of the voice half a million of the second, and one of the third, one has room.
    fn rows(self) -> [(&'static str, Balance); 3] {
        let of = |limit: i64, voice: i64, purchased: i64| {
            let tokens = Balance::new(limit, 0, 10_000_000, purchased, limit + 10_000_000 + purchased);
            let voice = Balance::new(voice, 0, 1_000_000, 0, voice + 1_000_000);
            (tokens, voice)
        };
        let (none, unlimited) = (Balance::new(0, 0, 0, 0, 0), Balance::unlimited(0));
        let ((tokens, voice), basic) = match self {
            Self::All => (of(0, 0, 15_000_000), none),
            Self::Withdrawn => (of(14_666_666, 2_866_666, 5_000_000), unlimited),
            Self::Refunded => (of(14_666_666, 2_866_666, 10_000_000), unlimited),
        };
        [("tokens", tokens), ("voice_chars", voice), ("basic_chars", basic)]
    }
}

#[tokio::test]
async fn thirty_orders_of_the_story_each_event_twice_end_in_the_same_balances() -> Result<()> {
    let (seed, start) = (random::seed()?, unix_now() - 100 * DAY);
    let env = TestEnv::new("credits_orders").await?;
    let setup = Setup::default()
        .workers(2)
        .worker("BATCH_SIZE", "7")
        .worker("LANES", "2");
    let pair = Pair::start(&env, setup).await?;
    let mut orders = Vec::new();
    for number in 0..30 {
        let (part, version) = (StoryPart::EACH[number % 3], ApiVersion::ALL[number % 4]);
        let user = format!("user_{number}");
        let mut customer = Customer::new(version, &user, start, BASIC_MONTHLY, number % 2 == 0);
        let acts = customer.credit_history(number % 5 < 2);
        let mut events: Vec<Event> = acts[..part.acts()].concat();
        match number {
            0..3 => {}
            // Disputes and refunds before their session, invoices before their subscription.
            3..6 => events.reverse(),
            _ => shuffle(seed + u64::try_from(number)?, &mut events, |event| event.id.clone()),
        }
        events.extend_from_within(..);
        // The copies come behind all, or beside their originals.
        if number % 2 == 1 {
            shuffle(seed, &mut events, |event| event.id.clone());
        }
        orders.push((user, part, events));
    }
    let rounds = orders.iter().map(|(.., events)| events.len()).max().unwrap_or_default();
    let mut posted = 0;
    // Everybody's next event, then the one after it: they come into the database in this order.
    for round in 0..rounds {
        let events: Vec<Event> = orders.iter().filter_map(|(.., e)| e.get(round).cloned()).collect();
        Senders::start(&pair.client, &events, 4).finish().await?;
        all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
        posted += i64::try_from(events.len())?;
    }
    eventually(DEADLINE, "every copy is settled", async || {
        ensure!(pair.settled().await? == posted);
        Ok(())
    })
    .await;
    for (user, part, events) in &orders {
        let shown = Balance::expect(env.pool(), user, &part.rows()).await;
        shown.with_context(|| {
            let order: Vec<String> = events.iter().map(|e| format!("{} {}", e.kind, e.created)).collect();
            format!("seed {seed}, in the order\n{}", order.join("\n"))
        })?;
    }
    every_balance_is_the_sum_of_its_ledger(env.pool()).await?;
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    pair.operate(&["audit"]).await.map(drop)
}

/// A message, and the id under which it will be on record.
struct TestMessage {
    id: String,
    properties: BasicProperties,
    body: Vec<u8>,
}

/// What one user is about to do in the two periods of a basic subscription.
struct ExpectedUse {
    user: String,
    /// Units of packs, less those taken back.
    bought: i64,
    sessions: i64,
    /// Units of tokens that are used, and of the meter without a limit.
    used: [i64; 2],
}

const USERS: usize = 300;
const USAGES: usize = 6_000;

/// Everybody subscribes, buys, is renewed once; some are refunded, half of it or all.
fn busy_users(seed: u64, start: i64) -> Result<(Vec<ExpectedUse>, Vec<TestMessage>)> {
    let (mut expected, mut messages) = (Vec::new(), Vec::new());
    for number in 0..USERS {
        let user = format!("user_{seed}_{number}");
        let version = ApiVersion::ALL[number % 4];
        let mut customer = Customer::new(version, &user, start, BASIC_MONTHLY, number % 3 > 0);
        let mut events = [customer.subscribed(), customer.renewed()].concat();
        let quantity = i64::try_from(number % 3)?;
        let mut bought = 5_000_000 * quantity;
        if quantity > 0 {
            let mut pack = customer.pack("tokens_5m", quantity, start + 10 * DAY);
            events.push(pack.completed(&mut customer.mint));
            if number % 2 == 0 {
                events.push(pack.paid_later(&mut customer.mint, start + 11 * DAY));
            }
            let parts = i64::try_from(number % 5)?;
            for part in 0..parts.min(2) {
                let cents = 500 * quantity;
                let (_, refunded) = pack.refunded(&mut customer.mint, cents, start + (12 + part) * DAY);
                events.push(refunded);
                bought -= 2_500_000 * quantity;
            }
        }
        messages.extend(events.into_iter().map(|event| TestMessage {
            properties: properties(&event.id, &event.kind, Meta::received(now_ms()).headers()),
            body: event.body.into_bytes(),
            id: event.id,
        }));
        expected.push(ExpectedUse {
            user,
            bought,
            sessions: i64::from(quantity > 0),
            used: [0; 2],
        });
    }
    for number in 0..USAGES {
        let user = &mut expected[number * 7 % USERS];
        let which = usize::from(number % 10 == 0);
        let amount = i64::try_from(number * 7_919 % 900_000)?;
        user.used[which] += amount;
        let time = start + i64::try_from(number * 104_729 % usize::try_from(59 * DAY)?)?;
        let meter = ["tokens", "basic_chars"][which];
        let report = report(&number.to_string(), &user.user, meter, amount, time)?;
        let id = report_key(&report)?;
        messages.push(TestMessage {
            properties: properties(&id, "usage", Meta::usage(now_ms()).headers()),
            body: report.to_string().into_bytes(),
            id,
        });
    }
    Ok((expected, messages))
}

#[tokio::test]
async fn three_hundred_users_are_billed_to_the_unit_under_fifteen_kills() -> Result<()> {
    const KILLS: usize = 15;
    let (seed, start) = (random::seed()?, unix_now() - 61 * DAY);
    let (expected, messages) = busy_users(seed, start)?;
    let ids: Vec<String> = messages.iter().map(|message| message.id.clone()).collect();
    let mut order: Vec<usize> = (0..messages.len()).chain(0..messages.len()).collect();
    let mut copy = 0_usize;
    order.sort_by_cached_key(|place| {
        copy += 1;
        Sha256::digest(format!("{seed} {place} {copy}"))
    });
    let env = TestEnv::new("credits_killed").await?;
    let setup = Setup::default()
        .workers(2)
        .worker("BATCH_SIZE", "40")
        .worker("LANES", "2");
    let mut pair = Pair::start(&env, setup).await?;
    let (queues, work, begin) = (env.queues().await?, env.topology().work(), Instant::now());
    for some in order.chunks(1_000) {
        let messages = some.iter().map(|place| &messages[*place]);
        let messages = messages.map(|message| (message.properties.clone(), message.body.as_slice()));
        queues.publish_all(&work, messages).await?;
    }
    for kill in 1..=KILLS {
        taken(&queues, &work, order.len() * (KILLS + 1 - kill) / (KILLS + 1)).await?;
        let worker = &mut pair.workers[kill % 2];
        worker.ready().await?;
        worker.kill_9().await?;
        worker.spawn()?;
    }
    all_recorded(env.pool(), &ids, 2 * DEADLINE).await?;
    let took = begin.elapsed();
    note(&format!(
        "seed {seed}: {} deliveries, {KILLS} kills, {took:?}",
        order.len()
    ));
    for worker in &mut pair.workers {
        worker.ready().await?;
    }
    ensure!(pair.dead_letters(&[]).await?.is_empty(), "something is dead");
    every_balance_is_the_sum_of_its_ledger(env.pool()).await?;
    let proved = prove(env.pool(), &expected).await;
    proved.with_context(|| format!("seed {seed}"))?;
    pair.operate(&["audit"]).await.map(|output| note(&output))
}

/// Waits until no more than `left` wait in the queue.
async fn taken(queues: &Queues, work: &str, left: usize) -> Result<()> {
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    wait_for(DEADLINE, "the workers go on", async || {
        looks.tick().await;
        let waiting = usize::try_from(queues.depth(work).await?)?;
        ensure!(waiting <= left, "{waiting} wait, not {left}");
        Ok(())
    })
    .await
}

/// What the ledger holds of a user and meter.
#[derive(Debug, Default)]
struct StoredBalance {
    reported: i64,
    /// What all periods have used together.
    used: i64,
    grants: i64,
}

async fn stored_balances(pool: &PgPool) -> Result<BTreeMap<(String, String), StoredBalance>> {
    let rows = sqlx::query(
        "SELECT user_id, meter, coalesce(sum(amount) FILTER (WHERE kind = 'usage'), 0)::bigint, sum(used)::bigint,
                count(*) FILTER (WHERE kind = 'grant') FROM billing.ledger GROUP BY 1, 2",
    );
    let rows = rows.fetch_all(pool).await?;
    let row = |row: &sqlx::postgres::PgRow| {
        let stored = StoredBalance {
            reported: row.try_get(2)?,
            used: row.try_get(3)?,
            grants: row.try_get(4)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), stored))
    };
    rows.iter().map(row).collect()
}

/// What came in is what was consumed and what is left: of the first period 5 million, either used
/// or rolled over; what was bought; of the second what it has used.
async fn prove(pool: &PgPool, expected: &[ExpectedUse]) -> Result<()> {
    let (balances, stored) = (Balance::load_all(pool).await?, stored_balances(pool).await?);
    ensure!(balances.len() == expected.len(), "{} users", balances.len());
    for own in expected {
        let rows = &balances[&own.user];
        let of = |meter: &str| stored.get(&(own.user.clone(), meter.to_owned()));
        let (tokens, basic) = (&rows["tokens"], &rows["basic_chars"]);
        let context = || {
            format!(
                "{}: {tokens:?} {basic:?} {:?} {:?}",
                own.user,
                of("tokens"),
                of("basic_chars")
            )
        };
        let ledger = of("tokens").with_context(context)?;
        ensure!(
            ledger.reported == own.used[0] && ledger.grants == own.sessions,
            "{}",
            context()
        );
        let left = tokens.rollover + tokens.purchased - tokens.used;
        ensure!(left == 5_000_000 + own.bought - own.used[0], "{}", context());
        ensure!(
            tokens.purchased >= 0 && (0..=5_000_000).contains(&tokens.used),
            "{}",
            context()
        );
        ensure!(
            tokens.rollover <= 10_000_000 && tokens.plan_limit == Some(5_000_000),
            "{}",
            context()
        );
        let unlimited = of("basic_chars").map_or((0, 0), |stored| (stored.reported, stored.used));
        ensure!(unlimited == (own.used[1], own.used[1]), "{}", context());
        ensure!(*basic == Balance::unlimited(basic.used), "{}", context());
    }
    Ok(())
}
