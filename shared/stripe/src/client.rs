//! The client: it reads its settings, repeats failed requests, and keeps the limit of
//! requests per second.

use crate::{
    budget::Budget,
    error::ApiError,
    form::Form,
    limits::TIME_LIMIT,
    metrics::StripeRequest,
    path,
    read::{ApiAnswer, ReadClient},
    settings::{STRIPE_ACCOUNT, STRIPE_API_BASE, STRIPE_REQUESTS_PER_SECOND, STRIPE_SECRET_KEY},
    write::{self, OperationKey},
};
use hyper::header::HeaderValue;
use serde_json::Value;
use shared::{
    reconnect::Reconnect,
    settings::{Secret, SettingError, Settings},
};
use std::time::Duration;
use stripe::{Client, ClientBuilder};

/// How long a failing request is repeated.
const REPEAT_MAX: Duration = Duration::from_mins(1);

/// Stripe's API. Its `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    reader: ReadClient,
    budget: Budget,
    key_mode: Option<KeyMode>,
}

/// Which of Stripe's modes a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// Test mode: no money moves.
    Test,
    /// Live mode.
    Live,
}

impl KeyMode {
    fn of(key: &str) -> Option<Self> {
        let rest = key.strip_prefix("sk_").or_else(|| key.strip_prefix("rk_"))?;
        match rest.split_once('_')?.0 {
            "test" => Some(Self::Test),
            "live" => Some(Self::Live),
            _ => None,
        }
    }
}

impl Api {
    /// A client, if `STRIPE_SECRET_KEY` is set.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, SettingError> {
        let base = settings.get(&STRIPE_API_BASE)?;
        let per_second = settings.get(&STRIPE_REQUESTS_PER_SECOND)?;
        let Some(key) = settings.find(&STRIPE_SECRET_KEY)? else {
            return Ok(None);
        };
        let bearer = header_of(&key)?;
        // The client appends its paths to the base as it is.
        let client = ClientBuilder::new(key.expose())
            .timeout(TIME_LIMIT)
            .url(base.clone())
            .build()
            .map_err(|error| STRIPE_API_BASE.error(error.to_string()))?;
        Ok(Some(Self {
            client,
            reader: ReadClient::new(base, bearer),
            budget: Budget::new(per_second),
            key_mode: KeyMode::of(key.expose()),
        }))
    }

    /// The same client, which reads from a connected account. It writes to the key's own.
    ///
    /// # Errors
    /// If `account` is no id.
    pub fn on_account(self, account: &str) -> Result<Self, SettingError> {
        let header = HeaderValue::try_from(account).map_err(|_| STRIPE_ACCOUNT.error("is not an id"))?;
        let reader = self.reader.on_account(header);
        Ok(Self { reader, ..self })
    }

    /// The mode of its key. `None` if the key does not show its mode.
    #[must_use]
    pub fn key_mode(&self) -> Option<KeyMode> {
        self.key_mode
    }

    /// Sends a `GET` once; the caller decides whether to repeat it. `path` begins with a
    /// slash and is appended to `/v1`.
    pub async fn get_once(&self, path: &str, query: &Form) -> Result<ApiAnswer, ApiError> {
        self.budget.turn().await;
        let mut request = StripeRequest::begin();
        let answer = self.reader.get(path, query).await;
        request.outcome = answer.as_ref().err().map_or("ok", ApiError::label);
        answer
    }

    /// Sends a `GET`. Repeats it for up to a minute while [`ApiError::is_temporary`].
    pub async fn get(&self, path: &str, query: &Form) -> Result<ApiAnswer, ApiError> {
        let mut pauses = Reconnect::new(Some(REPEAT_MAX));
        loop {
            match self.get_once(path, query).await {
                Err(error) if error.is_temporary() => pause_before_repeat(&mut pauses, error).await?,
                answer => return answer,
            }
        }
    }

    /// Reads a subscription, with one request.
    pub async fn subscription_once(&self, id: &str) -> Result<ApiAnswer, ApiError> {
        self.get_once(&path::subscription(id)?, &Form::new()).await
    }

    /// Reads a subscription, with the repetitions of [`get`](Self::get).
    pub async fn subscription(&self, id: &str) -> Result<ApiAnswer, ApiError> {
        self.get(&path::subscription(id)?, &Form::new()).await
    }

    /// Sends a `POST`, with the same key in all repetitions. A status of 500 is not
    /// repeated: Stripe repeats that answer for the same key for 24 hours (API reference,
    /// "Idempotent requests"). The caller must read the object, then use a new key.
    pub async fn post(&self, path: &str, form: &Form, key: &OperationKey) -> Result<Value, ApiError> {
        let is_last = |error: &ApiError| matches!(error, ApiError::Status { status: 500, .. });
        self.write(async || write::post(&self.client, path, form, key).await, is_last)
            .await
    }

    /// Sends a `DELETE`. A repetition does no harm.
    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.write(async || write::delete(&self.client, path).await, |_| false)
            .await
    }

    /// Repeats `attempt` until it succeeds, the error is not temporary, `is_last` is true
    /// for the error, or the time is over. If one attempt may have taken effect, the
    /// returned error is doubtful too.
    async fn write(
        &self,
        attempt: impl AsyncFn() -> Result<Value, ApiError>,
        is_last: impl Fn(&ApiError) -> bool,
    ) -> Result<Value, ApiError> {
        let mut pauses = Reconnect::new(Some(REPEAT_MAX));
        let mut doubt = None;
        loop {
            self.budget.turn().await;
            let mut request = StripeRequest::begin();
            let answer = attempt().await;
            request.outcome = answer.as_ref().err().map_or("ok", ApiError::label);
            let Err(error) = answer else {
                return answer;
            };
            if !error.is_temporary() || is_last(&error) {
                return Err(error.after(doubt));
            }
            let Some(pause) = pauses.next_pause() else {
                return Err(error.after(doubt));
            };
            wait(pause, &error).await;
            doubt = doubt.or_else(|| error.is_doubtful().then_some(error));
        }
    }
}

