//! The files for Prometheus and Grafana in `deploy/`: Prometheus's own tools accept them, they name
//! only metrics that the processes export, and alerts fire and clear with real faults.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tests::crowd::{Senders, all_applied, ids, newcomers};
use tests::figures::note;
use tests::fixtures::price;
use tests::harness::{
    OwnServers, Pair, Prometheus, Promtool, Setup, TestEnv, eventually, report, repository, unix_now,
};
use tests::test_catalog::{TestCatalog, restart, unknown_price};

const DEADLINE: Duration = Duration::from_mins(1);
/// The worker looks at what it shows every five seconds.
const LOOKS: Duration = Duration::from_secs(5);

#[tokio::test]
async fn every_alert_has_tests_of_when_it_fires_and_a_page_in_the_runbook() -> Result<()> {
    let promtool = Promtool::find()?;
    let config = deploy("prometheus/prometheus.yml").display().to_string();
    promtool.run(&["check", "config", &config], "").await?;
    let mut cases = String::new();
    for entry in fs::read_dir(deploy("prometheus/tests"))? {
        let path = entry?.path();
        promtool
            .run(&["test", "rules", &path.display().to_string()], "")
            .await?;
        cases += &fs::read_to_string(path)?;
    }

    let alerts = fs::read_to_string(deploy("prometheus/alerts.yml"))?;
    let runbook = fs::read_to_string(repository().join("docs/runbook.md"))?;
    let names = after(&alerts, "- alert: ");
    ensure!(names.len() > 20, "{names:?}");
    let pages: Vec<&str> = after(&runbook, "## ");
    let described: Vec<&str> = pages.iter().copied().filter(|p| p.starts_with("Tollbridge")).collect();
    ensure!(
        names.iter().all(|name| described.contains(name)),
        "no page: {names:?} {described:?}"
    );
    ensure!(
        described.iter().all(|page| names.contains(page)),
        "no alert: {names:?} {described:?}"
    );
    for page in runbook.split("\n## Tollbridge").skip(1) {
        for part in ["\n- **See more**", "\n- **Do**", "\n- **Over when**"] {
            let page = page.split("\n# ").next().unwrap_or_default();
            ensure!(page.matches(part).count() == 1, "not once{part} in{page}");
        }
    }
    for name in &names {
        let link = format!("runbook_url: docs/runbook.md#{}\n", name.to_lowercase());
        ensure!(alerts.contains(&link), "{name} has no link");
        let quiet = format!("alertname: {name}, eval_time");
        ensure!(cases.contains(&quiet), "{name} has no case in which it does not fire");
        let fires = format!("alertname: {name}\n");
        ensure!(cases.contains(&fires), "{name} has no case in which it fires");
    }
    Ok(())
}

