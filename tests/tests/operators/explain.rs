//! `worker explain`, for the story and for random lives.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use shared::catalog::{Catalog, FREE_TIER};
use shared::message::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;
use std::time::Duration;
use tests::crowd::{Senders, all_applied, ids};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY};
use tests::harness::{Balance, Entitlement, Pair, Setup, TestEnv, report, report_key, repository, unix_now};
use tests::merchant;
use tests::runner::run_step;
use tests::scenario::{Scenario, USER, USER_WITHOUT_ROW};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use worker::domain::explain::{ChangeKind, ExplainRequest, HistoryEntry, explain};
use worker::domain::fact::{Fact, FactBody};
use worker::domain::ids::{EventId, UserId};
use worker::read::{
    meaning::{EventScope, Meaning, Mode},
    stripe,
};

const DEADLINE: Duration = Duration::from_mins(1);

/// The output of the command, whatever its exit code.
async fn run(pair: &Pair, arguments: &[&str]) -> Result<Output> {
    let arguments = [&["explain"], arguments].concat();
    Ok(pair.workers[0].command(&arguments)?.output().await?)
}

async fn explained(pair: &Pair, user: &str, at: Option<&str>) -> Result<Value> {
    let at: Vec<&str> = at.map_or(Vec::new(), |at| vec!["--at", at]);
    let printed = pair.operate(&[&["explain", user, "--json"], &at[..]].concat()).await?;
    serde_json::from_str(&printed).context("explain --json is not one JSON object")
}

/// The row that an explanation shows.
fn row(story: &Value) -> Result<Option<Entitlement>> {
    let row = &story["entitlement"];
    if row.is_null() {
        return Ok(None);
    }
    let text = |column: &str| row[column].as_str().map(str::to_owned);
    let flag = |column: &str| row[column].as_bool().with_context(|| format!("{column} of {row}"));
    let time = |column: &str| -> Result<Option<i64>> {
        let text = row[column].as_str();
        let time = text.map(|text| OffsetDateTime::parse(text, &Rfc3339)).transpose()?;
        Ok(time.map(OffsetDateTime::unix_timestamp))
    };
    Ok(Some(Entitlement {
        user_id: story["user_id"].as_str().unwrap_or_default().to_owned(),
        entitled: flag("entitled")?,
        status: text("status").unwrap_or_default(),
        tier: text("tier").unwrap_or_default(),
        effective_tier: text("effective_tier").unwrap_or_default(),
        grace_tier: text("grace_tier"),
        grace_until: time("grace_until")?,
        current_period_start: time("current_period_start")?,
        current_period_end: time("current_period_end")?,
        trial_end: time("trial_end")?,
        is_canceling: flag("is_canceling")?,
        cancel_at: time("cancel_at")?,
        canceled_at: time("canceled_at")?,
        ever_paid: flag("ever_paid")?,
        highest_tier_subscribed: text("highest_tier_subscribed"),
        stripe_customer_id: text("stripe_customer_id"),
        stripe_subscription_id: text("stripe_subscription_id"),
    }))
}

/// The events of all subscriptions of an explanation, each with the words for its changes.
fn entries(story: &Value) -> Vec<(Option<&str>, String)> {
    let subscriptions = story["subscriptions"].as_array().into_iter().flatten();
    let entries = subscriptions.flat_map(|s| s["entries"].as_array().into_iter().flatten());
    let words = |entry: &Value| {
        let changes = entry["changes"].as_array().into_iter().flatten();
        changes
            .filter_map(|c| c["words"].as_str())
            .collect::<Vec<_>>()
            .join("; ")
    };
    entries.map(|e| (e["event"].as_str(), words(e))).collect()
}

