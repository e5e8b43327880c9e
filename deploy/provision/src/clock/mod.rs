//! Test clocks let months pass in seconds for a customer, in test mode only (Stripe's page
//! "Test clocks").

pub mod events;

use anyhow::{Context, bail, ensure};
use serde_json::Value;
use std::time::Duration;
use stripe_api::{Api, ApiError, Form, OperationKey, is_id};

/// Pause between two requests for the state of an advancing clock.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Most characters in the name of a clock (Stripe's API reference, "Create a test clock").
const NAME_CHARS_MAX: usize = 300;
const CLOCKS: &str = "/test_helpers/test_clocks";

/// The customer and the subscription to create on a new clock.
#[derive(Debug)]
pub struct ClockSpec<'a> {
    /// The clock's first time, in seconds since 1970.
    pub at: i64,
    /// The lookup key of the subscription's price.
    pub lookup_key: &'a str,
    /// The application's user id.
    pub user: &'a str,
    /// Days of trial; 0 for none.
    pub trial_days: u32,
}

/// The ids of the created objects.
#[derive(Debug)]
pub struct ClockObjects {
    /// `clock_…`
    pub clock: String,
    /// `cus_…`; its card always pays.
    pub customer: String,
    /// `sub_…`
    pub subscription: String,
}

/// Creates a clock, a customer on it, and the customer's subscription.
///
/// # Errors
/// Stripe's answer, if a request fails. If the clock exists by then, the error names it and how to
/// delete it.
pub async fn create(api: &Api, wanted: &ClockSpec<'_>) -> anyhow::Result<ClockObjects> {
    let price = price(api, wanted.lookup_key).await?;
    let name = format!("tollbridge {} of {}", wanted.lookup_key, wanted.user);
    let form = Form::new().with("frozen_time", &wanted.at).with("name", &cut(&name));
    let made = post(api, CLOCKS, &form).await.map_err(|error| {
        let doubt = if error.is_doubtful() {
            format!(
                "; one named '{}' may exist: look in the Dashboard, Test clocks",
                cut(&name)
            )
        } else {
            String::new()
        };
        anyhow::Error::new(error).context(format!("cannot create a clock{doubt}"))
    })?;
    let clock = id(&made)?;
    let cleanup = format!("the clock {clock} exists; `provision test-clock delete {clock}` removes it");
    let customer = Form::new()
        .with("test_clock", &clock)
        .with("payment_method", "pm_card_visa")
        .with("invoice_settings[default_payment_method]", "pm_card_visa")
        .with("metadata[user_id]", wanted.user);
    let customer = id(&post(api, "/customers", &customer)
        .await
        .with_context(|| cleanup.clone())?)?;
    let mut form = Form::new()
        .with("customer", &customer)
        .with("items[0][price]", &price)
        .with("metadata[user_id]", wanted.user);
    if wanted.trial_days > 0 {
        form.push("trial_period_days", &wanted.trial_days);
    }
    let subscription = id(&post(api, "/subscriptions", &form).await.context(cleanup)?)?;
    Ok(ClockObjects {
        clock,
        customer,
        subscription,
    })
}

/// Cuts a name to Stripe's limit.
fn cut(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

async fn price(api: &Api, lookup_key: &str) -> anyhow::Result<String> {
    let query = Form::new().with("lookup_keys[]", lookup_key).with("active", &true);
    let answer: Value = api.get("/prices", &query).await?.json()?;
    let price = answer["data"][0]["id"].as_str();
    let price = price
        .with_context(|| format!("Stripe has no active price with the lookup key {lookup_key}; run apply first"))?;
    Ok(price.to_owned())
}

async fn post(api: &Api, path: &str, form: &Form) -> Result<Value, ApiError> {
    api.post(path, form, &OperationKey::fresh()?).await
}

fn id(object: &Value) -> anyhow::Result<String> {
    let id = object["id"].as_str().context("Stripe's answer has no id")?;
    Ok(id.to_owned())
}

/// The state of a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockState {
    /// The clock's time, in seconds since 1970.
    pub at: i64,
    /// When it was created, in real seconds since 1970.
    pub created: i64,
    is_ready: bool,
}

/// Asks Stripe for the state of a clock.
///
/// # Errors
/// Stripe's answer, if the request fails; also if an advance of the clock failed.
pub async fn state(api: &Api, clock: &str) -> anyhow::Result<ClockState> {
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
    Ok(ClockState {
        at: number("frozen_time")?,
        created: number("created")?,
        is_ready: status == "ready",
    })
}

fn path(clock: &str) -> anyhow::Result<String> {
    ensure!(
        is_id(clock),
        "'{clock}' is not the id of a test clock; such an id looks like clock_1A2b3C"
    );
    Ok(format!("{CLOCKS}/{clock}"))
}

/// Advances a clock to the time `to`, in seconds since 1970, and waits until Stripe has done
/// everything that is due by then. Calls `progress` with the time since the beginning.
///
/// # Errors
/// Stripe's answer, if a request fails; also if the advance takes longer than `time_max`.
pub async fn advance(
    api: &Api,
    clock: &str,
    to: i64,
    time_max: Duration,
    mut progress: impl FnMut(Duration),
) -> anyhow::Result<ClockState> {
    let before = state(api, clock).await?;
    ensure!(
        to > before.at,
        "the clock {clock} is already at {}, and a clock cannot go back",
        crate::time::rfc3339(before.at)
    );
    if before.is_ready {
        let form = Form::new().with("frozen_time", &to);
        match post(api, &format!("{}/advance", path(clock)?), &form).await {
            // The state of the clock shows whether Stripe took the request.
            Err(error) if error.is_doubtful() => {}
            answer => drop(answer?),
        }
    }
    let began = tokio::time::Instant::now();
    loop {
        let now = state(api, clock).await?;
        if now.is_ready {
            ensure!(
                now.at == to,
                "the clock {clock} is at {}; advance it again",
                crate::time::rfc3339(now.at)
            );
            return Ok(now);
        }
        if began.elapsed() > time_max {
            bail!(
                "the clock {clock} is still advancing after {} s; look again later",
                time_max.as_secs()
            );
        }
        progress(began.elapsed());
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Deletes a clock, its customers and their subscriptions.
///
/// # Errors
/// Stripe's answer, if the request fails.
pub async fn delete(api: &Api, clock: &str) -> anyhow::Result<()> {
    match api.delete(&path(clock)?).await {
        // An earlier attempt deleted it.
        Err(ApiError::Doubtful { then, .. }) if matches!(*then, ApiError::NotFound) => Ok(()),
        answer => answer.map(drop).map_err(Into::into),
    }
}
