//! Settings on the command line: `--help` lists all of them, and a bad one is named in one line, with
//! exit code 2.

use anyhow::{Result, ensure};
use shared::settings::Program;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::process::Output;
use tests::harness::{Process, TestEnv, repository};

const PROGRAMS: [&Program; 3] = [
    &ingest::config::PROGRAM,
    &worker::config::PROGRAM,
    &provision::cli::PROGRAM,
];

/// Where no server is: what is started here must end before it misses one.
const NOWHERE: [(&str, &str); 5] = [
    ("DATABASE_URL", "postgres://nobody@127.0.0.1:1/none"),
    ("AMQP_URL", "amqp://guest:guest@127.0.0.1:1/%2f"),
    ("STRIPE_WEBHOOK_SECRET", "whsec_configuration"),
    ("INGEST_ADDR", "127.0.0.1:0"),
    ("OPS_ADDR", "127.0.0.1:0"),
];

/// Runs `binary` with the settings of [`NOWHERE`] and these changes; without a value, one is
/// taken out.
async fn run(binary: &'static str, arguments: &[&str], changes: &[(&str, Option<&str>)]) -> Result<Output> {
    let catalog = repository().join("deploy/catalog.toml").display().to_string();
    let given = NOWHERE.into_iter().chain([("CATALOG_FILE", catalog.as_str())]);
    let mut settings: BTreeMap<String, String> = given.map(|(name, value)| (name.into(), value.into())).collect();
    for (name, value) in changes {
        match value {
            Some(value) => settings.insert((*name).to_owned(), (*value).to_owned()),
            None => settings.remove(*name),
        };
    }
    let mut command =
        Process::new("configured", binary, &[], BTreeMap::new(), &std::env::temp_dir())?.command(arguments)?;
    // The private listener that the harness would give it is none of these settings.
    command.env_remove("OPS_ADDR").envs(&settings).kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(20), command.output());
    Ok(output.await??)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Checks that it ends with 2 and one clear line that names `culprit`.
async fn refused(binary: &'static str, changes: &[(&str, Option<&str>)], culprit: &str) -> Result<()> {
    let arguments: &[&str] = match binary {
        "worker" => &["run"],
        "provision" => &["plan", "--test"],
        _ => &[],
    };
    let output = run(binary, arguments, changes).await?;
    let (stderr, printed) = (text(&output.stderr), text(&output.stdout));
    let context = format!("{binary} with {changes:?}: {:?}, {stderr}", output.status.code());
    ensure!(output.status.code() == Some(2), "{context}");
    let about: Vec<&str> = stderr
        .lines()
        .filter(|line| !line.contains("\"level\"") && !line.contains(" INFO "))
        .collect();
    ensure!(
        about.len() == 1 && about[0].starts_with(&format!("{binary}: ")),
        "{context}"
    );
    ensure!(about[0].contains(culprit) && !stderr.contains("hush"), "{context}");
    ensure!(printed.is_empty(), "{context}: {printed}");
    Ok(())
}

