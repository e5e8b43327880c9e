//! `make up`: the pair, left running.

use crate::show;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use shared::settings::Settings;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tests::fixtures::ApiVersion;
use tests::harness::{Pair, SECRET, Servers, Setup, TestEnv, USAGE_TOKEN, repository, unix_now};
use tests::story::{Story, USER};

/// Where `ingest` listens unless told otherwise.
pub(crate) const INGEST_ADDR: &str = "127.0.0.1:8080";
/// Where its health and metrics are.
const INGEST_OPS: &str = "127.0.0.1:9101";
/// Where the worker's are.
const WORKER_OPS: &str = "127.0.0.1:9102";

/// Starts the pair in the given database and leaves it running.
pub(crate) async fn up(version: ApiVersion) -> Result<()> {
    let start = Instant::now();
    let settings = Settings::from_process();
    let ingest_addr = settings.variable("INGEST_ADDR").unwrap_or(INGEST_ADDR);
    for address in [ingest_addr, INGEST_OPS, WORKER_OPS] {
        let address: SocketAddr = address.parse().with_context(|| format!("{address} is no address"))?;
        let free = TcpListener::bind(address);
        free.with_context(|| format!("{address} is taken; if the pair runs already, end it by `make stop`"))?;
    }
    let local = repository().join("target/local");
    let namespace = settings.variable("QUEUE_NAMESPACE").unwrap_or("billing");
    let env = TestEnv::given(Servers::from_env()?, namespace, &local.join("logs"))?;
    // Events of `stripe listen` or of a real endpoint are taken beside our own.
    let secrets = settings.variable("STRIPE_WEBHOOK_SECRET");
    let secrets = secrets.map_or_else(|| SECRET.to_owned(), |given| format!("{SECRET},{given}"));
    let setup = Setup::default()
        .ingest("INGEST_ADDR", ingest_addr)
        .ingest("OPS_ADDR", INGEST_OPS)
        .ingest("STRIPE_WEBHOOK_SECRET", &secrets)
        .worker("OPS_ADDR", WORKER_OPS)
        .detached();
    let pair = Pair::start(&env, setup).await?;
    write_pids(&pair, &local.join("pair.json"))?;
    let events = write_events(version, &local.join("events"))?;

    show::beginning(&env, &pair, version, start.elapsed());
    directions(&env, &pair, &events);
    Ok(())
}

/// Names the processes to those who end them: `make stop`.
fn write_pids(pair: &Pair, file: &Path) -> Result<()> {
    let worker = pair.workers.first().and_then(tests::harness::Process::pid);
    let pids = json!({ "pids": { "ingest": pair.ingest.pid(), "worker": worker } });
    std::fs::write(file, format!("{pids:#}\n")).with_context(|| format!("cannot write {}", file.display()))
}

/// Writes the first step of the story to files that can be posted by hand.
fn write_events(version: ApiVersion, folder: &Path) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    let now = unix_now();
    let story = Story::new(version, &format!("up {now}"), now);
    let first = story.steps.first().context("a story has a first step")?;
    let mut files = Vec::new();
    for (number, sending) in (1..).zip(&first.sendings) {
        let file = folder.join(format!("{number}-{}.json", sending.event.kind));
        std::fs::write(&file, &sending.event.body)?;
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
    println!("\nThe pair runs; `make stop` ends it. Logs: {}", env.logs().display());
    println!("\nPost the events of a subscription of {USER}, signed:");
    println!("   cargo run -q -p tests --bin demo -- --to {server} --post {folder}/*.json");
    println!("or one of them with nothing but curl and openssl:");
    println!("   body={folder}/1-customer.subscription.created.json; t=$(date +%s)");
    println!("   v1=$( (printf '%s.' $t; cat $body) | openssl dgst -sha256 -hmac {SECRET} -r | cut -d' ' -f1)");
    println!("   curl -i http://{server}/webhooks/stripe -H \"Stripe-Signature: t=$t,v1=$v1\" --data-binary @$body");
    println!("\nReport that {USER} used something:");
    println!("   curl -i http://{server}/v1/usage -H 'Authorization: Bearer {USAGE_TOKEN}' \\");
    println!("     -H 'Content-Type: application/cloudevents+json' \\");
    let data = r#"{"meter":"tokens","quantities":{"input":600,"output":100}}"#;
    println!(
        r#"     -d '{{"specversion":"1.0","type":"usage","source":"me","id":"1","subject":"{USER}","data":{data}}}'"#
    );
    println!("\nLook at what came of it:");
    println!(
        "   psql {} -xc 'SELECT * FROM billing.entitlements'",
        env.database_url()
    );
    for view in ["balances", "events"] {
        println!("   psql {} -c 'SELECT * FROM billing.{view}'", env.database_url());
    }
    println!("   curl http://{INGEST_OPS}/metrics; curl http://{WORKER_OPS}/metrics; curl http://{WORKER_OPS}/readyz");
}
