//! `worker audit` reports each row that was changed by hand, and nothing else.

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, PgPool};
use std::time::Duration;
use tests::crowd::{Senders, all_applied, ids, lives};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY, Mint, Pack};
use tests::harness::{Pair, Setup, TestEnv, report, report_key, unix_now};
use tests::merchant;

const DEADLINE: Duration = Duration::from_secs(90);

/// What an audit ended with: its exit code, the lines of its differences, its summary, and what
/// it wrote to standard error.
struct Audit {
    code: Option<i32>,
    differences: Vec<String>,
    summary: String,
    stderr: String,
}

async fn audit(pair: &Pair) -> Result<Audit> {
    let output = pair.workers[0].command(&["audit"])?.output().await?;
    let mut lines: Vec<String> = String::from_utf8(output.stdout)?.lines().map(str::to_owned).collect();
    Ok(Audit {
        code: output.status.code(),
        summary: lines.pop().unwrap_or_default(),
        differences: lines,
        stderr: String::from_utf8(output.stderr)?,
    })
}

fn clean(audit: &Audit) -> Result<()> {
    let Audit {
        differences, stderr, ..
    } = audit;
    ensure!(
        audit.code == Some(0) && differences.is_empty(),
        "{differences:#?} {stderr}"
    );
    ensure!(audit.summary.ends_with(": no difference"), "{}", audit.summary);
    Ok(())
}

#[tokio::test]
async fn an_audit_of_shuffled_lives_finds_nothing_even_while_workers_run() -> Result<()> {
    const LIVES: usize = 60;
    let env = TestEnv::new("audit_lives").await?;
    let pair = Pair::start(&env, Setup::default().workers(2)).await?;
    clean(&audit(&pair).await?).context("an empty database")?;

    let seed = u64::try_from(unix_now())?;
    let played = merchant::lives(seed, LIVES, unix_now());
    let events = merchant::delivered(&played, seed, 10);
    let (delivery, mut audits) = (Senders::start(&pair.client, &events, 4), 0);
    let delivered = delivery.finish();
    tokio::pin!(delivered);
    loop {
        tokio::select! {
            report = &mut delivered => {
                report?;
                break;
            }
            found = audit(&pair) => clean(&found?).with_context(|| format!("seed {seed}, while workers run"))?,
        }
        audits += 1;
    }
    ensure!(audits > 0, "all was over before the first audit");
    let all = played
        .iter()
        .flat_map(|life| life.events.iter().map(move |e| (life, e)));
    let applied = all.filter(|(life, e)| !life.ignored.contains(&e.id));
    let applied: Vec<String> = applied.map(|(_, e)| e.id.clone()).collect();
    all_applied(env.pool(), &applied, DEADLINE).await?;

    let found = audit(&pair).await?;
    clean(&found).with_context(|| format!("seed {seed}"))?;
    let users = played.iter().filter(|life| life.entitlement.is_some()).count();
    ensure!(
        found.summary.starts_with(&format!("audited {users} users, ")),
        "{}",
        found.summary
    );
    ensure!(
        found.summary.contains(&format!(", {} facts: ", applied.len())),
        "{}",
        found.summary
    );
    Ok(())
}

/// A change by hand, and the lines that an audit must print for it; `{user}`, `{sub}`, `{cus}`
/// and `{evt}` stand for the first life's ids, `{evt}` for its upgrade.
const TAMPERED: [(&str, &[&str]); 12] = [
    (
        "UPDATE billing.entitlement SET tier = 'basic', current_period_end = NULL
         WHERE user_id = '{user}' AND since = '-infinity'",
        &[
            "entitlement of {user}: current_period_end is none, the events say '20",
            "entitlement of {user}: tier is 'basic', the events say 'max'",
        ],
    ),
    (
        "DELETE FROM billing.entitlement WHERE user_id = '{user}' AND since = '-infinity'",
        &["entitlement of {user}: there is no row, the events say 'max' with status 'active'"],
    ),
    (
        "INSERT INTO billing.entitlement (user_id, entitled, status, tier, base_tier, is_canceling, ever_paid)
         VALUES ('user_forged', true, 'active', 'max', 'max', false, true)",
        &["entitlement of user_forged: there is a row ('max'), but no event gives this user a subscription"],
    ),
    (
        "UPDATE billing.subscription SET state = jsonb_set(state::jsonb, '{latest,status}', '\"canceled\"')::json
         WHERE subscription_id = '{sub}'",
        &["state of subscription {sub}: latest.status is 'canceled', the events say 'active'"],
    ),
    (
        "UPDATE billing.subscription SET user_id = 'user_forged' WHERE subscription_id = '{sub}'",
        &["subscription {sub}: user_id is 'user_forged', the events say '{user}'"],
    ),
    (
        "DELETE FROM billing.subscription WHERE subscription_id = '{sub}'",
        &["subscription {sub}: there is no row, but account {cus} has events for it"],
    ),
    (
        "INSERT INTO billing.subscription (subscription_id, account, user_id, state)
         SELECT 'sub_forged', account, user_id, state FROM billing.subscription WHERE subscription_id = '{sub}'",
        &["subscription sub_forged: there is a row of account {cus}, but that account has no event for it"],
    ),
    (
        "UPDATE billing.account SET owner_claim = jsonb_set(owner_claim::jsonb, '{\"user\"}', '\"user_forged\"')::json
         WHERE account = '{cus}'",
        &["account {cus}: owner_claim.user is 'user_forged', the events say '{user}'"],
    ),
    (
        "DELETE FROM billing.account WHERE account = '{cus}'",
        &["account {cus}: there is no row, but there are events for it"],
    ),
    (
        "DELETE FROM billing.app_user WHERE user_id = '{user}'",
        &["app_user {user}: there is no row, but the user has a subscription"],
    ),
    (
        "DELETE FROM billing.event WHERE event_id = '{evt}'",
        &["fact of {evt}: no event of that id is applied"],
    ),
    (
        "UPDATE billing.fact SET body = '{}' WHERE event_id = '{evt}'",
        &["fact of {evt}: its body cannot be read: missing field"],
    ),
];