#[tokio::test]
async fn the_story_is_explained_at_each_of_its_steps() -> Result<()> {
    let env = TestEnv::new("explain_story").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let story = Scenario::new(ApiVersion::Y2026, env.namespace(), unix_now());
    for step in &story.steps {
        run_step(&pair, env.pool(), step).await.context(step.title)?;
    }

    for step in story.steps.iter().filter(|step| step.copies == 1) {
        let last = step.events.iter().map(|s| s.event.created).max().context("no event")?;
        let explanation = explained(&pair, USER, Some(&last.to_string())).await?;
        let row = row(&explanation)?.context("no row")?;
        let differences = row.differences(&step.expected_row);
        ensure!(differences.is_empty(), "{}: {}", step.title, differences.join("; "));
    }
    let downgrade = &story.steps[2].events[0].event;
    let time = OffsetDateTime::from_unix_timestamp(downgrade.created)?.format(&Rfc3339)?;
    let as_seconds = explained(&pair, USER, Some(&downgrade.created.to_string())).await?;
    ensure!(
        as_seconds == explained(&pair, USER, Some(&time)).await?,
        "both are the same moment"
    );
    let before = explained(&pair, USER, Some(&(downgrade.created - 1).to_string())).await?;
    ensure!(
        row(&before)?.is_some_and(|r| r.tier == "max" && r.grace_tier.is_none()),
        "{before}"
    );
    ensure!(
        row(&explained(&pair, USER, Some("0")).await?)?.is_none(),
        "nothing was known in 1970"
    );

    let now = explained(&pair, USER, None).await?;
    let listed = entries(&now);
    let applied = story.steps.iter().filter(|s| s.copies == 1).flat_map(|s| &s.events);
    for sending in applied.filter(|s| s.expected == tests::scenario::ExpectedOutcome::Applied) {
        let times = listed.iter().filter(|(id, _)| *id == Some(&sending.event.id)).count();
        ensure!(times == 1, "{} is listed {times} times", sending.event.kind);
    }
    let of = |id: &str| {
        listed
            .iter()
            .find(|(event, _)| *event == Some(id))
            .map(|(_, words)| words.as_str())
    };
    let grace = of(&downgrade.id).context("no downgrade")?;
    ensure!(
        grace.starts_with("tier max -> basic; grace begins: max until 20"),
        "{grace}"
    );
    ensure!(
        listed
            .iter()
            .any(|(_, words)| words.contains("grace of max ends: a new period began")),
        "{listed:?}"
    );
    let (_, last) = listed.last().context("nothing")?;
    ensure!(
        last.starts_with("status active -> canceled; it is over for good"),
        "{last}"
    );
    the_text_says_the_same(&pair, &time, &downgrade.id).await
}

