//! Asks whether USER may use tokens, does the work, and reports the used tokens until the report is accepted.
//!
//! `cargo add anyhow reqwest serde_json; cargo add sqlx -F postgres,runtime-tokio,tls-rustls`
//! `cargo add time -F formatting; cargo add tokio -F full; cargo add uuid -F v4; cargo run -- USER [ID]`
//!
//! Set `DATABASE_URL`, `USAGE_URL` (`https://your-host/v1/usage`) and `USAGE_TOKEN`. Without an ID a new one is made.

// For the lints of Tollbridge's repository; your program does not need it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an application's program, not ours"
)]

use anyhow::{Result, bail};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use std::{env, process, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use uuid::Uuid;

const MAY_USE: &str = "SELECT EXISTS (SELECT FROM billing.balances
    WHERE user_id = $1 AND meter = $2 AND (available IS NULL OR available > 0))";

async fn may_use(user: &str, meter: &str) -> Result<bool> {
    let mut database = PgConnection::connect(&env::var("DATABASE_URL")?).await?;
    let question = sqlx::query_scalar(MAY_USE).bind(user).bind(meter);
    Ok(question.fetch_one(&mut database).await?)
}

async fn report(event: &Value) -> Result<()> {
    let (url, token) = (env::var("USAGE_URL")?, env::var("USAGE_TOKEN")?);
    let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let mut pause = Duration::from_millis(500);
    loop {
        let request = client.post(&url).bearer_auth(&token).body(event.to_string());
        let request = request.header("Content-Type", "application/cloudevents+json");
        let problem = match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => match answer.status().as_u16() {
                408 | 429 | 500.. => answer.status().to_string(),
                _ => bail!("a defect: {} {}", answer.status(), answer.text().await?),
            },
            Err(error) => error.to_string(),
        };
        eprintln!("not reported yet ({problem}), again in {pause:?}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let (user, id) = match arguments.as_slice() {
        [user] => (user, Uuid::new_v4().to_string()),
        [user, id] => (user, id.clone()),
        _ => {
            eprintln!("usage: usage USER [ID]");
            process::exit(2);
        }
    };
    if !may_use(user, "tokens").await? {
        println!("{user} may not use tokens");
        return Ok(());
    }
    let (input, output) = (600, 100); // the work
    let time = OffsetDateTime::now_utc().format(&Rfc3339)?;
    let data = json!({ "meter": "tokens", "quantities": { "input": input, "output": output } });
    let event = json!({ "specversion": "1.0", "type": "usage", "source": "/rust", "subject": user,
                        "id": id, "time": time, "data": data });
    report(&event).await?;
    println!("{user} used {input} + {output} tokens, reported as {id}");
    Ok(())
}