#[tokio::test]
async fn every_metric_in_the_rules_the_dashboard_and_the_runbook_is_exported() -> Result<()> {
    let promtool = Promtool::find()?;
    let env = TestEnv::new("alerts_names").await?;
    // With a key, so that the recovery jobs exist and export their last end.
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", "rk_test_names")
        .worker("STRIPE_API_BASE", "http://127.0.0.1:1");
    let pair = Pair::start(&env, setup).await?;
    let event = &newcomers(env.namespace(), 1)[0];
    pair.client.post_event(event).await?.accepted()?;
    let used = report("names_1", "user_1", "tokens", 5, unix_now())?;
    ensure!(pair.client.post_usage(&used).await?.status == 202);
    all_applied(env.pool(), std::slice::from_ref(&event.id), DEADLINE).await?;
    // As after the first run of each.
    let jobs =
        "INSERT INTO billing.stripe_job (job, began_at, ended_at, report) VALUES ('backfill', now(), now(), '{}'),
                ('reconcile', now(), now(), '{}') ON CONFLICT (job) DO UPDATE SET report = excluded.report";
    sqlx::query(jobs).execute(env.pool()).await?;
    let audited = env.logs().join("audit.prom");
    pair.operate(&["audit", "--metrics", &audited.display().to_string()])
        .await?;
    let worker = eventually(DEADLINE, "the worker has looked at its queues", async || {
        let shown = pair.workers[0].ops().get("/metrics").await?.body;
        ensure!(shown.contains("tollbridge_queue_messages{queue=\"over-limit\"} 0\n"));
        ensure!(shown.contains("tollbridge_worker_database_up 1\n"));
        ensure!(shown.contains("tollbridge_reconcile_drift{field=\"status\"} 0\n"));
        Ok(shown)
    })
    .await;
    let ingest = pair.ingest.ops().get("/metrics").await?.body;
    let texts = [ingest, worker, fs::read_to_string(audited)?];
    let mut exported = BTreeSet::new();
    for text in &texts {
        promtool.run(&["check", "metrics"], text).await?;
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        exported.extend(samples.filter_map(|line| line.split(['{', ' ']).next()));
    }

    let rules = fs::read_to_string(deploy("prometheus/rules.yml"))?;
    exported.extend(after(&rules, "- record: "));
    let alerts = fs::read_to_string(deploy("prometheus/alerts.yml"))?;
    let dashboard = fs::read_to_string(deploy("grafana/tollbridge.json"))?;
    let runbook = fs::read_to_string(repository().join("docs/runbook.md"))?;
    for text in [&rules, &alerts, &dashboard, &runbook] {
        let named = metrics_of(text);
        ensure!(!named.is_empty());
        let missing: Vec<_> = named.iter().filter(|name| !exported.contains(*name)).collect();
        ensure!(missing.is_empty(), "nobody exports {missing:?}");
    }
    // What it asks of the database can be asked.
    let asked: Vec<&str> = runbook.split("psql -c \"").skip(1).collect();
    ensure!(asked.len() > 5, "{asked:?}");
    for question in asked {
        let (question, _) = question.split_once('"').context("a quote is open")?;
        let question = sqlx::raw_sql(AssertSqlSafe(question.to_owned()));
        question.fetch_all(env.pool()).await?;
    }
    Ok(())
}

#[tokio::test]
async fn every_query_of_the_dashboard_is_valid() -> Result<()> {
    let promtool = Promtool::find()?;
    let dashboard: Value = serde_json::from_str(&fs::read_to_string(deploy("grafana/tollbridge.json"))?)?;
    ensure!(dashboard["schemaVersion"].is_u64() && dashboard["uid"] == "tollbridge");
    let panels = dashboard["panels"].as_array().context("no panels")?;
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<&str> = rows.filter_map(|row| row["title"].as_str()).collect();
    ensure!(rows.len() == 6, "{rows:?}");
    let mut seen = BTreeSet::new();
    let mut rules = Vec::new();
    for panel in panels {
        ensure!(
            seen.insert(panel["id"].as_u64().context("no id")?),
            "an id twice: {panel}"
        );
        let place = &panel["gridPos"];
        let (x, w) = (
            place["x"].as_u64().context("no x")?,
            place["w"].as_u64().context("no w")?,
        );
        ensure!(x + w <= 24, "beyond the edge: {panel}");
        for target in panel["targets"].as_array().into_iter().flatten() {
            ensure!(target["datasource"]["uid"] == "${datasource}", "{target}");
            let asked = target["expr"].as_str().context("no expr")?;
            // Grafana puts a time there.
            let asked = asked.replace("$__rate_interval", "5m");
            rules.push(json!({"record": format!("panel:{}", rules.len()), "expr": asked}));
        }
    }
    let (file, checked) = (
        std::env::temp_dir(),
        format!("tollbridge-panels-{}.yml", std::process::id()),
    );
    let file = file.join(checked);
    // YAML has JSON in it.
    let rules = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    fs::write(&file, rules.to_string())?;
    promtool
        .run(&["check", "rules", &file.display().to_string()], "")
        .await?;
    Ok(fs::remove_file(file)?)
}

