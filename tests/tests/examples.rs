//! What README.md tells applications to run, run as it stands there, with a real pair as its other side.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tests::crowd::{Delivery, all_recorded, ids};
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
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = written(&folder.join("usage.py"), &block("python")?)?;
    tell("python", &[interpreter, file]).await
}

#[tokio::test]
async fn the_node_program_asks_before_and_reports_after() -> Result<()> {
    let [interpreter] = installed("node")?;
    // Node looks for the package beside the program.
    let [folder] = installed("pg")?;
    let file = written(&folder.join("usage.mjs"), &block("javascript")?)?;
    tell("node", &[interpreter, file]).await
}

#[tokio::test]
async fn the_rust_program_asks_before_and_reports_after() -> Result<()> {
    let compiled = std::fs::read_to_string(repository().join("tests/examples/usage.rs"))?;
    let (_, compiled) = compiled.split_once(")]\n\n").context("no attributes")?;
    let told = block("rust")?;
    ensure!(
        compiled == told,
        "tests/examples/usage.rs is not what README.md says: copy it over"
    );

    let own = std::env::current_exe()?;
    // target/<profile>/deps/examples-1a2b3c
    let profile = own.ancestors().nth(2).context("no folder of the profile")?;
    let program = profile.join("examples/usage");
    ensure!(program.is_file(), "no {}: build first: make test", program.display());
    tell("rust", &[program]).await
}

/// The question and the report that stand there by themselves.
#[tokio::test]
async fn the_question_and_the_report_are_answered_as_told() -> Result<()> {
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
        ensure!(part()?.contains(&format!("Content-Type: {content_type}")));
        let answer = pair.client.post_usage_raw(content_type, body).await?;
        ensure!(answer.status == 202, "{} {}", answer.status, answer.body);
    }
    // The batch holds the same report once more.
    settled(&pair, 3 + 2).await;
    expect(&env, "user_1", UNITS).await
}

/// What every program does, in words of its own.
async fn tell(language: &str, command: &[PathBuf]) -> Result<()> {
    let env = TestEnv::new(&format!("example_{language}")).await?;
    let mut pair = Pair::start(&env, Setup::default()).await?;
    let program = Program {
        command,
        database_url: env.database_url(),
        usage_url: format!("http://{}/v1/usage", pair.client.server()),
    };
    asks_and_reports(&program, language, &env, &pair).await?;
    sends_again_until_it_is_accepted(&program, &env, &mut pair).await?;

    let refused = program.run("somebody else's token", &["user_2", "req_3"]).await?;
    let said = String::from_utf8(refused.stderr)?;
    ensure!(!refused.status.success() && refused.stdout.is_empty() && said.contains("a defect: 401"));
    ensure!(!said.contains("not reported yet"), "a defect is not repeated: {said}");
    expect(&env, "user_2", UNITS).await
}

async fn asks_and_reports(program: &Program<'_>, language: &str, env: &TestEnv, pair: &Pair) -> Result<()> {
    subscribed(env, pair, "user_1").await?;
    let said = program.says(&["user_1"]).await?;
    let id = said.strip_prefix("user_1 used 600 + 100 tokens, reported as ");
    let id = id.with_context(|| said.clone())?;
    ensure!(id.len() == 36, "an id of its own: {said}");
    all_recorded(env.pool(), &[format!("/{language} {id}")], DEADLINE).await?;
    expect(env, "user_1", UNITS).await?;

    for _ in 0..2 {
        let said = program.says(&["user_1", "req_1"]).await?;
        ensure!(said == "user_1 used 600 + 100 tokens, reported as req_1", "{said}");
    }
    settled(pair, 3 + 3).await;
    expect(env, "user_1", 2 * UNITS).await?;

    let rest = report("rest", "user_1", "tokens", TOKENS, unix_now())?;
    ensure!(pair.client.post_usage(&rest).await?.status == 202);
    all_recorded(env.pool(), &[report_key(&rest)?], DEADLINE).await?;
    let debt = Balance::new(TOKENS, TOKENS, -2 * UNITS, 0, -2 * UNITS);
    let seen = Balance::load(env.pool(), "user_1").await?;
    ensure!(seen.get("tokens") == Some(&debt), "{seen:?}");
    for user in ["user_1", "stranger"] {
        let said = program.says(&[user]).await?;
        ensure!(said == format!("{user} may not use tokens"), "{said}");
    }
    let metrics = pair.ingest.metrics().await?;
    let reported = metrics.get("tollbridge_ingest_usage_events_total");
    ensure!(reported == 4, "who may not reports nothing, but there are {reported}");
    Ok(())
}

