//! The texts of the console's pages, followed link by link without a browser.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::{Method, StatusCode};
use std::time::Duration;
use tests::crowd::all_recorded;
use tests::harness::{
    Client, OPS_TOKEN, Pair, Setup, TestEnv, console_session, eventually, report, report_key, unix_now,
};
use tests::test_catalog::unknown_price;

const DEADLINE: Duration = Duration::from_secs(30);

/// An operator who is logged in.
struct Operator<'a> {
    client: &'a Client,
    cookie: String,
}

impl<'a> Operator<'a> {
    async fn of(pair: &'a Pair) -> Result<Self> {
        let client = pair.workers[0].ops();
        let cookie = console_session(client).await?;
        Ok(Self { client, cookie })
    }

    async fn opens(&self, path: &str) -> Result<String> {
        let headers = [("cookie", self.cookie.as_str())];
        let answer = self.client.request(Method::GET, path, &headers, Bytes::new()).await?;
        ensure!(
            answer.status == StatusCode::OK,
            "{path}: {} {}",
            answer.status,
            answer.body
        );
        Ok(answer.body)
    }

    /// Opens what the page's first link to `start` leads to.
    async fn follows(&self, page: &str, start: &str) -> Result<String> {
        let links = page.split(" href=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let link = links.into_iter().find(|link| link.starts_with(start));
        let link = link.with_context(|| format!("no link to {start} on {page}"))?;
        self.opens(&link.replace("&amp;", "&")).await
    }
}

#[tokio::test]
async fn a_user_known_only_from_dead_letters_is_found_with_their_letters() -> Result<()> {
    let env = TestEnv::new("console_owner").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let event = unknown_price(env.namespace());
    pair.client.post_event(&event).await?.accepted()?;
    let use_of_nothing = report("lost-1", "user_lost", "no-such-meter", 1, unix_now())?;
    pair.client.post_usage(&use_of_nothing).await?;
    let key = report_key(&use_of_nothing)?;
    all_recorded(env.pool(), &[event.id.clone(), key.clone()], DEADLINE).await?;
    let operator = Operator::of(&pair).await?;
    for (id, owner) in [
        (&event.id, "/console/search?q=cus_"),
        (&key, "/console/users/user_lost"),
    ] {
        let letters = operator.opens("/console/dead-letters").await?;
        ensure!(letters.contains(id.as_str()), "{letters}");
        let page = operator.follows(&letters, owner).await?;
        ensure!(page.contains("Only dead letters have this id"), "{page}");
        let own = operator.follows(&page, "/console/dead-letters?customer=").await?;
        ensure!(own.contains("One matches.") && own.contains(id.as_str()), "{own}");
    }
    let found = operator.opens("/console/search?q=user_lost").await?;
    ensure!(found.contains(&key), "{found}");

    // A discarded letter still names them, and is not open any more.
    let operate = ["dead-letters", "discard", &event.id, "--why", "a test"];
    pair.operate(&operate).await?;
    let letter = operator.opens(&format!("/console/dead-letters/{}", event.id)).await?;
    let page = operator.follows(&letter, "/console/search?q=cus_").await?;
    ensure!(page.contains(&event.id) && page.contains("discarded"), "{page}");
    ensure!(!page.contains("/console/dead-letters?customer="), "{page}");
    Ok(())
}

#[tokio::test]
async fn the_page_of_a_usage_report_names_its_user_and_its_units() -> Result<()> {
    let env = TestEnv::new("console_use").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let sent = report("chat 7/<b>", "user_ada", "tokens", 1_234, unix_now())?;
    pair.client.post_usage(&sent).await?;
    let key = report_key(&sent)?;
    all_recorded(env.pool(), std::slice::from_ref(&key), DEADLINE).await?;
    let operator = Operator::of(&pair).await?;
    let coded = key.bytes().map(|b| format!("%{b:02X}")).collect::<Vec<_>>().concat();
    let event = operator.opens(&format!("/console/events/{coded}")).await?;
    let effects = event.split("id=\"effects\"").nth(1).context("no effects")?;
    for part in ["tokens", ">1,234<", ">−1,234<"] {
        ensure!(effects.contains(part), "no {part} in {effects}");
    }
    let user = operator.follows(effects, "/console/users/user_ada").await?;
    ensure!(user.contains("chat 7/&lt;b&gt;"), "{user}");
    Ok(())
}

#[tokio::test]
async fn discarding_a_letter_that_may_still_be_applied_warns_and_the_warning_is_recorded() -> Result<()> {
    let env = TestEnv::new("console_elsewhere").await?;
    let pair = Pair::start(&env, Setup::default().worker("OPS_TOKEN", OPS_TOKEN)).await?;
    let event = unknown_price(env.namespace());
    pair.client.post_event(&event).await?.accepted()?;
    all_recorded(env.pool(), std::slice::from_ref(&event.id), DEADLINE).await?;
    let operator = Operator::of(&pair).await?;
    let question = format!("/console/discard?id={}", event.id);
    let warning = "1 of them is with a worker or in a retry queue, and may still be applied";
    eventually(DEADLINE, "its message is in the queue", async || {
        ensure!(!operator.opens(&question).await?.contains(warning));
        Ok(())
    })
    .await;
    // As after a replay to which no worker has come yet.
    sqlx::query("UPDATE billing.dead_letter SET queued = false")
        .execute(env.pool())
        .await?;
    let page = operator.opens(&question).await?;
    ensure!(page.contains(warning), "{page}");
    let output = pair
        .operate(&["dead-letters", "discard", &event.id, "--why", "a test"])
        .await?;
    ensure!(output.contains(warning), "{output}");
    let outcome: String = sqlx::query_scalar("SELECT outcome FROM billing.operator_action")
        .fetch_one(env.pool())
        .await?;
    ensure!(
        outcome.starts_with("1 discarded, ") && outcome.ends_with(warning),
        "{outcome}"
    );
    Ok(())
}