#[tokio::test]
async fn an_unknown_price_raises_an_alert_that_clears_after_the_catalog_is_repaired_and_the_event_replayed()
-> Result<()> {
    let shop = TestCatalog::new("alerts_price")?;
    let env = TestEnv::new("alerts_price").await?.with("CATALOG_FILE", &shop.path());
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let prometheus = Prometheus::start(&Promtool::find()?, "alerts-price", &pair).await?;
    eventually(DEADLINE, "Prometheus scrapes both", async || {
        let up = prometheus.values("up%7Bjob=~%22tollbridge-.%2B%22%7D").await?;
        ensure!(up == [1.0, 1.0], "{up:?}");
        Ok(())
    })
    .await;
    quiet(&prometheus, "TollbridgeDeadLetters").await;

    let event = unknown_price(env.namespace());
    let posted = Instant::now();
    pair.client.post_event(&event).await?.accepted()?;
    fires(&prometheus, "TollbridgeDeadLetters").await;
    let fired = posted.elapsed();
    let waiting = prometheus.values("tollbridge:dead_letters_open:max%3E0").await?;
    ensure!(waiting == [1.0], "{waiting:?}");
    ensure!(
        prometheus.states("TollbridgeDeadLettersBurst").await?.is_empty(),
        "one letter is no burst"
    );

    let listed = pair.operate(&["dead-letters", "list"]).await?;
    ensure!(
        listed.contains("unknown_price") && listed.contains(price::UNKNOWN.lookup_key),
        "{listed}"
    );
    let shown = pair.operate(&["dead-letters", "show", &event.id]).await?;
    ensure!(shown.contains("waits for an operator"), "{shown}");
    shop.add_price(price::UNKNOWN.lookup_key)?;
    let dry = pair
        .operate(&["dead-letters", "replay", &event.id, "--dry-run"])
        .await?;
    ensure!(
        dry.contains("would be applied") && dry.contains("effective_tier: nothing → plus"),
        "{dry}"
    );
    restart(&mut pair).await?;
    let mended = Instant::now();
    pair.operate(&[
        "dead-letters",
        "replay",
        "--reason",
        "unknown_price",
        "--why",
        "it is sold now",
    ])
    .await?;
    all_applied(env.pool(), &[event.id], DEADLINE).await?;
    let applied = mended.elapsed();
    quiet(&prometheus, "TollbridgeDeadLetters").await;
    note(&format!(
        "unknown price (alerts cut to wait 2 s): fires {fired:?} after the post; once mended it is applied after {applied:?}, the alert clears after {:?}",
        mended.elapsed()
    ));
    Ok(())
}

#[tokio::test]
async fn without_a_database_the_age_of_the_oldest_event_grows_and_an_alert_fires_until_it_is_back() -> Result<()> {
    const OLDEST: &str = "tollbridge_worker_oldest_unapplied_seconds";
    let servers = OwnServers::up("alerts-database").await?;
    let env = TestEnv::on(servers.servers().clone(), "alerts_database").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let prometheus = Prometheus::start(&Promtool::find()?, "alerts-database", &pair).await?;
    eventually(DEADLINE, "all is well", async || {
        ensure!(prometheus.values("tollbridge_worker_database_up").await? == [1.0]);
        ensure!(prometheus.values(OLDEST).await? == [0.0]);
        Ok(())
    })
    .await;
    quiet(&prometheus, "TollbridgeDatabaseUnreachable").await;

    servers.database(&["stop"]).await?;
    let events = newcomers(env.namespace(), 20);
    let stopped = Instant::now();
    Senders::start(&pair.client, &events, 1).finish().await?;
    fires(&prometheus, "TollbridgeDatabaseUnreachable").await;
    let fired = stopped.elapsed();
    let mut ages = Vec::new();
    for least in [1.0, 6.0, 12.0] {
        let age = eventually(DEADLINE, "the oldest event is older", async || {
            let ages = prometheus.values(OLDEST).await?;
            ages.first()
                .copied()
                .filter(|age| *age >= least)
                .context(format!("{ages:?}"))
        });
        ages.push(age.await);
    }
    let longest = stopped.elapsed() + LOOKS;
    ensure!(
        ages.iter().all(|age| *age <= longest.as_secs_f64()),
        "{ages:?} in {longest:?}"
    );

    servers.database(&["start"]).await?;
    all_applied(env.pool(), &ids(&events), DEADLINE).await?;
    quiet(&prometheus, "TollbridgeDatabaseUnreachable").await;
    eventually(DEADLINE, "nothing waits any more", async || {
        let ages = prometheus.values(OLDEST).await?;
        ensure!(ages == [0.0], "{ages:?}");
        Ok(())
    })
    .await;
    note(&format!(
        "database stopped: its alert fires after {fired:?}; ages of the oldest event {ages:?}"
    ));
    Ok(())
}

