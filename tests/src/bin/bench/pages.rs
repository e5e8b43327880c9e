//! How long the console's pages take with a million events and a hundred thousand users in the
//! tables: one customer's rows, made by the pair itself, are copied by SQL under other names.

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::{Duration, Instant};
use tests::crowd::{Delivery, all_recorded, ids};
use tests::figures::Times;
use tests::fixtures::price::{BASIC_MONTHLY, UNKNOWN};
use tests::fixtures::{ApiVersion, Customer, DAY, Mint, Subscription};
use tests::harness::{OPS_TOKEN, Pair, Setup, TestEnv, console_session, report, report_key, unix_now};

const USERS: i64 = 100_000;
const LETTERS: i64 = 10_000;
/// Usages of one user who has very many.
const USAGES: i64 = 300_000;
const DEADLINE: Duration = Duration::from_secs(30);
const SAMPLES: i64 = 200;
const USER: &str = "user_pages";
/// The tables that a customer's life fills; of each, rows are copied whole.
const TABLES: [&str; 9] = [
    "event",
    "fact",
    "account",
    "subscription",
    "pack",
    "app_user",
    "entitlement",
    "balance",
    "ledger",
];

/// A page and its times.
pub(crate) struct Page {
    /// What it shows.
    pub(crate) name: &'static str,
    /// One after the other, each of another customer.
    pub(crate) times: Times,
}

/// Fills the tables, then asks for each page.
pub(crate) async fn measure() -> Result<Vec<Page>> {
    let env = TestEnv::new("bench_pages").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let life = live(&env, &pair).await?;
    fill(env.pool(), &life).await?;
    let client = pair.workers[0].ops();
    let cookie = console_session(client).await?;
    let mut pages = Vec::new();
    for (name, path) in life.paths() {
        let mut times = Vec::new();
        for sample in 0..SAMPLES {
            let path = path(1 + sample * (LETTERS / SAMPLES));
            let start = Instant::now();
            let headers = [("cookie", cookie.as_str())];
            let answer = client
                .request(Method::GET, &path, &headers, bytes::Bytes::new())
                .await?;
            times.push(start.elapsed());
            ensure!(
                answer.status == StatusCode::OK,
                "{path}: {} {}",
                answer.status,
                answer.body
            );
        }
        pages.push(Page {
            name,
            times: times.into(),
        });
    }
    Ok(pages)
}

/// The ids of the life that is copied.
struct Life {
    /// What all its ids have in common.
    tag: String,
    customer: String,
    subscription: String,
    event: String,
    letter: String,
    /// What all ids of the dead letter have in common.
    letter_tag: String,
}

type Path<'a> = Box<dyn Fn(i64) -> String + 'a>;

impl Life {
    /// Of each page its address, for the copy of a number.
    fn paths(&self) -> Vec<(&'static str, Path<'_>)> {
        let own = |id: &str, number: i64| id.replace(&self.tag, &format!("{}{number}", self.tag));
        let letter = |number: i64| {
            self.letter
                .replace(&self.letter_tag, &format!("{}{number}", self.letter_tag))
        };
        let fixed = |path: &'static str| -> Path<'_> { Box::new(move |_| path.to_owned()) };
        let hundred = move |first: i64| {
            let ids = (0..100).map(|more| format!("id={}", letter(1 + (first + more) % LETTERS)));
            format!("/console/replay?{}", ids.collect::<Vec<_>>().join("&"))
        };
        vec![
            ("overview", fixed("/console")),
            ("dead letters", fixed("/console/dead-letters")),
            (
                "dead letters of a reason and an age",
                fixed("/console/dead-letters?reason=unknown_price&older=1s"),
            ),
            (
                "dead letters of a customer",
                fixed("/console/dead-letters?customer=cus_nobody"),
            ),
            (
                "a dead letter",
                Box::new(move |n| format!("/console/dead-letters/{}", letter(n))),
            ),
            (
                "what a replay would do",
                Box::new(move |n| format!("/console/replay?id={}", letter(n))),
            ),
            ("what a replay of 100 would do", Box::new(hundred)),
            ("what a replay of all would do", fixed("/console/replay?all=1")),
            (
                "an event",
                Box::new(move |n| format!("/console/events/{}", own(&self.event, n))),
            ),
            ("a user", Box::new(|n| format!("/console/users/{USER}{n}"))),
            ("a user of 300,000 usages", fixed("/console/users/user_pages1")),
            (
                "search of a customer",
                Box::new(move |n| format!("/console/search?q={}", own(&self.customer, n))),
            ),
            (
                "search of a subscription",
                Box::new(move |n| format!("/console/search?q={}", own(&self.subscription, n))),
            ),
            ("actions", fixed("/console/actions")),
        ]
    }
}

