//! The programs of `docs/examples` and the commands of `docs/usage.md`, run as they are against a real pair.

use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;
use tests::crowd::{Senders, all_recorded, ids};
use tests::fixtures::price::BASIC_MONTHLY;
use tests::fixtures::{ApiVersion, Customer, DAY};
use tests::harness::{
    Balance, Pair, Process, Setup, TestEnv, USAGE_TOKEN, eventually, installed, report, report_key, repository,
    unix_now,
};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

const DEADLINE: Duration = Duration::from_mins(1);
/// What a basic plan includes.
const TOKENS: i64 = 5_000_000;
/// What each program reports: 600 input tokens, and 100 output tokens that count six times.
const UNITS: i64 = 1_200;

#[tokio::test]
async fn the_python_program_asks_before_and_reports_after() -> Result<()> {
    let [interpreter] = installed("psycopg")?;
    run("python", &[interpreter, source("usage.py")]).await
}

#[tokio::test]
async fn the_node_program_asks_before_and_reports_after() -> Result<()> {
    let [interpreter] = installed("node")?;
    // Node looks for packages beside the program.
    let [folder] = installed("pg")?;
    let copy = folder.join("usage.mjs");
    std::fs::copy(source("usage.mjs"), &copy).with_context(|| copy.display().to_string())?;
    run("node", &[interpreter, copy]).await
}

#[tokio::test]
async fn the_rust_program_asks_before_and_reports_after() -> Result<()> {
    let own = std::env::current_exe()?;
    // target/<profile>/deps/pair-1a2b3c
    let profile = own.ancestors().nth(2).context("no folder of the profile")?;
    let program = profile.join("examples/usage");
    ensure!(program.is_file(), "no {}: build first: make test", program.display());
    run("rust", &[program]).await
}

#[tokio::test]
async fn the_question_and_the_report_of_the_page_are_answered_as_it_says() -> Result<()> {
    let env = TestEnv::new("example_words").await?;
    let pair = Pair::start(&env, Setup::default()).await?;
    subscribed(&env, &pair, "user_1").await?;

    let question = block("sql")?;
    for (user, meter, may) in [
        ("user_1", "tokens", true),
        ("user_1", "voice_chars", false),
        ("user_1", "basic_chars", true),
        ("user_1", "tea", false),
        ("stranger", "tokens", false),
    ] {
        let answer = sqlx::query_scalar(sqlx::AssertSqlSafe(question.clone()))
            .bind(user)
            .bind(meter);
        let answer: bool = answer.fetch_one(env.pool()).await?;
        ensure!(answer == may, "{user}, {meter}: {answer}");
    }

    let command = block("sh")?;
    let (_, body) = command.split_once("-d '").context("curl sends nothing")?;
    let (body, _) = body.split_once('\'').context("a quote is open")?;
    ensure!(command.contains("/v1/usage") && command.contains("Authorization: Bearer $USAGE_TOKEN"));
    for (content_type, body) in [
        ("application/cloudevents+json", body.to_owned()),
        ("application/cloudevents-batch+json", format!("[{body}]")),
    ] {
        ensure!(page()?.contains(&format!("Content-Type: {content_type}")));
        let answer = pair.client.post_usage_raw(content_type, body).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    }
    // The batch holds the same report once more.
    pair.settles(3 + 2).await;
    expect(&env, "user_1", UNITS).await
}

/// What every program does, in whatever language.
async fn run(language: &str, command: &[PathBuf]) -> Result<()> {
    let env = TestEnv::new(&format!("example_{language}")).await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let program = Program {
        command,
        database_url: env.database_url(),
        usage_url: format!("http://{}/v1/usage", pair.client.server()),
    };
    fails_well_without_arguments(&program).await?;
    asks_and_reports(&program, language, &env, &pair).await?;
    sends_again_until_it_is_accepted(&program, &env, &mut pair).await?;

    let refused = program.run("somebody else's token", &["user_2", "req_3"]).await?;
    let stderr = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && refused.stdout.is_empty() && stderr.contains("a defect: 401"));
    ensure!(
        !stderr.contains("not reported yet"),
        "a defect is not repeated: {stderr}"
    );
    expect(&env, "user_2", UNITS).await
}