/// First nobody listens, then somebody who is in the way answers 408 and 429, then an ingest
/// without a broker 503, then all is well.
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
    let mut said = BufReader::new(running.stderr.take().context("no standard error")?);
    heard(&mut said, &["not reported yet"]).await?;
    answers(&pair.client.server().to_string(), ["408 Too Slow", "429 Too Many"]).await?;
    heard(&mut said, &["(408", "Error 408"]).await?;
    heard(&mut said, &["(429", "Error 429"]).await?;
    alone.spawn()?;
    // As Node and Rust say it, and as Python does; a bare 503 may be a part of the port.
    heard(&mut said, &["(503", "Error 503"]).await?;
    alone.kill_9().await?;
    pair.ingest.start().await?;
    let output = tokio::time::timeout(DEADLINE, running.wait_with_output()).await??;
    ensure!(output.status.success(), "{}", output.status);
    let said = String::from_utf8(output.stdout)?;
    ensure!(said == "user_2 used 600 + 100 tokens, reported as req_2\n", "{said}");
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

/// A program of README.md with what it runs against.
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
            // Whoever reaches the network through a proxy does not reach this machine through it.
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
        let said = String::from_utf8(output.stdout)?;
        let line = said.strip_suffix('\n').filter(|line| !line.contains('\n'));
        Ok(line.with_context(|| format!("not one line: {said}"))?.to_owned())
    }
}

/// Reads on until a line that holds one of `words`.
async fn heard(said: &mut (impl AsyncBufReadExt + Unpin), words: &[&str]) -> Result<()> {
    let hearing = async {
        loop {
            let mut line = String::new();
            ensure!(said.read_line(&mut line).await? > 0, "it ended without {words:?}");
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
    Delivery::start(&pair.client, &events, 1).finish().await?;
    all_recorded(env.pool(), &ids(&events), DEADLINE).await
}

/// Waits until the workers are done with so many deliveries, those that count once more too.
async fn settled(pair: &Pair, deliveries: i64) {
    eventually(DEADLINE, "all is settled", async || {
        let settled = pair.settled().await?;
        ensure!(settled == deliveries, "{settled} of {deliveries}");
        Ok(())
    })
    .await;
}

/// Checks that `user` used so much of the plan, and nothing else.
async fn expect(env: &TestEnv, user: &str, units: i64) -> Result<()> {
    let seen = Balance::load(env.pool(), user).await?;
    let left = Balance::new(TOKENS, units, 0, 0, TOKENS - units);
    ensure!(seen.get("tokens") == Some(&left), "{user}: {seen:?}");
    Ok(())
}

fn written(path: &Path, text: &str) -> Result<PathBuf> {
    std::fs::write(path, text).with_context(|| path.display().to_string())?;
    Ok(path.to_owned())
}

/// The part of README.md about use.
fn part() -> Result<String> {
    let readme = std::fs::read_to_string(repository().join("README.md"))?;
    let (_, part) = readme
        .split_once("Ask before, report after.**")
        .context("no such part")?;
    let (part, _) = part.split_once("\n## ").context("it does not end")?;
    Ok(part.to_owned())
}

/// The only block of `language` in that part.
fn block(language: &str) -> Result<String> {
    let part = part()?;
    let fence = format!("\n```{language}\n");
    let mut blocks = part.split(&fence).skip(1);
    let (Some(block), None) = (blocks.next(), blocks.next()) else {
        bail!("README.md must have one block of {language} about use");
    };
    let (block, _) = block.split_once("\n```\n").context("the block does not end")?;
    Ok(format!("{block}\n"))
}