#[tokio::test]
async fn an_audit_finds_each_row_that_was_changed_by_hand() -> Result<()> {
    let env = TestEnv::new("audit_tampered").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (pool, namespace) = (env.pool(), env.namespace());
    let events = lives(namespace, 3);
    Senders::start(&pair.client, &events, 2).finish().await?;
    all_applied(pool, &ids(&events), DEADLINE).await?;
    clean(&audit(&pair).await?)?;
    keep(pool).await?;

    let user = format!("user_{namespace}0");
    let (sub, cus): (String, String) =
        sqlx::query_as("SELECT subscription_id, account FROM billing.subscription WHERE user_id = $1")
            .bind(&user)
            .fetch_one(pool)
            .await?;
    let upgrade = events.iter().filter(|e| e.kind == "customer.subscription.updated");
    let upgrade = upgrade.filter(|e| e.body.contains(&sub)).min_by_key(|e| e.created);
    let evt = upgrade.context("no upgrade")?.id.clone();
    let filled = |text: &str| {
        let names = [("{user}", &user), ("{sub}", &sub), ("{cus}", &cus), ("{evt}", &evt)];
        names
            .iter()
            .fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    };
    for (change, expected) in TAMPERED {
        let change = filled(change);
        execute(pool, &change).await?;
        let found = audit(&pair).await?;
        let context = format!("{change}\n{:#?}\n{}", found.differences, found.stderr);
        ensure!(found.code == Some(1), "{context}");
        ensure!(found.stderr.contains("nothing was changed"), "{context}");
        for line in expected.iter().map(|line| filled(line)) {
            ensure!(
                found.differences.iter().any(|l| l.starts_with(&line)),
                "no '{line}': {context}"
            );
        }
        let many = expected.len().max(found.differences.len());
        let count = if many == 1 {
            "1 difference".to_owned()
        } else {
            format!("{many} differences")
        };
        ensure!(found.summary.ends_with(&count), "{} {context}", found.summary);
        // What is wrong is named once, and nothing else is.
        let follows = change.contains("billing.fact SET");
        ensure!(follows || found.differences.len() == expected.len(), "{context}");
        restore(pool).await?;
    }
    clean(&audit(&pair).await?)
}