/// A year of a customer's life, ten events with a pack and usage, and a dead letter.
async fn live(env: &TestEnv, pair: &Pair) -> Result<Life> {
    let start = unix_now() - 100 * DAY;
    let mut customer = Customer::new(ApiVersion::Y2026, USER, start, BASIC_MONTHLY, true);
    let mut acts = vec![
        customer.subscribed(),
        customer.renewed(),
        customer.renewed(),
        customer.renewed(),
    ];
    let pack = customer.pack("tokens_5m", 1, start + 6 * DAY);
    acts.push(vec![pack.completed(&mut customer.mint)]);
    for (number, act) in acts.iter().enumerate() {
        Delivery::start(&pair.client, act, 1).finish().await?;
        all_recorded(env.pool(), &ids(act), DEADLINE).await?;
        let at = act.last().context("an act has events")?.created + 60;
        let used = report(&format!("{USER}-{number}"), USER, "tokens", 700_000, at)?;
        pair.client.post_usage(&used).await?;
        all_recorded(env.pool(), &[report_key(&used)?], DEADLINE).await?;
    }
    let mut mint = Mint::new(ApiVersion::Y2026, "pages-letter");
    let (other, now) = (mint.id("cus"), unix_now() - 60);
    let subscription = Subscription::new(&mut mint, &other, UNKNOWN, now).of_user("user_letter");
    let letter = mint.event("customer.subscription.created", now, &subscription);
    pair.client.post_event(&letter).await?.accepted()?;
    all_recorded(env.pool(), std::slice::from_ref(&letter.id), DEADLINE).await?;
    Ok(Life {
        tag: tag(&customer.subscription.customer)?,
        customer: customer.subscription.customer.clone(),
        subscription: customer.subscription.id.clone(),
        event: acts[2][0].id.clone(),
        letter_tag: tag(&other)?,
        letter: letter.id,
    })
}

/// What the ids of one mint have in common: all but the prefix and the number of the first.
fn tag(customer: &str) -> Result<String> {
    let rest = customer.strip_prefix("cus_").and_then(|rest| rest.strip_suffix("0001"));
    Ok(rest.context("the first id of a mint")?.to_owned())
}

async fn fill(pool: &PgPool, life: &Life) -> Result<()> {
    let Life { tag, letter_tag, .. } = life;
    let copy = |table: &str, condition: &str, tag: &str, count: i64| {
        format!(
            "INSERT INTO billing.{table} SELECT copy.* FROM billing.{table} t, generate_series(1, {count}) AS n,
             LATERAL jsonb_populate_record(NULL::billing.{table}, replace(replace(to_jsonb(t)::text,
                 '{tag}', '{tag}' || n), '{USER}', '{USER}' || n)::jsonb) AS copy WHERE {condition}"
        )
    };
    let mut statements: Vec<String> = TABLES
        .iter()
        .map(|table| {
            copy(
                table,
                &format!("to_jsonb(t)::text NOT LIKE '%{letter_tag}%'"),
                tag,
                USERS,
            )
        })
        .collect();
    let letter = format!("t.event_id = '{}'", life.letter);
    let of_letters = ["event", "payload", "dead_letter"];
    statements.extend(of_letters.map(|table| copy(table, &letter, letter_tag, LETTERS)));
    statements.extend([
        // The body says who it is; its bytes were copied as they are.
        format!(
            "UPDATE billing.payload SET body = convert_to(replace(convert_from(body, 'UTF8'), '{letter_tag}',
                 '{letter_tag}' || substr(event_id, {}, length(event_id) - {})), 'UTF8')
             WHERE event_id LIKE 'evt_{letter_tag}%'",
            "evt_".len() + letter_tag.len() + 1,
            life.letter.len()
        ),
        "INSERT INTO billing.dead_letter_failure (event_id, at, reason, detail, attempts)
         SELECT event_id, last_failed, reason, detail, attempts FROM billing.dead_letter"
            .to_owned(),
        "INSERT INTO billing.payload SELECT event_id, received_at, convert_to('{\"id\": \"x\"}', 'UTF8')
         FROM billing.event ON CONFLICT DO NOTHING"
            .to_owned(),
        format!(
            "INSERT INTO billing.ledger (user_id, meter, kind, cause, period, at, amount, used, rollover, purchased)
             SELECT '{USER}1', 'tokens', 'usage', '/many ' || n, '', {} + n * 20, 1, 0, 0, -1
             FROM generate_series(1, {USAGES}) AS n",
            unix_now() - 90 * DAY
        ),
        "VACUUM ANALYZE".to_owned(),
    ]);
    for statement in statements {
        sqlx::raw_sql(AssertSqlSafe(statement.as_str()))
            .execute(pool)
            .await
            .with_context(|| statement.clone())?;
    }
    let events: i64 = sqlx::query_scalar("SELECT count(*) FROM billing.event")
        .fetch_one(pool)
        .await?;
    ensure!(events > 1_000_000, "only {events} events");
    Ok(())
}