async fn the_text_says_the_same(pair: &Pair, downgrade: &str, event: &str) -> Result<()> {
    let text = pair.operate(&["explain", USER, "--at", downgrade]).await?;
    let lines: Vec<&str> = text.lines().collect();
    ensure!(
        lines[0].starts_with("user_ada may use max until 20") && lines[0].ends_with("Z (grace), then basic."),
        "{text}"
    );
    ensure!(lines.contains(&"  effective_tier           max"), "{text}");
    let place = lines.iter().position(|l| l.contains(event)).context("the downgrade")?;
    let expected = format!("  {downgrade}  {event}  customer.subscription.updated");
    ensure!(lines[place] == expected, "{text}");
    ensure!(lines[place + 1].trim() == "tier max -> basic", "{text}");
    let ended = pair.operate(&["explain", USER]).await?;
    ensure!(
        ended.starts_with("user_ada may use free only.\nSubscription sub_"),
        "{ended}"
    );
    Ok(())
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_time_are_refused_in_one_line() -> Result<()> {
    let env = TestEnv::new("explain_refuses").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let output = run(&pair, &[USER_WITHOUT_ROW]).await?;
    let stderr = String::from_utf8(output.stderr)?;
    ensure!(output.status.code() == Some(1) && output.stdout.is_empty(), "{stderr}");
    ensure!(stderr.lines().count() == 1, "{stderr}");
    ensure!(
        stderr.starts_with("worker: no event names user 'user_stranger'; check "),
        "{stderr}"
    );
    for wrong in ["yesterday", "2026-13-01T00:00:00Z", "2026-11-23", "99999999999999999"] {
        let output = run(&pair, &[USER, "--at", wrong]).await?;
        let stderr = String::from_utf8(output.stderr)?;
        ensure!(output.status.code() == Some(2), "{wrong}: {stderr}");
        ensure!(stderr.contains(wrong) && stderr.contains("RFC 3339"), "{stderr}");
    }
    ensure!(run(&pair, &[]).await?.status.code() == Some(2), "no user");
    Ok(())
}

#[tokio::test]
async fn the_explanation_of_any_life_ends_with_the_row_that_applications_see() -> Result<()> {
    const LIVES: usize = 12;
    let env = TestEnv::new("explain_lives").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let seed = u64::try_from(unix_now())?;
    let lives = merchant::lives(seed, LIVES, unix_now());
    let events = merchant::delivered(&lives, seed, 10);
    Senders::start(&pair.client, &events, 8).finish().await?;
    let all = lives.iter().flat_map(|life| life.events.iter().map(move |e| (life, e)));
    let applied = all.filter(|(life, e)| !life.ignored.contains(&e.id));
    let applied: Vec<String> = applied.map(|(_, e)| e.id.clone()).collect();
    all_applied(env.pool(), &applied, DEADLINE).await?;

    for life in &lives {
        let Some(shown) = Entitlement::load(env.pool(), &life.user_id).await? else {
            continue;
        };
        let explanation = explained(&pair, &life.user_id, None).await?;
        let row = row(&explanation)?.with_context(|| format!("seed {seed}: no row; {}", life.description()))?;
        let differences = row.differences(&shown);
        ensure!(
            differences.is_empty(),
            "seed {seed}: {differences:?}; {}",
            life.description()
        );
        let entries = entries(&explanation);
        for (event, words) in &entries {
            ensure!(
                !words.is_empty(),
                "seed {seed}: {event:?} has no words; {}",
                life.description()
            );
        }
    }
    Ok(())
}

/// What the story of credits leaves, as the view shows it and as it is explained, now and before.
#[tokio::test]
async fn balances_are_explained_by_every_use_and_pack_at_any_moment() -> Result<()> {
    let env = TestEnv::new("explain_credits").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let start = unix_now() - 100 * DAY;
    let events = Customer::new(ApiVersion::Y2026, "ada", start, BASIC_MONTHLY, true).credit_history(true);
    let events = events.concat();
    let used = |id: &str, user: &str, amount, day| report(id, user, "tokens", amount, start + day * DAY);
    let mut reports = vec![used("r1", "ada", 1_200_000, 1)?, used("r2", "bob", 7, 2)?];
    reports.extend(
        (0..60)
            .map(|n| used(&format!("n{n}"), "ada", 100_000, 2))
            .collect::<Result<Vec<_>>>()?,
    );
    // Told after the renewals, use would count in the current period.
    let answer = pair.client.post_usage(&reports.clone().into()).await?;
    ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    let used = reports.iter().map(report_key).collect::<Result<Vec<_>>>()?;
    all_applied(env.pool(), &used, DEADLINE).await?;
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;

    let shown = Balance::load(env.pool(), "ada").await?;
    let now = explained(&pair, "ada", None).await?;
    for (meter, balance) in &shown {
        let shown = of_meter(&now, meter).with_context(|| meter.clone())?;
        let number = |column: &str| shown[column].as_i64();
        let counted = (number("used"), number("rollover"), number("purchased"));
        ensure!(
            counted == (Some(balance.used), Some(balance.rollover), Some(balance.purchased)),
            "{shown:#}"
        );
        ensure!(
            (number("plan_limit"), number("available")) == (balance.plan_limit, balance.available),
            "{shown:#}"
        );
    }
    let tokens = of_meter(&now, "tokens").context("no tokens")?;
    let lines = tokens["lines"].as_array().context("no lines")?;
    let count = |kind: &str| lines.iter().filter(|l| l["kind"] == kind).count();
    ensure!(
        (count("usage"), count("grant"), count("taken_back"), count("returned")) == (61, 2, 2, 2),
        "{tokens:#}"
    );
    let first = lines.iter().find(|l| l["cause"] == "/app r1").context("r1")?;
    let buckets = serde_json::json!({ "limit": 1_200_000, "rollover": 0, "purchased": 0, "debt": 0 });
    ensure!(first["paid"] == buckets, "{first:#}");

    // On the fifth day the limit of 5 million is used up, and no pack is bought yet.
    let early = explained(&pair, "ada", Some(&(start + 5 * DAY).to_string())).await?;
    let tokens = of_meter(&early, "tokens").context("no tokens")?;
    let summary = "0 of 5,000,000 left in this period, a debt of 2,200,000, 0 purchased: -2,200,000 available.";
    ensure!(tokens["summary"] == summary, "{tokens:#}");

    let text = pair
        .operate(&["explain", "ada", "--at", &(start + 7 * DAY).to_string()])
        .await?;
    for expected in [
        "\nMeter tokens\n  0 of 5,000,000 left in this period, 0 rolled over, 2,800,000 purchased: 2,800,000 available.\n",
        "  61 usages from ",
        ": 5,000,000 from the limit, 2,200,000 are debt\n",
        ", pack tokens_5m: 2,200,000 pay off debt, 2,800,000 are added to purchased credits\n",
    ] {
        ensure!(text.contains(expected), "no '{expected}': {text}");
    }
    let bob = explained(&pair, "bob", None).await?;
    ensure!(bob["entitlement"]["status"] == "none", "{bob:#}");
    ensure!(
        of_meter(&bob, "tokens").is_some_and(|t| t["available"] == -7),
        "{bob:#}"
    );
    Ok(())
}

fn of_meter<'a>(story: &'a Value, meter: &str) -> Option<&'a Value> {
    story["meters"].as_array()?.iter().find(|m| m["meter"] == meter)
}