#[tokio::test]
async fn help_lists_every_setting_and_version_prints_the_version() -> Result<()> {
    for program in PROGRAMS {
        let binary = program.name;
        let help = run(binary, &["--help"], &[]).await?;
        ensure!(help.status.code() == Some(0));
        let help = text(&help.stdout);
        for setting in program.settings.iter().map(|setting| setting.name()) {
            let mut lines = help.lines().map(str::trim_start);
            ensure!(
                lines.any(|line| line.starts_with(&format!("{setting} "))),
                "{binary} --help: no {setting}\n{help}"
            );
        }
        let version = run(binary, &["--version"], &[]).await?;
        let version = text(&version.stdout);
        ensure!(
            version == format!("{binary} {}\n", env!("CARGO_PKG_VERSION")),
            "{version}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn wrong_arguments_exit_with_2_and_print_the_usage() -> Result<()> {
    for (binary, arguments) in [
        ("ingest", &["--frobnicate"][..]),
        ("ingest", &["run"]),
        ("worker", &["--frobnicate"]),
        ("worker", &[]),
        ("worker", &["dance"]),
        ("worker", &["dead-letters", "list", "--limit", "0"]),
        ("worker", &["dead-letters", "list", "--limit", "many"]),
        ("provision", &["--frobnicate"]),
        ("provision", &[]),
        ("provision", &["plan"]),
        ("provision", &["apply", "--test", "--live"]),
        ("provision", &["test-clock", "advance", "clock_1"]),
        ("provision", &["test-clock", "advance", "clock_1", "--by", "1 month"]),
        ("provision", &["test-clock", "delete", "clock_1", "--live"]),
    ] {
        let output = run(binary, arguments, &[]).await?;
        let stderr = text(&output.stderr);
        ensure!(
            output.status.code() == Some(2),
            "{binary} {arguments:?}: {:?}",
            output.status
        );
        ensure!(
            stderr.contains("Usage: ") || stderr.contains("try '--help'"),
            "{binary} {arguments:?}: {stderr}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_setting_that_is_missing_or_bad_is_named_in_one_line() -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let taken = taken.local_addr()?.to_string();
    refused("ingest", &[("STRIPE_WEBHOOK_SECRET", None)], "STRIPE_WEBHOOK_SECRET").await?;
    refused("worker", &[("DATABASE_URL", None)], "DATABASE_URL").await?;
    for (name, value) in [
        ("STRIPE_WEBHOOK_SECRET", "hush"),
        ("STRIPE_WEBHOOK_SECRET", "whsec_good,hush"),
        ("USAGE_TOKEN", "hush"),
        ("USAGE_TOKEN", "hush 0123456789abcdef"),
        ("AMQP_URL", "http://guest:hush@127.0.0.1"),
        ("QUEUE_NAMESPACE", "a b"),
        ("RETRY_DELAYS", "10s,2s"),
        ("INGEST_ADDR", "nowhere"),
        ("INGEST_ADDR", &taken),
        ("OPS_ADDR", &taken),
        ("BODY_LIMIT_BYTES", "0"),
        ("BODY_TIMEOUT", "soon"),
        ("HEADER_TIMEOUT", "10"),
        ("MAX_CONNECTIONS", "-1"),
        ("PUBLISH_TIMEOUT", "3s"),
        ("DRAIN_TIMEOUT", "0s"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "=="),
    ] {
        refused("ingest", &[(name, Some(value))], name).await?;
    }
    for (name, value) in [
        ("DATABASE_URL", "mysql://root:hush@127.0.0.1/db"),
        ("AMQP_URL", "http://guest:hush@127.0.0.1"),
        ("QUEUE_NAMESPACE", "a b"),
        ("STRIPE_LIVEMODE", "maybe"),
        ("CATALOG_FILE", "/nowhere/catalog.toml"),
        ("OPS_ADDR", &taken),
        ("LOG_FORMAT", "xml"),
        ("BATCH_SIZE", "0"),
        ("BATCH_WAIT", "2"),
        ("LANES", "65"),
        ("PREFETCH", "65536"),
        ("RETRY_DELAYS", "soon"),
        ("DRAIN_TIMEOUT", "forever"),
        ("DATABASE_POOL_SIZE", "1"),
        ("STATEMENT_TIMEOUT", "0s"),
        ("LOCK_TIMEOUT", "-1s"),
    ] {
        refused("worker", &[(name, Some(value))], name).await?;
    }
    refused("provision", &[], "STRIPE_SECRET_KEY: is not set").await?;
    for (name, value) in [
        ("STRIPE_SECRET_KEY", "pk_test_hush"),
        ("STRIPE_SECRET_KEY", "sk_live_hush"),
        ("STRIPE_SECRET_KEY", "sk_hush"),
        ("STRIPE_API_BASE", "stripe.com"),
        ("STRIPE_REQUESTS_PER_SECOND", "0"),
        ("CATALOG_FILE", "/nowhere/catalog.toml"),
        ("LOG_FORMAT", "xml"),
        ("RUST_LOG", "=="),
    ] {
        refused("provision", &[(name, Some(value))], name).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_catalog_with_an_error_is_named_with_its_path() -> Result<()> {
    let path = std::env::temp_dir().join(format!("tollbridge-bad-catalog-{}.toml", std::process::id()));
    let shipped = std::fs::read_to_string(repository().join("deploy/catalog.toml"))?;
    for wrong in [
        "[[tier]",
        &shipped.replace("rank = 3", "rank = 2"),
        &format!("{shipped}\nsurprise = 1\n"),
    ] {
        std::fs::write(&path, wrong)?;
        let catalog = path.display().to_string();
        for binary in ["worker", "provision"] {
            let culprit = format!("CATALOG_FILE: {catalog}: line ");
            refused(binary, &[("CATALOG_FILE", Some(&catalog))], &culprit).await?;
        }
    }
    std::fs::remove_file(path)?;
    Ok(())
}

#[tokio::test]
async fn a_secret_may_come_from_a_file_but_not_from_two_places() -> Result<()> {
    let env = TestEnv::new("configuration").await?;
    let path = env.logs().join("database-url");
    std::fs::write(&path, format!("{}\n", env.database_url()))?;
    let path = path.display().to_string();
    let from_file = [("DATABASE_URL", None), ("DATABASE_URL_FILE", Some(path.as_str()))];
    let output = run("worker", &["migrate"], &from_file).await?;
    ensure!(output.status.code() == Some(0), "{}", text(&output.stderr));

    let both = [("DATABASE_URL_FILE", Some(path.as_str()))];
    refused("worker", &both, "DATABASE_URL_FILE").await?;
    let missing = [
        ("STRIPE_WEBHOOK_SECRET", None),
        ("STRIPE_WEBHOOK_SECRET_FILE", Some("/nowhere")),
    ];
    refused("ingest", &missing, "STRIPE_WEBHOOK_SECRET_FILE: cannot read /nowhere").await
}
