//! Reads from Stripe with a client of our own, for three reasons. async-stripe's client
//! drops the headers of an answer; we need `Date` (the time of the state that we read) and
//! `Retry-After`. It opens a connection for each request. And its typed answers refuse
//! the shapes of other API versions.

use crate::{
    error::{ApiError, ErrorBody},
    form::Form,
    limits::TIME_LIMIT,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, Request, Response, Uri, body::Bytes, body::Incoming, header, header::HeaderValue};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use serde::Deserialize;
use std::time::{Duration, Instant};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};

/// Most bytes of an answer. A page of 100 subscriptions has some hundred KB.
const BODY_BYTES_MAX: usize = 64 << 20;
/// A connection that is idle for this long is closed.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// An answer of Stripe's, and the time that it is about.
#[derive(Debug, Clone)]
pub struct ApiAnswer {
    /// The body: JSON.
    pub body: Bytes,
    /// A time at which the body was true, in seconds since 1970 by Stripe's clock: the last
    /// whole second before the request. An object on a page may change before Stripe sends
    /// the page, so the answer's `Date` would be too late.
    pub at: i64,
}

impl ApiAnswer {
    /// Reads the body as a `T`.
    ///
    /// # Errors
    /// If it is not JSON of this shape.
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.body).map_err(|error| ApiError::Unavailable(format!("its JSON: {error}")))
    }
}

/// The version of Stripe's API that all requests ask for. async-stripe defines it.
#[must_use]
pub fn version() -> &'static str {
    stripe_client_core::VERSION.as_str()
}

/// Sends `GET` requests.
#[derive(Debug, Clone)]
pub(crate) struct ReadClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    base: String,
    key: HeaderValue,
    /// The connected account to read from.
    account: Option<HeaderValue>,
}

impl ReadClient {
    /// `base` must end with a slash.
    pub(crate) fn new(base: String, mut key: HeaderValue) -> Self {
        key.set_sensitive(true);
        let connector = HttpsConnectorBuilder::new()
            .with_webpki_roots()
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_MAX)
            .build(connector);
        Self {
            client,
            base,
            key,
            account: None,
        }
    }

    /// The same client, which reads from a connected account (Stripe's page "Making API calls
    /// for connected accounts").
    pub(crate) fn on_account(mut self, account: HeaderValue) -> Self {
        self.account = Some(account);
        self
    }

    pub(crate) async fn get(&self, path: &str, query: &Form) -> Result<ApiAnswer, ApiError> {
        let request = self.request(path, query)?;
        let sent = Instant::now();
        let answered = async {
            let response = self.client.request(request).await.map_err(|e| unavailable(&e))?;
            read(response, sent.elapsed()).await
        };
        tokio::time::timeout(TIME_LIMIT, answered)
            .await
            .unwrap_or(Err(ApiError::TooSlow))
    }

    fn request(&self, path: &str, query: &Form) -> Result<Request<Full<Bytes>>, ApiError> {
        let query = query.encoded().map(|query| format!("?{query}")).unwrap_or_default();
        let uri: Uri = format!("{}v1{path}{query}", self.base)
            .parse()
            .map_err(|_| ApiError::NoId)?;
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(uri)
            .header(header::AUTHORIZATION, self.key.clone())
            .header(header::USER_AGENT, concat!("Tollbridge/", env!("CARGO_PKG_VERSION")))
            .header("stripe-version", version());
        if let Some(account) = &self.account {
            request = request.header("stripe-account", account.clone());
        }
        request.body(Full::default()).map_err(|e| unavailable(&e))
    }
}

async fn read(response: Response<Incoming>, took: Duration) -> Result<ApiAnswer, ApiError> {
    let (head, body) = response.into_parts();
    let text = |name| {
        head.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let at = text(header::DATE).and_then(|date| OffsetDateTime::parse(date, &Rfc2822).ok());
    let retry_after = text(header::RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    let body = body.map_err(|e| unavailable(e.as_ref()))?.to_bytes();
    if !head.status.is_success() {
        let error = serde_json::from_slice(&body).map(|ErrorAnswer { error }| error);
        let wait = retry_after.map(Duration::from_secs);
        return Err(ApiError::answered(
            head.status.as_u16(),
            error.unwrap_or_default(),
            wait,
        ));
    }
    let at = at.ok_or_else(|| ApiError::Unavailable("it has no Date".to_owned()))?;
    Ok(ApiAnswer {
        body,
        at: asked_at(at.unix_timestamp(), took),
    })
}

/// The last whole second before the request whose answer has this `Date`.
fn asked_at(date: i64, took: Duration) -> i64 {
    let took_s = i64::try_from(took.as_secs()).unwrap_or(i64::MAX);
    date.saturating_sub(took_s).saturating_sub(1)
}

#[derive(Deserialize)]
struct ErrorAnswer {
    error: ErrorBody,
}

/// An error with all its sources: the texts of hyper's errors leave out the cause.
fn unavailable(error: &(dyn std::error::Error + 'static)) -> ApiError {
    let chain = std::iter::successors(Some(error), |error| error.source());
    let words: Vec<String> = chain.map(ToString::to_string).collect();
    ApiError::Unavailable(words.join(": "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_date_of_an_answer_is_read() {
        let at = OffsetDateTime::parse("Wed, 25 Nov 2026 15:52:36 GMT", &Rfc2822).expect("as HTTP writes it");
        assert_eq!(at.unix_timestamp(), 1_795_621_956);
        for (took_ms, expected) in [(0, 99), (999, 99), (1_000, 98), (2_500, 97)] {
            assert_eq!(asked_at(100, Duration::from_millis(took_ms)), expected, "{took_ms}");
        }
    }
}