/// Without a server: the facts of many lives, and their explanations.
#[test]
fn every_event_of_a_life_is_explained_once_and_each_change_follows_from_the_last() -> Result<()> {
    const LIVES: usize = 100;
    let catalog = Catalog::load(&repository().join("deploy/catalog.toml"))?;
    let scope = EventScope {
        mode: Mode::Any,
        account: None,
    };
    let now = unix_now();
    let seed = u64::try_from(now)?;
    for life in merchant::lives(seed, LIVES, now) {
        let context = || format!("seed {seed}: {}", life.description());
        let read = life
            .events
            .iter()
            .map(|e| stripe::read(e.body.as_bytes(), Source::Webhook, &catalog, &scope).1);
        let facts = read.filter_map(|meaning| match meaning {
            Ok(Meaning::Fact(fact)) => Some(*fact),
            _ => None,
        });
        let facts: Vec<Fact> = facts.collect();
        let question = ExplainRequest {
            user: &UserId::new(life.user_id.as_str()),
            at: now,
            is_past: false,
            free_tier: FREE_TIER,
            types: &BTreeMap::new(),
        };
        let Some(explanation) = explain(&facts, &[], &question) else {
            ensure!(life.entitlement.is_none(), context());
            continue;
        };
        let effective = explanation.entitlement.as_ref().map(|row| row.effective_tier.as_str());
        let expected = life.entitlement.as_ref().map(|row| row.effective_tier.as_str());
        ensure!(effective == expected, "{effective:?}, not {expected:?}: {}", context());
        for chapter in &explanation.subscriptions {
            // Another event of its customer may name the user, or may be about its payments.
            let about_payments: BTreeSet<&EventId> = facts
                .iter()
                .filter(|f| f.body.returns_money() || matches!(f.body, FactBody::InvoicePayment(_)))
                .map(|f| &f.event_id)
                .collect();
            let links = |e: &&HistoryEntry| {
                e.changes.len() == 1 && e.changes[0].kind == ChangeKind::Linked
                    || e.event.as_ref().is_some_and(|id| about_payments.contains(id))
            };
            let own: BTreeSet<&EventId> = facts
                .iter()
                .filter(|f| f.body.subscription() == Some(&chapter.subscription))
                .map(|f| &f.event_id)
                .collect();
            let events = chapter.entries.iter().filter(|e| e.event.is_some());
            let (theirs, others): (Vec<_>, Vec<_>) =
                events.partition(|e| e.event.as_ref().is_some_and(|id| own.contains(id)));
            ensure!(
                theirs.len() == own.len() && others.iter().all(links),
                "{chapter:#?}: {}",
                context()
            );
            let mut gives = FREE_TIER.to_owned();
            for change in chapter
                .entries
                .iter()
                .flat_map(|e| &e.changes)
                .filter(|c| c.kind == ChangeKind::Access)
            {
                let (new, old) = change.words.split_once(" (before: ").context("another wording")?;
                ensure!(
                    old == format!("{gives})"),
                    "{gives} before '{}': {}",
                    change.words,
                    context()
                );
                new.trim_start_matches("gives ").clone_into(&mut gives);
            }
            ensure!(
                !chapter.is_current || Some(gives.as_str()) == effective,
                "{gives}: {}",
                context()
            );
        }
    }
    Ok(())
}