async fn fails_well_without_arguments(program: &Program<'_>) -> Result<()> {
    for arguments in [&[][..], &["user_1", "req_1", "more"]] {
        let output = program.run(USAGE_TOKEN, arguments).await?;
        let complaint = String::from_utf8(output.stderr)?;
        ensure!(
            output.status.code() == Some(2) && output.stdout.is_empty(),
            "{}",
            output.status
        );
        ensure!(
            complaint.starts_with("usage: ") && complaint.ends_with("USER [ID]\n"),
            "{complaint}"
        );
        ensure!(complaint.lines().count() == 1, "{complaint}");
    }
    Ok(())
}

async fn asks_and_reports(program: &Program<'_>, language: &str, env: &TestEnv, pair: &Pair) -> Result<()> {
    subscribed(env, pair, "user_1").await?;
    let printed = program.says(&["user_1"]).await?;
    let id = printed.strip_prefix("user_1 used 600 + 100 tokens, reported as ");
    let id = id.with_context(|| printed.clone())?;
    ensure!(id.len() == 36, "an id of its own: {printed}");
    all_recorded(env.pool(), &[format!("/{language} {id}")], DEADLINE).await?;
    expect(env, "user_1", UNITS).await?;

    for _ in 0..2 {
        let printed = program.says(&["user_1", "req_1"]).await?;
        ensure!(
            printed == "user_1 used 600 + 100 tokens, reported as req_1",
            "{printed}"
        );
    }
    pair.settles(3 + 3).await;
    expect(env, "user_1", 2 * UNITS).await?;

    let rest = report("rest", "user_1", "tokens", TOKENS, unix_now())?;
    ensure!(pair.client.post_usage(&rest).await?.status == 202);
    all_recorded(env.pool(), &[report_key(&rest)?], DEADLINE).await?;
    let debt = Balance::new(TOKENS, TOKENS, -2 * UNITS, 0, -2 * UNITS);
    let seen = Balance::load(env.pool(), "user_1").await?;
    ensure!(seen.get("tokens") == Some(&debt), "{seen:?}");
    for user in ["user_1", "stranger"] {
        let printed = program.says(&[user]).await?;
        ensure!(printed == format!("{user} may not use tokens"), "{printed}");
    }
    let metrics = pair.ingest.metrics().await?;
    let reported = metrics.get("tollbridge_ingest_usage_events_total");
    ensure!(reported == 4, "who may not reports nothing, but there are {reported}");
    Ok(())
}

/// First no server listens, then a server of the test answers 408 and 429, then an ingest without a
/// broker answers 503, and at last the report is accepted.
async fn sends_again_until_it_is_accepted(program: &Program<'_>, env: &TestEnv, pair: &mut Pair) -> Result<()> {
    subscribed(env, pair, "user_2").await?;
    let mut settings = env.settings();
    settings.remove("DATABASE_URL");
    settings.insert("INGEST_ADDR".to_owned(), pair.client.server().to_string());
    settings.insert("AMQP_URL".to_owned(), "amqp://guest:guest@127.0.0.1:1/%2f".to_owned());
    settings.insert("USAGE_TOKEN".to_owned(), USAGE_TOKEN.to_owned());
    let mut alone = Process::new("ingest-alone", "ingest", &[], settings, env.logs())?;

    pair.ingest.kill_9().await?;
    let mut running = program.start(USAGE_TOKEN, &["user_2", "req_2"]).spawn()?;
    let mut stderr = BufReader::new(running.stderr.take().context("no standard error")?);
    heard(&mut stderr, &["not reported yet"]).await?;
    answers(&pair.client.server().to_string(), ["408 Too Slow", "429 Too Many"]).await?;
    heard(&mut stderr, &["(408", "Error 408"]).await?;
    heard(&mut stderr, &["(429", "Error 429"]).await?;
    alone.spawn()?;
    // As Node and Rust say it, and as Python does; a bare 503 may be a part of the port.
    heard(&mut stderr, &["(503", "Error 503"]).await?;
    alone.kill_9().await?;
    pair.ingest.start().await?;
    let output = tokio::time::timeout(DEADLINE, running.wait_with_output()).await??;
    ensure!(output.status.success(), "{}", output.status);
    let printed = String::from_utf8(output.stdout)?;
    ensure!(
        printed == "user_2 used 600 + 100 tokens, reported as req_2\n",
        "{printed}"
    );
    eventually(DEADLINE, "it counts", async || expect(env, "user_2", UNITS).await).await;
    Ok(())
}

