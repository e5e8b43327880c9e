//! An answer of the stand-in.

use super::stripe_error::StripeError;
use anyhow::Result;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use time::OffsetDateTime;
use time::macros::format_description;

/// An answer, without the headers that every answer has.
#[derive(Debug, Clone)]
pub(super) struct StandInReply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Bytes,
}

impl StandInReply {
    pub(super) fn json(status: u16, body: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: "application/json",
            body: Bytes::from(body),
        }
    }

    pub(super) fn refuse(error: &StripeError) -> Self {
        Self::json(error.status, error.body().to_string())
    }

    /// The answer of a proxy that does not reach Stripe.
    pub(super) fn bad_gateway() -> Self {
        Self {
            content_type: "text/html",
            ..Self::json(502, "<html><body><h1>502 Bad Gateway</h1></body></html>".to_owned())
        }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The same answer for a repeated request.
    pub(super) fn again(&self) -> Self {
        self.clone().with("idempotent-replayed", "true")
    }

    /// The HTTP response, with `now` (Unix time) as its date.
    pub(super) fn response(self, now: i64) -> Result<Response<Full<Bytes>>> {
        let date =
            format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
        let date = OffsetDateTime::from_unix_timestamp(now)?.format(date)?;
        let response = Response::builder()
            .status(self.status)
            .header("content-type", self.content_type)
            .header("date", date);
        let headers = self.headers.into_iter();
        let response = headers.fold(response, |response, (name, value)| response.header(name, value));
        Ok(response.body(Full::new(self.body))?)
    }
}
