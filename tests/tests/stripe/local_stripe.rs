//! localstripe, a third party's imitation of Stripe: it has an old shape (plans instead of prices) and
//! sends no event for an update. Its events are accepted, and the missing updates are found.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;
use tests::harness::{Client, Entitlement, Pair, SECRET, Setup, TestEnv, eventually, free_address, installed};
use tokio::process::{Child, Command};

const DEADLINE: Duration = Duration::from_secs(30);
const KEY: &str = "sk_test_localstripe";
const USER: &str = "user_local";

struct LocalStripe {
    client: Client,
    address: SocketAddr,
    _child: Child,
}

impl LocalStripe {
    async fn start(env: &TestEnv) -> Result<Self> {
        let [python] = installed("localstripe")?;
        let address = free_address()?;
        let log = std::fs::File::create(env.logs().join("localstripe.log"))?;
        let child = Command::new(python)
            .args([
                "-m",
                "localstripe",
                "--from-scratch",
                "--port",
                &address.port().to_string(),
            ])
            .current_dir(env.logs())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let client = Client::new(address, "");
        eventually(DEADLINE, "localstripe answers", async || {
            client.get("/v1/plans").await.map(drop)
        })
        .await;
        Ok(Self {
            client,
            address,
            _child: child,
        })
    }

    async fn ask(&self, method: Method, path: &str, form: &[(&str, &str)]) -> Result<Value> {
        let body = form
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("&");
        let bearer = format!("Bearer {KEY}");
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let answer = self.client.request(method, path, &headers, Bytes::from(body)).await?;
        ensure!(answer.status == 200, "{path}: {} {}", answer.status, answer.body);
        Ok(serde_json::from_str(&answer.body)?)
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<String> {
        let made = self.ask(Method::POST, path, form).await?;
        Ok(made["id"].as_str().context("no id")?.to_owned())
    }

    /// Registers the webhook endpoint of `pair` for all events.
    async fn sends_events_to(&self, pair: &Pair) -> Result<()> {
        let url = format!("http://{}/webhooks/stripe", pair.client.server());
        let hook = json!({"url": url, "secret": SECRET}).to_string();
        let headers = [("content-type", "application/json")];
        let path = "/_config/webhooks/tollbridge";
        let answer = self
            .client
            .request(Method::POST, path, &headers, Bytes::from(hook))
            .await?;
        ensure!(answer.status == 200, "{}", answer.body);
        Ok(())
    }

    /// Plans of products that the catalog has; returns their ids.
    async fn sells(&self) -> Result<[String; 2]> {
        let mut plans = Vec::new();
        for (tier, amount) in [("plus", "2000"), ("max", "4000")] {
            let (product, plan) = (format!("prod_{tier}"), format!("old_{tier}"));
            let named = self
                .post("/v1/products", &[("id", &product), ("name", tier), ("type", "service")])
                .await?;
            let plan = [
                ("id", plan.as_str()),
                ("product", named.as_str()),
                ("amount", amount),
                ("currency", "eur"),
                ("interval", "month"),
            ];
            plans.push(self.post("/v1/plans", &plan).await?);
        }
        plans.try_into().map_err(|_| anyhow::anyhow!("two plans"))
    }
}

async fn has(env: &TestEnv, what: &str, is_so: impl Fn(&Entitlement) -> bool) {
    eventually(DEADLINE, what, async || {
        let row = Entitlement::load(env.pool(), USER).await?.context("no row")?;
        ensure!(is_so(&row), "{row:?}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_life_that_localstripe_reports_in_part_ends_in_the_right_state() -> Result<()> {
    let env = TestEnv::new("localstripe").await?;
    let stripe = LocalStripe::start(&env).await?;
    let setup = Setup::default()
        .worker("STRIPE_SECRET_KEY", KEY)
        .worker("STRIPE_API_BASE", &format!("http://{}", stripe.address))
        .worker("BACKFILL_INTERVAL", "off")
        .worker("RECONCILE_INTERVAL", "off")
        .worker("RECONCILE_SETTLE", "100ms");
    let pair = Pair::start(&env, setup).await?;
    stripe.sends_events_to(&pair).await?;
    let [plus, max] = stripe.sells().await?;
    let card = [
        ("card[number]", "4242424242424242"),
        ("card[exp_month]", "12"),
        ("card[exp_year]", "2040"),
        ("card[cvc]", "123"),
    ];
    let token = stripe.post("/v1/tokens", &card).await?;
    let customer = stripe.post("/v1/customers", &[("source", &token)]).await?;
    let wish = [
        ("customer", customer.as_str()),
        ("items[0][plan]", &plus),
        ("metadata[user_id]", USER),
    ];
    let subscription = stripe.post("/v1/subscriptions", &wish).await?;
    has(&env, "it tells of the beginning", |row| {
        row.entitled && row.effective_tier == "plus"
    })
    .await;
    has(&env, "it tells of the payment", |row| row.ever_paid).await;

    // It sends no event for these.
    let path = format!("/v1/subscriptions/{subscription}");
    stripe
        .post(&path, &[("items[0][plan]", &max), ("cancel_at_period_end", "true")])
        .await?;
    // An event of the same second wins over Stripe's answer, so only the answer of a later second shows the change.
    let printed = eventually(DEADLINE, "it is found by comparing", async || {
        let printed = pair.operate(&["reconcile"]).await?;
        ensure!(printed.contains("price: old_plus here, old_max at Stripe"), "{printed}");
        Ok(printed)
    })
    .await;
    ensure!(
        printed.contains("cancel_at_period_end: false here, true at Stripe"),
        "{printed}"
    );
    has(&env, "what was compared counts", |row| {
        row.effective_tier == "max" && row.is_canceling
    })
    .await;

    stripe.ask(Method::DELETE, &path, &[]).await?;
    has(&env, "it tells of the end", |row| {
        !row.entitled && row.status == "canceled"
    })
    .await;
    let clean = pair.operate(&["reconcile"]).await?;
    ensure!(clean.contains("1 subscription at Stripe compared, 0 differ"), "{clean}");
    pair.operate(&["audit"]).await?;
    ensure!(pair.dead_letters(&[]).await?.is_empty());
    let refused: i64 = pair
        .ingest
        .metrics()
        .await?
        .sum("tollbridge_ingest_webhooks_total", &["outcome=\"signature\""]);
    ensure!(refused == 0, "{refused}");
    Ok(())
}
