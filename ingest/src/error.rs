//! Why a request is not accepted, and how it is answered instead.

use crate::{body::BodyError, envelope::NotAnEvent, signature};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::{publisher::PublishError, usage::UsageError};

/// Work goes on within 5 s of the broker's return; Stripe has a schedule of its own.
const RETRY_AFTER_SECONDS: u16 = 5;

/// A request that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The body did not come as it should.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Not signed as it should be.
    #[error(transparent)]
    Signature(#[from] signature::Refusal),
    /// Signed, but not an event.
    #[error(transparent)]
    NotAnEvent(#[from] NotAnEvent),
    /// An event that is not known to be stored.
    #[error(transparent)]
    NotPublished(#[from] PublishError),
    /// Without the token that reports of use need.
    #[error("the bearer token is missing or wrong")]
    Unauthorized,
    /// Neither a CloudEvents event nor a batch, by its content type.
    #[error("the content type must be application/cloudevents+json or application/cloudevents-batch+json")]
    MediaType,
    /// Not a report of use.
    #[error(transparent)]
    Usage(#[from] UsageError),
    /// More events than a batch may have.
    #[error("the batch holds more than {} events; send it in parts", crate::usage::EVENTS_MOST)]
    BatchTooLong,
    /// No such path.
    #[error("not found")]
    NotFound,
    /// The path is there, for POST only.
    #[error("only POST is allowed here")]
    MethodNotAllowed,
}

impl Refusal {
    /// Every [`reason`](Self::reason).
    pub const REASONS: [&'static str; 20] = [
        "body_too_large",
        "body_too_slow",
        "body_broken",
        "signature_missing",
        "signature_too_long",
        "signature_malformed",
        "signature_none",
        "signature_mismatch",
        "signature_stale",
        "not_json",
        "event_fields",
        "event_id",
        "event_type",
        "not_published",
        "unauthorized",
        "media_type",
        "usage_event",
        "batch_too_long",
        "not_found",
        "method_not_allowed",
    ];

    /// The answer's status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Body(BodyError::TooLarge) | Self::BatchTooLong => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken) | Self::Signature(_) | Self::NotAnEvent(_) | Self::Usage(_) => {
                StatusCode::BAD_REQUEST
            }
            Self::NotPublished(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The reason in metrics.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Body(BodyError::TooLarge) => "body_too_large",
            Self::Body(BodyError::TooSlow) => "body_too_slow",
            Self::Body(BodyError::Broken) => "body_broken",
            Self::Signature(signature::Refusal::Missing) => "signature_missing",
            Self::Signature(signature::Refusal::TooLong) => "signature_too_long",
            Self::Signature(signature::Refusal::Malformed) => "signature_malformed",
            Self::Signature(signature::Refusal::NoSignature) => "signature_none",
            Self::Signature(signature::Refusal::Mismatch) => "signature_mismatch",
            Self::Signature(signature::Refusal::Stale) => "signature_stale",
            Self::NotAnEvent(NotAnEvent::NotJson) => "not_json",
            Self::NotAnEvent(NotAnEvent::Fields) => "event_fields",
            Self::NotAnEvent(NotAnEvent::Id) => "event_id",
            Self::NotAnEvent(NotAnEvent::Type) => "event_type",
            Self::NotPublished(_) => "not_published",
            Self::Unauthorized => "unauthorized",
            Self::MediaType => "media_type",
            Self::Usage(_) => "usage_event",
            Self::BatchTooLong => "batch_too_long",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    /// What the client is told. Never the content of its request, and of our
    /// own side no more than that it should come again.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NotPublished(_) => "cannot take events right now; send it again".to_owned(),
            other => other.to_string(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = json(self.status(), &serde_json::json!({ "error": self.message() }));
        let headers = response.headers_mut();
        match self {
            Self::NotPublished(_) => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            }
            Self::MethodNotAllowed => {
                headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            Self::Unauthorized => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        // Bytes may still be on their way: this connection is not for another request.
        if matches!(self, Self::Body(_) | Self::Unauthorized | Self::MediaType) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A short JSON answer.
#[must_use]
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use BodyError::{Broken, TooLarge, TooSlow};
    use NotAnEvent::{Fields, Id, NotJson, Type};
    use signature::Refusal::{Malformed, Mismatch, Missing, NoSignature, Stale, TooLong};

    fn all() -> Vec<(Refusal, u16)> {
        let mut all: Vec<(Refusal, u16)> = vec![
            (TooLarge.into(), 413),
            (TooSlow.into(), 408),
            (Broken.into(), 400),
            (Refusal::Unauthorized, 401),
            (Refusal::MediaType, 415),
            (Refusal::BatchTooLong, 413),
            (UsageError::new("data.amount", "is missing").into(), 400),
            (Refusal::NotFound, 404),
            (Refusal::MethodNotAllowed, 405),
        ];
        all.extend([Missing, TooLong, Malformed, NoSignature, Mismatch, Stale].map(|r| (r.into(), 400)));
        all.extend([NotJson, Fields, Id, Type].map(|r| (r.into(), 400)));
        all.extend(
            [
                PublishError::Unavailable,
                PublishError::Blocked,
                PublishError::Overloaded,
                PublishError::Returned,
                PublishError::Nacked,
                PublishError::TimedOut,
                PublishError::Failed("amqp://u:hush@host".to_owned()),
            ]
            .map(|r| (r.into(), 503)),
        );
        all
    }

    #[tokio::test]
    async fn every_refusal_has_its_status_and_one_short_json_object() {
        for (refusal, status) in all() {
            let response = refusal.clone().into_response();
            assert_eq!(response.status().as_u16(), status, "{refusal:?}");
            assert_eq!(response.headers()["content-type"], "application/json");
            assert_eq!(
                response.headers().contains_key("retry-after"),
                status == 503,
                "{refusal:?}"
            );
            assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
            let body = axum::body::to_bytes(response.into_body(), 200).await.expect("short");
            let body: serde_json::Value = serde_json::from_slice(&body).expect("JSON");
            assert_eq!(body, serde_json::json!({ "error": refusal.message() }));
            assert!(!body.to_string().contains("hush"), "{body}");
        }
    }

    #[test]
    fn every_reason_is_listed_once_so_that_it_shows_as_zero() {
        let mut reasons: Vec<_> = all().iter().map(|(refusal, _)| refusal.reason()).collect();
        reasons.dedup();
        reasons.sort_unstable();
        let mut listed = Refusal::REASONS.to_vec();
        listed.sort_unstable();
        assert_eq!(reasons, listed);
    }
}