/// Changes by hand of what credits rest upon, and how the line begins that an audit must print for
/// each. `{row}` are the first user's tokens, `{pack}` is the session of their first pack, `{inv}` an
/// invoice whose period rolled over, `{refund}` the event of a refund.
const SPENT: &str = "
{balance} used = used + 1 {row} -> balance of ada tokens: used is
{balance} rollover = -1 {row} -> balance of ada tokens: rollover is -1, the events say
{balance} purchased = 0 {row} -> balance of ada tokens: purchased is 0, the events say
{balance} plan_limit = NULL {row} -> balance of ada tokens: plan_limit is none, the events say 0
{balance} limit_ends_at = now() {row} -> balance of ada tokens: limit_ends_at is '20
{balance} subscription_id = 'forged' {row} -> balance of ada tokens: subscription_id is 'forged'
{balance} period_start = 1 {row} -> balance of ada tokens: period_start is '1970-01-01T00:00:01Z'
{balance} usage_total = usage_total + 1 {row} -> balance of ada tokens: usage_total is
{balance} settled_until = settled_until + 1 {row} -> balance of ada tokens: settled_until is '20
{balance} meter = 'tea' {row} -> balance of ada tea: there is a row, but no event for it
DELETE FROM billing.balance {row} -> balance of ada tokens: there is no row
DELETE FROM billing.balance WHERE user_id = 'bob' -> balance of bob tokens: there is no row
{ledger} rollover = rollover - 1 {row} AND cause = '{inv}' -> ledger of ada tokens: rollover sums up to
{ledger} purchased = 0 {row} AND cause = '{pack}' -> ledger of ada tokens, grant {pack}: amount is 5000000
{ledger} amount = 1 {row} AND cause = '{refund}' -> ledger of ada tokens, taken_back {refund}: amount is 1,
{ledger} used = 0 {row} AND cause = '/app r1' -> ledger of ada tokens, usage /app r1: amount is 1200000,
{ledger} amount = 2 {row} AND cause = '/app r1' -> ledger of ada tokens, usage /app r1: amount is 2,
{ledger} period = 's 1' {row} AND cause = '/app r1' -> ledger of ada tokens: used in the period of s from 1970
{ledger} at = 5 {row} AND cause = '/app r1' -> ledger of ada tokens, usage /app r1: it counts before
{ledger} cause = 'c' {row} AND cause = '{pack}' -> ledger of ada tokens: there is a grant of c, but no event
DELETE FROM billing.ledger {row} AND cause = '{pack}' -> ledger of ada tokens: there is no grant of {pack}
DELETE FROM billing.ledger WHERE cause = '/app r1' -> event /app r1: it is applied, but its usage is not in the ledger
DELETE FROM billing.event WHERE event_id = '/app r1' -> ledger of ada tokens, usage /app r1: no event of that
UPDATE billing.ledger_sum SET used = used + 1 {row} AND hour = {hour} -> ledger_sum of ada tokens, period 'sub_
UPDATE billing.ledger_sum SET last_at = last_at + 1 {row} AND hour = {hour} -> ledger_sum of ada tokens, period 'sub_
DELETE FROM billing.ledger_sum {row} AND hour = {hour} -> ledger_sum of ada tokens, period 'sub_
{packs} user_id = 'f' WHERE sale_id = '{pack}' -> pack of {pack}: user_id is 'f', the events say 'ada'
{packs} payment = NULL WHERE sale_id = '{pack}' -> pack of {pack}: payment is none, the events say 'pi_
{packs} names_user = false WHERE sale_id = '{pack}' -> pack of {pack}: names_user is false, the events say true
{packs} account = 'cus_1' WHERE sale_id = '{pack}' -> pack of {pack}: account is 'cus_1', the events say
{packs} sale_id = 'cs_1' WHERE sale_id = '{pack}' -> pack of cs_1: there is a row of account
DELETE FROM billing.pack WHERE sale_id = '{pack}' -> pack of {pack}: there is no row, but account
DELETE FROM billing.entitlement WHERE user_id = 'bob' -> entitlement of bob: there is no row
DELETE FROM billing.app_user WHERE user_id = 'bob' -> app_user bob: there is no row, but the user has balances
";