/// Listens at an address, and answers one report with each of these.
async fn answers(address: &str, with: [&str; 2]) -> Result<()> {
    let listener = TcpListener::bind(address).await?;
    let answering = async {
        for status in with {
            let (mut stream, _) = listener.accept().await?;
            let mut report = Vec::new();
            while !report.ends_with(b"}") {
                ensure!(stream.read_buf(&mut report).await? > 0, "half a report");
            }
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await?;
        }
        Ok(())
    };
    tokio::time::timeout(DEADLINE, answering).await?
}

/// A program with what it runs against.
struct Program<'a> {
    command: &'a [PathBuf],
    database_url: &'a str,
    usage_url: String,
}

impl Program<'_> {
    fn start(&self, token: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).args(arguments);
        command
            .env("DATABASE_URL", self.database_url)
            .env("USAGE_URL", &self.usage_url)
            .env("USAGE_TOKEN", token)
            // This machine is not reached through the network's proxy, if there is one.
            .env("NO_PROXY", "127.0.0.1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    async fn run(&self, token: &str, arguments: &[&str]) -> Result<Output> {
        let output = self.start(token, arguments).output();
        let output = tokio::time::timeout(DEADLINE, output).await;
        Ok(output.with_context(|| format!("{arguments:?} does not end"))??)
    }

    /// Its one line, when all is well.
    async fn says(&self, arguments: &[&str]) -> Result<String> {
        let output = self.run(USAGE_TOKEN, arguments).await?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && complaint.is_empty(),
            "{}: {complaint}",
            output.status
        );
        let printed = String::from_utf8(output.stdout)?;
        let line = printed.strip_suffix('\n').filter(|line| !line.contains('\n'));
        Ok(line.with_context(|| format!("not one line: {printed}"))?.to_owned())
    }
}

/// Reads on until a line that holds one of `words`.
async fn heard(stderr: &mut (impl AsyncBufReadExt + Unpin), words: &[&str]) -> Result<()> {
    let hearing = async {
        loop {
            let mut line = String::new();
            ensure!(stderr.read_line(&mut line).await? > 0, "it ended without {words:?}");
            if words.iter().any(|word| line.contains(word)) {
                return Ok(());
            }
        }
    };
    tokio::time::timeout(DEADLINE, hearing).await?
}

/// Subscribes `user` to basic, in three events.
async fn subscribed(env: &TestEnv, pair: &Pair, user: &str) -> Result<()> {
    let events = Customer::new(ApiVersion::Y2026, user, unix_now() - DAY, BASIC_MONTHLY, true).subscribed();
    Senders::start(&pair.client, &events, 1).finish().await?;
    all_recorded(env.pool(), &ids(&events), DEADLINE).await
}

/// Checks that `user` used so much of the plan, and nothing else.
async fn expect(env: &TestEnv, user: &str, units: i64) -> Result<()> {
    let seen = Balance::load(env.pool(), user).await?;
    let left = Balance::new(TOKENS, units, 0, 0, TOKENS - units);
    ensure!(seen.get("tokens") == Some(&left), "{user}: {seen:?}");
    Ok(())
}

/// The path of a program in the documentation.
fn source(name: &str) -> PathBuf {
    repository().join("docs/examples").join(name)
}

fn page() -> Result<String> {
    Ok(std::fs::read_to_string(repository().join("docs/usage.md"))?)
}

/// The only block of `language` on the page.
fn block(language: &str) -> Result<String> {
    let page = page()?;
    let fence = format!("\n```{language}\n");
    let mut blocks = page.split(&fence).skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        bail!("docs/usage.md must have one block of {language}");
    };
    let (block, _) = block.split_once("\n```\n").context("the block does not end")?;
    Ok(format!("{block}\n"))
}