#[tokio::test]
async fn without_a_broker_queue_lengths_are_absent_and_alerts_fire_until_it_is_back() -> Result<()> {
    const QUEUES: &str = "tollbridge_queue_messages";
    const ALERTS: [&str; 2] = ["TollbridgeBrokerUnreachable", "TollbridgeIngestRefusing"];
    let servers = OwnServers::up("alerts-broker").await?;
    let env = TestEnv::on(servers.servers().clone(), "alerts_broker").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    let prometheus = Prometheus::start(&Promtool::find()?, "alerts-broker", &pair).await?;
    let known = async || {
        let lengths = prometheus.values(QUEUES).await?;
        ensure!(lengths == [0.0; 4], "{lengths:?}");
        Ok(())
    };
    eventually(DEADLINE, "the queues are empty", known).await;
    for alert in ALERTS {
        quiet(&prometheus, alert).await;
    }

    servers.broker(&["stop"]).await?;
    let event = &newcomers(env.namespace(), 1)[0];
    eventually(DEADLINE, "both alerts fire", async || {
        ensure!(pair.client.post_event(event).await?.status == 503);
        let mut firing = Vec::new();
        for alert in ALERTS {
            firing.push(prometheus.states(alert).await?.iter().any(|state| state == "firing"));
        }
        ensure!(firing == [true, true], "{firing:?}");
        Ok(())
    })
    .await;
    eventually(DEADLINE, "nothing is said of the queues", async || {
        let lengths = prometheus.values(QUEUES).await?;
        ensure!(lengths.is_empty(), "{lengths:?}");
        Ok(())
    })
    .await;

    servers.broker(&["start"]).await?;
    eventually(DEADLINE, "the queues are empty again", known).await;
    quiet(&prometheus, ALERTS[0]).await;
    // The other one looks at five minutes, and other answers make its share smaller.
    pair.client.post_event(event).await?.accepted()?;
    all_applied(env.pool(), std::slice::from_ref(&event.id), DEADLINE).await?;
    Ok(())
}

async fn fires(prometheus: &Prometheus, alert: &str) {
    let what = format!("{alert} fires");
    eventually(DEADLINE, &what, async || {
        let states = prometheus.states(alert).await?;
        ensure!(states == ["firing"], "{states:?}");
        Ok(())
    })
    .await;
}

async fn quiet(prometheus: &Prometheus, alert: &str) {
    let what = format!("{alert} is quiet");
    eventually(DEADLINE, &what, async || {
        let states = prometheus.states(alert).await?;
        ensure!(states.is_empty(), "{states:?}");
        Ok(())
    })
    .await;
}

fn deploy(path: &str) -> PathBuf {
    repository().join("deploy").join(path)
}

/// What stands behind `mark` in the lines that begin with it.
fn after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    text.lines()
        .filter_map(|line| line.trim_start().strip_prefix(mark))
        .collect()
}

/// The names of metrics in `text`, ours and those of any process.
fn metrics_of(text: &str) -> BTreeSet<&str> {
    let part_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !part_of_name(c)).map(|word| word.trim_end_matches(':'));
    let ours = |word: &&str| {
        ["tollbridge_", "tollbridge:", "process_"]
            .iter()
            .any(|start| word.starts_with(start))
    };
    words.filter(ours).collect()
}
