//! The client: settings, repetition, and what each request costs.

use crate::{
    budget::Budget,
    error::ApiError,
    form::Form,
    limits::TIME_LIMIT,
    metrics::StripeRequest,
    path,
    read::{Answer, Reader},
    settings::{STRIPE_API_BASE, STRIPE_REQUESTS_PER_SECOND, STRIPE_SECRET_KEY},
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

/// How long a request that fails for a passing reason is repeated.
const PATIENCE: Duration = Duration::from_mins(1);

/// Stripe's API. Its `Debug` shows no key.
#[derive(Debug, Clone)]
pub struct Api {
    client: Client,
    reader: Reader,
    budget: Budget,
    key_mode: Option<KeyMode>,
}

/// Which of Stripe's modes a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMode {
    /// No money moves.
    Test,
    /// Money moves.
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
            reader: Reader::new(base, bearer),
            budget: Budget::new(per_second),
            key_mode: KeyMode::of(key.expose()),
        }))
    }

    /// The mode of its key; none of a key whose mode cannot be told.
    #[must_use]
    pub fn key_mode(&self) -> Option<KeyMode> {
        self.key_mode
    }

    /// `GET`, once: who asks decides about another time. `path` is below `/v1`.
    pub async fn get_once(&self, path: &str, query: &Form) -> Result<Answer, ApiError> {
        self.budget.turn().await;
        let mut request = StripeRequest::begin();
        let answer = self.reader.get(path, query).await;
        request.outcome = answer.as_ref().err().map_or("ok", ApiError::label);
        answer
    }

    /// `GET`, again and again while it fails for a passing reason, a minute at the most.
    pub async fn get(&self, path: &str, query: &Form) -> Result<Answer, ApiError> {
        let mut pauses = Reconnect::new(Some(PATIENCE));
        loop {
            match self.get_once(path, query).await {
                Err(error) if error.passes() => rest(&mut pauses, error).await?,
                answer => return answer,
            }
        }
    }

    /// How a subscription stands, asked once.
    pub async fn subscription_once(&self, id: &str) -> Result<Answer, ApiError> {
        self.get_once(&path::subscription(id)?, &Form::new()).await
    }

    /// How a subscription stands.
    pub async fn subscription(&self, id: &str) -> Result<Answer, ApiError> {
        self.get(&path::subscription(id)?, &Form::new()).await
    }

    /// `POST`, with the operation's key kept over its repetitions. After a 500 it
    /// is not repeated: Stripe would say the same again for a day, whatever
    /// happened. The caller looks at the object, and makes a fresh key.
    pub async fn post(&self, path: &str, form: &Form, key: &OperationKey) -> Result<Value, ApiError> {
        let is_last = |error: &ApiError| matches!(error, ApiError::Status { status: 500, .. });
        self.write(async || write::post(&self.client, path, form, key).await, is_last)
            .await
    }

    /// `DELETE`, which may be repeated: what is gone stays gone.
    pub async fn delete(&self, path: &str) -> Result<Value, ApiError> {
        self.write(async || write::delete(&self.client, path).await, |_| false)
            .await
    }

    /// Tries until it is done, or fails for a reason that does not pass, or that `is_last`. The error
    /// is doubtful if any attempt's was.
    async fn write(
        &self,
        attempt: impl AsyncFn() -> Result<Value, ApiError>,
        is_last: impl Fn(&ApiError) -> bool,
    ) -> Result<Value, ApiError> {
        let mut pauses = Reconnect::new(Some(PATIENCE));
        let mut doubt = None;
        loop {
            self.budget.turn().await;
            let mut request = StripeRequest::begin();
            let answer = attempt().await;
            request.outcome = answer.as_ref().err().map_or("ok", ApiError::label);
            let Err(error) = answer else {
                return answer;
            };
            let pause = pauses.next_pause().filter(|_| error.passes() && !is_last(&error));
            let Some(pause) = pause else {
                return Err(error.after(doubt));
            };
            wait(pause, &error).await;
            doubt = doubt.or_else(|| error.is_doubtful().then_some(error));
        }
    }
}

/// Rests before another try, or gives the error back if there is to be none.
async fn rest(pauses: &mut Reconnect, error: ApiError) -> Result<(), ApiError> {
    let Some(pause) = pauses.next_pause().filter(|_| error.retry_after() <= PATIENCE) else {
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
