//! Why a request is refused, and its answer.

use crate::{body::BodyError, envelope::NotAnEvent, signature::SignatureError, usage::UsageRefusal};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use shared::publisher::PublishError;

/// The process reconnects within 5 s after the broker is back. Stripe repeats on its own
/// schedule (Stripe's page "Webhooks").
const RETRY_AFTER_SECONDS: u16 = 5;

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestRefusal {
    /// The body is too large, too slow or incomplete.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The signature is not valid.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The body is signed, but it is not an event.
    #[error(transparent)]
    NotAnEvent(#[from] NotAnEvent),
    /// The broker did not confirm that it stored the event.
    #[error(transparent)]
    NotPublished(#[from] PublishError),
    /// A usage report came without the right token.
    #[error("the bearer token is missing or wrong")]
    Unauthorized,
    /// The body is not a usage report or a batch of them.
    #[error(transparent)]
    Usage(#[from] UsageRefusal),
    /// There is no such path.
    #[error("not found")]
    NotFound,
    /// The path exists, but only for POST.
    #[error("only POST is allowed here")]
    MethodNotAllowed,
}

impl RequestRefusal {
    /// All values of [`reason`](Self::reason).
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

    /// The status of the answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Body(BodyError::TooLarge) | Self::Usage(UsageRefusal::BatchTooLong) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(BodyError::TooSlow) => StatusCode::REQUEST_TIMEOUT,
            Self::Body(BodyError::Broken)
            | Self::Signature(_)
            | Self::NotAnEvent(_)
            | Self::Usage(UsageRefusal::Event(_)) => StatusCode::BAD_REQUEST,
            Self::NotPublished(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Usage(UsageRefusal::MediaType) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        }
    }

    /// The value of the label `reason` in metrics and logs.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Body(BodyError::TooLarge) => "body_too_large",
            Self::Body(BodyError::TooSlow) => "body_too_slow",
            Self::Body(BodyError::Broken) => "body_broken",
            Self::Signature(SignatureError::Missing) => "signature_missing",
            Self::Signature(SignatureError::TooLong) => "signature_too_long",
            Self::Signature(SignatureError::Malformed) => "signature_malformed",
            Self::Signature(SignatureError::NoSignature) => "signature_none",
            Self::Signature(SignatureError::Mismatch) => "signature_mismatch",
            Self::Signature(SignatureError::Stale) => "signature_stale",
            Self::NotAnEvent(NotAnEvent::NotJson) => "not_json",
            Self::NotAnEvent(NotAnEvent::Fields) => "event_fields",
            Self::NotAnEvent(NotAnEvent::Id) => "event_id",
            Self::NotAnEvent(NotAnEvent::Type) => "event_type",
            Self::NotPublished(_) => "not_published",
            Self::Unauthorized => "unauthorized",
            Self::Usage(UsageRefusal::MediaType) => "media_type",
            Self::Usage(UsageRefusal::Event(_)) => "usage_event",
            Self::Usage(UsageRefusal::BatchTooLong) => "batch_too_long",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
        }
    }

    /// The text of the answer. It repeats nothing of the request, and of a problem with the
    /// broker it says only that the client must send the event again.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NotPublished(_) => "cannot accept events at the moment; send the request again".to_owned(),
            other => other.to_string(),
        }
    }
}

impl IntoResponse for RequestRefusal {
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
        // The rest of the body may still arrive, so this connection cannot serve another request.
        let body_unread = matches!(
            self,
            Self::Body(_) | Self::Unauthorized | Self::Usage(UsageRefusal::MediaType)
        );
        if body_unread {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// An answer with a JSON body.
#[must_use]
pub fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use BodyError::{Broken, TooLarge, TooSlow};
    use NotAnEvent::{Fields, Id, NotJson, Type};
    use SignatureError::{Malformed, Mismatch, Missing, NoSignature, Stale, TooLong};
    use shared::usage::UsageError;

    fn all() -> Vec<(RequestRefusal, u16)> {
        let mut all: Vec<(RequestRefusal, u16)> = vec![
            (TooLarge.into(), 413),
            (TooSlow.into(), 408),
            (Broken.into(), 400),
            (RequestRefusal::Unauthorized, 401),
            (UsageRefusal::MediaType.into(), 415),
            (UsageRefusal::BatchTooLong.into(), 413),
            (
                UsageRefusal::from(UsageError::new("data.amount", "is missing")).into(),
                400,
            ),
            (RequestRefusal::NotFound, 404),
            (RequestRefusal::MethodNotAllowed, 405),
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
    fn every_reason_is_listed_once_so_that_its_metric_begins_at_zero() {
        let mut reasons: Vec<_> = all().iter().map(|(refusal, _)| refusal.reason()).collect();
        reasons.dedup();
        reasons.sort_unstable();
        let mut listed = RequestRefusal::REASONS.to_vec();
        listed.sort_unstable();
        assert_eq!(reasons, listed);
    }
}
