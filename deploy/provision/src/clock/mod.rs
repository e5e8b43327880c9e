//! Test clocks: a customer whose months pass in seconds. Test mode only; Stripe's
//! page "Test clocks".

pub mod events;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::time::Duration;
use stripe_api::{Api, ApiError, Form, OperationKey, is_id};

/// How often an advancing clock is asked how far it is.
const ASK_EVERY: Duration = Duration::from_secs(2);
const CLOCKS: &str = "/test_helpers/test_clocks";

/// Who is to live on a new clock.
#[derive(Debug)]
pub struct Wanted<'a> {
    /// Where the clock begins, in seconds since 1970.
    pub at: i64,
    /// The price that is subscribed to, by its lookup key.
    pub lookup_key: &'a str,
    /// The application's id of the user.
    pub user: &'a str,
    /// Days of trial.
    pub trial_days: u32,
}

/// What was made.
#[derive(Debug)]
pub struct Made {
    /// `clock_…`
    pub clock: String,
    /// `cus_…`, with a card that pays.
    pub customer: String,
    /// `sub_…`
    pub subscription: String,
}

/// Makes a clock, a customer on it, and their subscription.
///
/// # Errors
/// What Stripe said; the clock, if it was made by then, is named, and goes with all that is on it.
pub async fn create(api: &Api, wanted: &Wanted<'_>) -> anyhow::Result<Made> {
    let price = price(api, wanted.lookup_key).await?;
    let name = format!("tollbridge {} of {}", wanted.lookup_key, wanted.user);
    let form = Form::new().with("frozen_time", &wanted.at).with("name", &cut(&name));
    let made = post(api, CLOCKS, &form).await.map_err(|error| {
        let doubt = if error.is_doubtful() {
            format!(
                "; one named '{}' may be there: look in the Dashboard, Test clocks",
                cut(&name)
            )
        } else {
            String::new()
        };
        anyhow::Error::new(error).context(format!("cannot make a clock{doubt}"))
    })?;
    let clock = id(&made)?;
    let rest = format!("the clock {clock} is there; `provision test-clock delete {clock}` removes it");
    let customer = Form::new()
        .with("test_clock", &clock)
        .with("payment_method", "pm_card_visa")
        .with("invoice_settings[default_payment_method]", "pm_card_visa")
        .with("metadata[user_id]", wanted.user);
    let customer = id(&post(api, "/customers", &customer).await.with_context(|| rest.clone())?)?;
    let mut form = Form::new()
        .with("customer", &customer)
        .with("items[0][price]", &price)
        .with("metadata[user_id]", wanted.user);
    if wanted.trial_days > 0 {
        form.push("trial_period_days", &wanted.trial_days);
    }
    let subscription = id(&post(api, "/subscriptions", &form).await.context(rest)?)?;
    Ok(Made {
        clock,
        customer,
        subscription,
    })
}

/// Stripe takes 300 characters.
fn cut(name: &str) -> String {
    name.chars().take(300).collect()
}

async fn price(api: &Api, lookup_key: &str) -> anyhow::Result<String> {
    let query = Form::new().with("lookup_keys[]", lookup_key).with("active", &true);
    let answer: Value = api.get("/prices", &query).await?.json()?;
    let price = answer["data"][0]["id"].as_str();
    let price =
        price.with_context(|| format!("Stripe has no active price with the lookup key {lookup_key}; apply first"))?;
    Ok(price.to_owned())
}

async fn post(api: &Api, path: &str, form: &Form) -> Result<Value, ApiError> {
    api.post(path, form, &OperationKey::fresh()?).await
}

fn id(object: &Value) -> anyhow::Result<String> {
    let id = object["id"].as_str().context("Stripe's answer has no id")?;
    Ok(id.to_owned())
}

/// Where a clock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its time, in seconds since 1970.
    pub at: i64,
    /// When it was made, by the real clock.
    pub created: i64,
    is_ready: bool,
}

/// Asks where a clock stands.
///
/// # Errors
/// What Stripe said, or that the clock broke.
pub async fn standing(api: &Api, clock: &str) -> anyhow::Result<Standing> {
    let answer: Value = api.get(&path(clock)?, &Form::new()).await?.json()?;
    let number = |field: &str| {
        answer[field]
            .as_i64()
            .with_context(|| format!("Stripe's clock has no {field}"))
    };
    let status = answer["status"].as_str().unwrap_or_default();
    ensure!(
        status != "internal_failure",
        "Stripe could not advance the clock {clock} (internal_failure); delete it"
    );
    Ok(Standing {
        at: number("frozen_time")?,
        created: number("created")?,
        is_ready: status == "ready",
    })
}

fn path(clock: &str) -> anyhow::Result<String> {
    ensure!(
        is_id(clock),
        "'{clock}' is no id of a test clock; it looks like clock_1A2b3C"
    );
    Ok(format!("{CLOCKS}/{clock}"))
}

/// Moves a clock on and waits until Stripe has done all that falls due until then.
///
/// # Errors
/// What Stripe said, or that it is not done in time.
pub async fn advance(
    api: &Api,
    clock: &str,
    to: i64,
    most: Duration,
    mut tell: impl FnMut(Duration),
) -> anyhow::Result<Standing> {
    let before = standing(api, clock).await?;
    ensure!(
        to > before.at,
        "the clock {clock} stands at {} already, and no clock goes back",
        crate::time::rfc3339(before.at)
    );
    if before.is_ready {
        let form = Form::new().with("frozen_time", &to);
        match post(api, &format!("{}/advance", path(clock)?), &form).await {
            // Where it stands, it tells itself.
            Err(error) if error.is_doubtful() => {}
            answer => drop(answer?),
        }
    }
    let began = tokio::time::Instant::now();
    loop {
        let now = standing(api, clock).await?;
        if now.is_ready {
            ensure!(
                now.at == to,
                "the clock {clock} stands at {}; advance it again",
                crate::time::rfc3339(now.at)
            );
            return Ok(now);
        }
        if began.elapsed() > most {
            bail!(
                "the clock {clock} still advances after {} s; look again later",
                most.as_secs()
            );
        }
        tell(began.elapsed());
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Deletes a clock, its customers and their subscriptions.
///
/// # Errors
/// What Stripe said.
pub async fn delete(api: &Api, clock: &str) -> anyhow::Result<()> {
    match api.delete(&path(clock)?).await {
        // An attempt before deleted it.
        Err(ApiError::Doubtful { then, .. }) if matches!(*then, ApiError::NotFound) => Ok(()),
        answer => answer.map(drop).map_err(Into::into),
    }
}