/// Pauses before the next try.
///
/// # Errors
/// Returns `error` if there must be no other try: the time is over, or Stripe asks for a
/// longer pause than that.
async fn pause_before_repeat(pauses: &mut Reconnect, error: ApiError) -> Result<(), ApiError> {
    if error.retry_after() > REPEAT_MAX {
        return Err(error);
    }
    let Some(pause) = pauses.next_pause() else {
        return Err(error);
    };
    wait(pause, &error).await;
    Ok(())
}

async fn wait(pause: Duration, error: &ApiError) {
    tracing::debug!(%error, "Stripe is asked again");
    tokio::time::sleep(pause.max(error.retry_after())).await;
}

fn header_of(key: &Secret) -> Result<HeaderValue, SettingError> {
    let key = key.expose();
    let is_key = (key.starts_with("sk_") || key.starts_with("rk_")) && key.bytes().all(|b| b.is_ascii_graphic());
    let header = if is_key {
        HeaderValue::try_from(format!("Bearer {key}")).ok()
    } else {
        None
    };
    header.ok_or_else(|| {
        STRIPE_SECRET_KEY.error("is not a secret key of Stripe's; it starts with sk_, or rk_ if it is restricted")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "STRIPE_SECRET_KEY";
    const BASE: &str = "STRIPE_API_BASE";

    fn refused(pairs: &[(&str, &str)]) -> String {
        let api = Api::from_settings(&Settings::from_pairs(pairs));
        api.expect_err("must be refused").to_string()
    }

    #[test]
    fn there_is_a_client_if_there_is_a_key() {
        for (pairs, expected) in [
            (&[][..], false),
            (&[(BASE, "http://127.0.0.1:1")], false),
            (&[(KEY, "sk_test_hush")], true),
            (
                &[(KEY, "rk_live_hush"), (BASE, "https://stripe.example.com/stand-in/")],
                true,
            ),
        ] {
            let api = Api::from_settings(&Settings::from_pairs(pairs)).expect("can be used");
            assert_eq!(api.is_some(), expected, "{pairs:?}");
            assert!(!format!("{api:?}").contains("hush"), "{api:?}");
        }
    }

    #[test]
    fn what_is_no_key_and_what_is_no_url_is_refused_by_name_and_not_shown() {
        for key in ["pk_test_hush", "whsec_hush", "hush", "sk_hu sh", "sk_hüsh"] {
            let error = refused(&[(KEY, key)]);
            assert!(
                error.starts_with("STRIPE_SECRET_KEY: is not") && !error.contains(key),
                "{error}"
            );
        }
        for base in ["stripe.com", "ftp://stripe.com", "https://", "http://a b"] {
            let error = refused(&[(KEY, "sk_test_1"), (BASE, base)]);
            assert!(error.starts_with("STRIPE_API_BASE: "), "{error}");
        }
    }

    #[test]
    fn a_key_tells_its_mode() {
        for (key, mode) in [
            ("sk_test_1", Some(KeyMode::Test)),
            ("rk_live_1", Some(KeyMode::Live)),
            ("sk_1", None),
            ("pk_test_1", None),
        ] {
            assert_eq!(KeyMode::of(key), mode, "{key}");
        }
    }
}
