//! `make up`: starts ingest and worker, and leaves them running.

use crate::show;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use shared::settings::Settings;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tests::fixtures::ApiVersion;
use tests::harness::{Pair, SECRET, Servers, Setup, TestEnv, USAGE_TOKEN, repository, unix_now};
use tests::scenario::{Scenario, USER};

/// The address of `ingest` unless `INGEST_ADDR` is set.
pub(crate) const INGEST_ADDR: &str = "127.0.0.1:8080";
/// The address of its health and metrics.
const INGEST_OPS: &str = "127.0.0.1:9101";
/// The address of the worker's health and metrics.
const WORKER_OPS: &str = "127.0.0.1:9102";

/// Starts the pair with the database of the environment, and leaves it running.
pub(crate) async fn up(version: ApiVersion) -> Result<()> {
    let start = Instant::now();
    let settings = Settings::from_process();
    let ingest_addr = settings.variable("INGEST_ADDR").unwrap_or(INGEST_ADDR);
    for address in [ingest_addr, INGEST_OPS, WORKER_OPS] {
        let address: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        let free = TcpListener::bind(address);
        free.with_context(|| {
            format!("{address} is in use; if an earlier `make up` still runs, end it with `make stop`")
        })?;
    }
    let local = repository().join("target/local");
    let namespace = settings.variable("QUEUE_NAMESPACE").unwrap_or("billing");
    let env = TestEnv::given(Servers::from_env()?, namespace, &local.join("logs"))?;
    // Events of `stripe listen` or of a real endpoint are accepted beside our own.
    let secrets = settings.variable("STRIPE_WEBHOOK_SECRET");
    let secrets = secrets.map_or_else(|| SECRET.to_owned(), |given| format!("{SECRET},{given}"));
    let setup = Setup::default()
        .ingest("INGEST_ADDR", ingest_addr)
        .ingest("OPS_ADDR", INGEST_OPS)
        .ingest("STRIPE_WEBHOOK_SECRET", &secrets)
        .worker("OPS_ADDR", WORKER_OPS)
        .ingest("USAGE_MAX_AGE", "35d")
        .detached();
    let pair = Pair::start(&env, setup).await?;
    write_pids(&pair, &local.join("pair.json"))?;
    let events = write_events(version, &local.join("events"))?;

    println!();
    show::addresses(&env, &pair, version, start.elapsed());
    directions(&env, &pair, &events);
    Ok(())
}

/// Writes the process ids for `make stop`.
fn write_pids(pair: &Pair, file: &Path) -> Result<()> {
    let worker = pair.workers.first().and_then(tests::harness::Process::pid);
    let pids = json!({ "pids": { "ingest": pair.ingest.pid(), "worker": worker } });
    std::fs::write(file, format!("{pids:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes the events of the scenario's first step to files, to post them by hand.
fn write_events(version: ApiVersion, folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let now = unix_now();
    let scenario = Scenario::new(version, &format!("up {now}"), now);
    let first = scenario.steps.first().context("a scenario has a first step")?;
    let mut files = Vec::new();
    for (number, sent) in (1..).zip(&first.events) {
        let file = folder.join(format!("{number}-{}.json", sent.event.kind));
        std::fs::write(&file, &sent.event.body)?;
        files.push(file);
    }
    ensure!(!files.is_empty(), "the first step sends nothing");
    Ok(files)
}

fn directions(env: &TestEnv, pair: &Pair, events: &[PathBuf]) {
    let server = pair.client.server();
    let folder = events.first().and_then(|file| file.parent());
    let folder = folder.unwrap_or(Path::new("."));
    let folder = folder.strip_prefix(repository()).unwrap_or(folder).display();
    println!(
        "\ningest and worker are running; `make stop` ends them. Logs: {}",
        env.logs().display()
    );
    println!("\nPost the signed events of a subscription of {USER}:");
    println!("   cargo run -q -p tests --bin demo -- --to {server} --post {folder}/*.json");
    println!("or post one of them with curl and openssl:");
    println!("   body={folder}/1-customer.subscription.created.json; t=$(date +%s)");
    println!("   v1=$( (printf '%s.' $t; cat $body) | openssl dgst -sha256 -hmac {SECRET} -r | cut -d' ' -f1)");
    println!("   curl -i http://{server}/webhooks/stripe -H \"Stripe-Signature: t=$t,v1=$v1\" --data-binary @$body");
    println!("\nReport usage of {USER}:");
    println!("   curl -i http://{server}/v1/usage -H 'Authorization: Bearer {USAGE_TOKEN}' \\");
    println!("     -H 'Content-Type: application/cloudevents+json' \\");
    let data = r#"{"meter":"tokens","quantities":{"input":600,"output":100}}"#;
    println!(
        r#"     -d '{{"specversion":"1.0","type":"usage","source":"me","id":"1","subject":"{USER}","data":{data}}}'"#
    );
    println!("\nSee the result:");
    println!(
        "   psql {} -xc 'SELECT * FROM billing.entitlements'",
        env.database_url()
    );
    for view in ["balances", "events"] {
        println!("   psql {} -c 'SELECT * FROM billing.{view}'", env.database_url());
    }
    println!("   curl http://{INGEST_OPS}/metrics; curl http://{WORKER_OPS}/metrics; curl http://{WORKER_OPS}/readyz");
}
