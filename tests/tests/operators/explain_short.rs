//! The console's summary of a user with very many uses, compared with all ledger lines.

use anyhow::{Result, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tests::crowd::{Senders, all_recorded, ids};
use tests::figures::note;
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY};
use tests::harness::{OPS_TOKEN, Pair, Setup, TestEnv, console_session, unix_now};
use tests::random;
use worker::domain::balance::timeline::EntryKind;
use worker::domain::explain::{EARLIER_USAGE, LedgerRecord};
use worker::domain::ids::UserId;
use worker::store::explain::{recorded_in_short, recorded_of};

const DEADLINE: Duration = Duration::from_secs(30);
/// What a statement of the console may take.
const PAGE_MAX: Duration = Duration::from_secs(2);

/// Lines of `user`: `$2` uses of two meters over `$4` seconds from `$3`, and fifty corrections.
const LINES: &str = "
    INSERT INTO billing.ledger (user_id, meter, kind, cause, period, at, amount, used, rollover, purchased)
    SELECT $1, CASE WHEN random() < 0.8 THEN 'tokens' ELSE 'images' END,
           CASE WHEN n > 50 THEN 'usage' ELSE 'correction' END, '/app ' || n,
           CASE WHEN random() < 0.5 THEN 'sub_1 1' ELSE '' END, $3 + (random() * $4)::bigint,
           (random() * 100)::bigint, 0, 0, 0
    FROM generate_series(1, $2 + 50) AS t (n)";
const SUMS: &str = "
    INSERT INTO billing.ledger_sum (user_id, meter, hour, period, first_at, last_at, amount, used, rollover, purchased)
    SELECT user_id, meter, at / 3600, period, min(at) FILTER (WHERE kind = 'usage'),
           max(at) FILTER (WHERE kind = 'usage'), coalesce(sum(amount) FILTER (WHERE kind = 'usage'), 0), 0, 0, 0
    FROM billing.ledger WHERE user_id = $1 GROUP BY 1, 2, 3, 4";

async fn uses(connection: &mut PgConnection, user: &str, count: i64, from: i64, seconds: i64) -> Result<()> {
    let lines = sqlx::query(LINES).bind(user).bind(count).bind(from).bind(seconds);
    lines.execute(&mut *connection).await?;
    sqlx::query(SUMS).bind(user).execute(connection).await?;
    Ok(())
}

#[tokio::test]
async fn summed_usage_equals_the_sum_of_all_its_ledger_lines() -> Result<()> {
    const FROM: i64 = 1_790_000_000;
    const SECONDS: i64 = 2 * DAY;
    let env = TestEnv::new("explain_short").await?;
    let _pair = Pair::start(&env, Setup::default()).await?;
    let seed = random::seed()?;
    let mut connection = env.pool().acquire().await?;
    let fraction = sqlx::query("SELECT setseed($1::bigint % 1000 / 1000.0)").bind(seed.cast_signed().saturating_abs());
    fraction.execute(&mut *connection).await?;
    let user = UserId::new("user_short");
    uses(&mut connection, user.as_str(), 3_000, FROM, SECONDS).await?;
    let all = recorded_of(&mut connection, &user).await?;
    ensure!(all.len() == 3_050);
    for (round, newest) in [1, 7, 200, 2_999, 3_000, 9_000]
        .into_iter()
        .cycle()
        .take(30)
        .enumerate()
    {
        let cuts =
            "SELECT coalesce(array_agg(DISTINCT $1 + (random() * $2)::bigint), '{}') FROM generate_series(1, $3)";
        let cuts = sqlx::query_scalar(cuts)
            .bind(FROM)
            .bind(SECONDS)
            .bind(i64::try_from(round % 9)?);
        let mut cuts: Vec<i64> = cuts.fetch_one(&mut *connection).await?;
        cuts.sort_unstable();
        let short = recorded_in_short(&mut connection, &user, &cuts, newest).await?;
        let (found, expected) = (
            amounts(&short, &cuts),
            amounts(&in_short(&all, usize::try_from(newest)?), &cuts),
        );
        ensure!(
            found == expected,
            "seed {seed}, newest {newest}, cuts {cuts:?}:\n{found:?}\n{expected:?}"
        );
    }
    Ok(())
}

/// What counts: single lines by their causes, and earlier usage by its meter and its place between cuts.
fn amounts(recorded: &[LedgerRecord], cuts: &[i64]) -> BTreeMap<(String, String, i64), i64> {
    let mut sums = BTreeMap::new();
    for LedgerRecord { meter, entry } in recorded {
        let place = if entry.cause == EARLIER_USAGE {
            i64::try_from(cuts.partition_point(|cut| *cut <= entry.at)).unwrap_or_default()
        } else {
            entry.at
        };
        *sums.entry((meter.clone(), entry.cause.clone(), place)).or_default() += entry.amount;
    }
    sums
}

/// The same lines with the cause of sums on all but the newest.
fn in_short(all: &[LedgerRecord], newest: usize) -> Vec<LedgerRecord> {
    let of = |kind: EntryKind| {
        let mut lines: Vec<LedgerRecord> = all.iter().filter(|r| r.entry.kind == kind).cloned().collect();
        lines.sort_by_key(|r| std::cmp::Reverse(r.entry.at));
        lines
    };
    let mut usage = of(EntryKind::Usage);
    let edge = usage.get(newest).map_or(i64::MIN, |r| r.entry.at);
    for line in usage.iter_mut().filter(|line| line.entry.at <= edge) {
        EARLIER_USAGE.clone_into(&mut line.entry.cause);
    }
    usage
        .into_iter()
        .chain(of(EntryKind::Correction).into_iter().take(newest))
        .collect()
}

#[tokio::test]
async fn the_page_of_a_user_with_a_million_uses_loads_in_time() -> Result<()> {
    const USES: i64 = 1_000_000;
    let env = TestEnv::new("explain_million").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let now = unix_now();
    let start = now - 90 * DAY;
    let mut customer = Customer::new(ApiVersion::Y2026, "user_heavy", start, BASIC_MONTHLY, true);
    let events = customer.subscribed();
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_recorded(env.pool(), &ids(&events), DEADLINE).await?;
    let mut connection = env.pool().acquire().await?;
    uses(&mut connection, "user_heavy", USES, start + DAY, 88 * DAY).await?;
    let client = pair.workers[0].ops();
    let cookie = console_session(client).await?;
    let mut longest = Duration::ZERO;
    for _ in 0..5 {
        let began = Instant::now();
        let headers = [("cookie", cookie.as_str())];
        let page = client
            .request(Method::GET, "/console/users/user_heavy", &headers, Bytes::new())
            .await?;
        longest = longest.max(began.elapsed());
        ensure!(page.status == StatusCode::OK, "{} {}", page.status, page.body);
        ensure!(page.body.contains("many usages from"), "{}", page.body);
    }
    note(&format!(
        "the page of a user of {USES} uses takes {longest:?} at the most"
    ));
    ensure!(longest < PAGE_MAX, "{longest:?}");
    Ok(())
}
