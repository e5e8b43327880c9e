//! What is sent back.

use super::refusal::Refusal;
use anyhow::Result;
use http_body_util::Full;
use hyper::Response;
use hyper::body::Bytes;
use time::OffsetDateTime;
use time::macros::format_description;

/// An answer before its headers that every answer has.
#[derive(Debug, Clone)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    content_type: &'static str,
    body: Bytes,
}

impl Reply {
    pub(super) fn json(status: u16, body: String) -> Self {
        Self {
            status,
            headers: Vec::new(),
            content_type: "application/json",
            body: Bytes::from(body),
        }
    }

    pub(super) fn refuse(refusal: &Refusal) -> Self {
        Self::json(refusal.status, refusal.body().to_string())
    }

    /// What a proxy says when Stripe is not there.
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

    /// The same for a request that is repeated.
    pub(super) fn again(&self) -> Self {
        self.clone().with("idempotent-replayed", "true")
    }

    /// As HTTP, sent at `now` (Unix time).
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
