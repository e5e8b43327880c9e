//! Measures the console's pages with a million events and a hundred thousand users. The pair makes the rows of
//! one customer; SQL copies them with other ids.

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::{Duration, Instant};
use tests::crowd::{Senders, all_recorded, ids};
use tests::figures::Times;
use tests::fixtures::price::{BASIC_MONTHLY, UNKNOWN};
use tests::fixtures::{ApiVersion, Customer, DAY, Mint, Subscription};
use tests::harness::{OPS_TOKEN, Pair, Setup, TestEnv, console_session, report, report_key, unix_now};

const USERS: i64 = 100_000;
const DEAD_LETTERS: i64 = 10_000;
/// The number of usage reports of the user with the most.
const USAGES: i64 = 300_000;
const DEADLINE: Duration = Duration::from_secs(30);
const SAMPLES: i64 = 200;
const USER: &str = "user_pages";
/// The tables with rows of a customer.
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

/// The times of a page.
pub(crate) struct PageTimes {
    /// The name of the page.
    pub(crate) name: &'static str,
    /// The times of requests for different customers, one after the other.
    pub(crate) times: Times,
}

/// Fills the tables, then requests each page.
pub(crate) async fn measure() -> Result<Vec<PageTimes>> {
    let env = TestEnv::new("bench_pages").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let customer = make_customer(&env, &pair).await?;
    fill(env.pool(), &customer).await?;
    let client = pair.workers[0].ops();
    let cookie = console_session(client).await?;
    let mut pages = Vec::new();
    for (name, path) in customer.paths() {
        let mut times = Vec::new();
        for sample in 0..SAMPLES {
            let path = path(1 + sample * (DEAD_LETTERS / SAMPLES));
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
        pages.push(PageTimes {
            name,
            times: times.into(),
        });
    }
    Ok(pages)
}

/// The ids of the customer that is copied.
struct CopiedCustomer {
    /// The tag in all its ids.
    tag: String,
    customer: String,
    subscription: String,
    event: String,
    letter: String,
    /// The tag in all ids of the dead letter.
    letter_tag: String,
}

type PagePath<'a> = Box<dyn Fn(i64) -> String + 'a>;

impl CopiedCustomer {
    /// The name and the address of each page, for a number of a copy.
    fn paths(&self) -> Vec<(&'static str, PagePath<'_>)> {
        let own = |id: &str, number: i64| id.replace(&self.tag, &format!("{}{number}", self.tag));
        let letter = |number: i64| {
            self.letter
                .replace(&self.letter_tag, &format!("{}{number}", self.letter_tag))
        };
        let fixed = |path: &'static str| -> PagePath<'_> { Box::new(move |_| path.to_owned()) };
        let hundred = move |first: i64| {
            let ids = (0..100).map(|more| format!("id={}", letter(1 + (first + more) % DEAD_LETTERS)));
            format!("/console/replay?{}", ids.collect::<Vec<_>>().join("&"))
        };
        vec![
            ("overview", fixed("/console")),
            ("dead letters", fixed("/console/dead-letters")),
            (
                "dead letters by reason and age",
                fixed("/console/dead-letters?reason=unknown_price&older=1s"),
            ),
            (
                "dead letters of one customer",
                fixed("/console/dead-letters?customer=cus_nobody"),
            ),
            (
                "a dead letter",
                Box::new(move |n| format!("/console/dead-letters/{}", letter(n))),
            ),
            (
                "preview of a replay",
                Box::new(move |n| format!("/console/replay?id={}", letter(n))),
            ),
            ("preview of a replay of 100", Box::new(hundred)),
            ("preview of a replay of all", fixed("/console/replay?all=1")),
            (
                "an event",
                Box::new(move |n| format!("/console/events/{}", own(&self.event, n))),
            ),
            ("a user", Box::new(|n| format!("/console/users/{USER}{n}"))),
            ("a user with 300,000 usage reports", fixed("/console/users/user_pages1")),
            (
                "search for a customer",
                Box::new(move |n| format!("/console/search?q={}", own(&self.customer, n))),
            ),
            (
                "search for a subscription",
                Box::new(move |n| format!("/console/search?q={}", own(&self.subscription, n))),
            ),
            ("actions", fixed("/console/actions")),
        ]
    }
}

/// Makes a customer with ten events, a pack and usage, and a dead letter.
async fn make_customer(env: &TestEnv, pair: &Pair) -> Result<CopiedCustomer> {
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
        Senders::start(&pair.client, act, 1).finish().await?;
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
    Ok(CopiedCustomer {
        tag: tag(&customer.subscription.customer)?,
        customer: customer.subscription.customer.clone(),
        subscription: customer.subscription.id.clone(),
        event: acts[2][0].id.clone(),
        letter_tag: tag(&other)?,
        letter: letter.id,
    })
}

/// The tag in all ids of one mint, taken from its first id.
fn tag(customer: &str) -> Result<String> {
    let rest = customer.strip_prefix("cus_").and_then(|rest| rest.strip_suffix("0001"));
    Ok(rest.context("the first id of a mint")?.to_owned())
}

/// Copies the rows of the customer and of the dead letter.
async fn fill(pool: &PgPool, customer: &CopiedCustomer) -> Result<()> {
    let CopiedCustomer { tag, letter_tag, .. } = customer;
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
    let letter = format!("t.event_id = '{}'", customer.letter);
    let of_letters = ["event", "payload", "dead_letter"];
    statements.extend(of_letters.map(|table| copy(table, &letter, letter_tag, DEAD_LETTERS)));
    statements.extend([
        // The copies still have the old ids in their bodies.
        format!(
            "UPDATE billing.payload SET body = convert_to(replace(convert_from(body, 'UTF8'), '{letter_tag}',
                 '{letter_tag}' || substr(event_id, {}, length(event_id) - {})), 'UTF8')
             WHERE event_id LIKE 'evt_{letter_tag}%'",
            "evt_".len() + letter_tag.len() + 1,
            customer.letter.len()
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