#[tokio::test]
async fn an_audit_finds_each_row_of_credits_that_was_changed_by_hand() -> Result<()> {
    let env = TestEnv::new("audit_credits").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let (pool, start) = (env.pool(), unix_now() - 100 * DAY);
    let acts = Customer::new(ApiVersion::Y2026, "ada", start, BASIC_MONTHLY, true).credit_history(true);
    let mut mint = Mint::new(ApiVersion::Y2026, "bob");
    let alone = Pack::bought(&mut mint, "bob", "tokens_5m", 1, start).completed(&mut mint);
    let used = |id: &str, user: &str, amount, day| report(id, user, "tokens", amount, start + day * DAY);
    let early = [used("r1", "ada", 1_200_000, 1)?, used("r2", "bob", 7_000_000, 2)?];
    let late = [
        used("r3", "ada", 16_000_000, 97)?,
        used("r4", "ada", 10, 20)?,
        used("r5", "cy", 1, 1)?,
    ];
    let middle = acts.len() / 2;
    for (events, reports) in [(&acts[..middle], &early[..]), (&acts[middle..], &late[..])] {
        let mut events = events.concat();
        events.push(alone.clone());
        Senders::start(&pair.client, &events, 1).finish().await?;
        let answer = pair.client.post_usage(&reports.to_vec().into()).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
        let mut all = ids(&events);
        all.extend(reports.iter().map(report_key).collect::<Result<Vec<_>>>()?);
        all_applied(pool, &all, DEADLINE).await?;
        clean(&audit(&pair).await?)?;
    }
    keep(pool).await?;
    let text = |query| async move { sqlx::query_scalar::<_, String>(query).fetch_one(pool).await };
    let names = [
        ("{balance}", "UPDATE billing.balance SET".to_owned()),
        ("{ledger}", "UPDATE billing.ledger SET".to_owned()),
        ("{packs}", "UPDATE billing.pack SET".to_owned()),
        (
            "{hour}",
            text("SELECT (at / 3600)::text FROM billing.ledger WHERE cause = '/app r1'").await?,
        ),
        ("{row}", "WHERE user_id = 'ada' AND meter = 'tokens'".to_owned()),
        (
            "{pack}",
            text("SELECT cause FROM billing.ledger WHERE kind = 'grant' AND user_id = 'ada' ORDER BY at").await?,
        ),
        (
            "{inv}",
            text("SELECT cause FROM billing.ledger WHERE kind = 'rollover' AND meter = 'tokens' ORDER BY at").await?,
        ),
        (
            "{refund}",
            text("SELECT cause FROM billing.ledger WHERE kind = 'taken_back' ORDER BY at").await?,
        ),
    ];
    let filled = |text: &str| {
        names
            .iter()
            .fold(text.to_owned(), |text, (name, id)| text.replace(name, id))
    };
    for (change, expected) in SPENT.lines().filter_map(|line| line.split_once(" -> ")) {
        let (change, expected) = (filled(change), filled(expected));
        execute(pool, &change).await?;
        let found = audit(&pair).await?;
        let context = format!("{change}\n{:#?}\n{}", found.differences, found.stderr);
        ensure!(found.code == Some(1), "{context}");
        let is_found = found.differences.iter().any(|line| line.starts_with(&expected));
        ensure!(is_found, "no '{expected}': {context}");
        restore(pool).await?;
    }
    clean(&audit(&pair).await?)
}

#[tokio::test]
async fn a_missing_fact_is_reported_for_its_event_and_its_subscription() -> Result<()> {
    let env = TestEnv::new("audit_fact").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let events = lives(env.namespace(), 1);
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let last = events.last().context("no event")?;
    sqlx::query("DELETE FROM billing.fact WHERE event_id = $1")
        .bind(&last.id)
        .execute(env.pool())
        .await?;
    let found = audit(&pair).await?;
    let lines = found.differences.join("\n");
    ensure!(found.code == Some(1), "{lines}");
    ensure!(
        lines.contains(&format!("event {}: it is applied, but its fact is missing", last.id)),
        "{lines}"
    );
    ensure!(lines.contains("is_canceling is true, the events say false"), "{lines}");
    Ok(())
}

#[tokio::test]
async fn states_of_another_version_are_reported_and_the_migration_repairs_them() -> Result<()> {
    let env = TestEnv::new("audit_version").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let events = lives(env.namespace(), 2);
    Senders::start(&pair.client, &events, 2).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    let old = "UPDATE billing.subscription SET state = jsonb_set(state::jsonb, '{version}', '0')::json";
    execute(env.pool(), old).await?;
    execute(env.pool(), "UPDATE billing.account SET owner_claim = NULL").await?;
    let found = audit(&pair).await?;
    ensure!(
        found.code == Some(1) && found.differences.len() == 2,
        "{:#?}",
        found.differences
    );
    for line in &found.differences {
        ensure!(
            line.starts_with("subscription sub_") && line.ends_with("run `worker migrate`"),
            "{line}"
        );
    }
    pair.operate(&["migrate"]).await?;
    clean(&audit(&pair).await?)
}

const TABLES: [&str; 10] = [
    "event",
    "fact",
    "account",
    "subscription",
    "app_user",
    "entitlement",
    "balance",
    "ledger",
    "ledger_sum",
    "pack",
];

async fn keep(pool: &PgPool) -> Result<()> {
    for table in TABLES {
        let copy = format!("CREATE TABLE kept_{table} AS SELECT * FROM billing.{table}");
        execute(pool, &copy).await?;
    }
    Ok(())
}

async fn restore(pool: &PgPool) -> Result<()> {
    for table in TABLES {
        execute(pool, &format!("DELETE FROM billing.{table}")).await?;
        execute(pool, &format!("INSERT INTO billing.{table} SELECT * FROM kept_{table}")).await?;
    }
    Ok(())
}

async fn execute(pool: &PgPool, statement: &str) -> Result<()> {
    let done = sqlx::query(AssertSqlSafe(statement.to_owned())).execute(pool).await;
    done.with_context(|| statement.to_owned())?;
    Ok(())
}
