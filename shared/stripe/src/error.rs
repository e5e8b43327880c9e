//! Why a request to Stripe failed.

use crate::limits::TIME_LIMIT;
use serde::Deserialize;
use std::{fmt, time::Duration};
use stripe::StripeError;

/// Most characters of Stripe's own message that an error repeats.
const MESSAGE_CHARS_MAX: usize = 400;

/// Why a request to Stripe failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The object does not exist for this key.
    #[error("Stripe does not know it (404); STRIPE_SECRET_KEY must be of the same account and mode")]
    NotFound,
    /// The text cannot be an id of Stripe's, so no request was sent.
    #[error("it is no id of Stripe's")]
    NoId,
    /// The key is not valid, or lacks the permission.
    #[error(
        "Stripe refuses STRIPE_SECRET_KEY ({status}); it must be valid, and if restricted have the permission: {body}"
    )]
    Denied {
        /// 401 or 403.
        status: u16,
        /// Stripe's error, which names the missing permission.
        body: ErrorBody,
    },
    /// Stripe answered with an error of another status.
    #[error("Stripe answered with status {status}: {body}")]
    Status {
        /// Such as 400.
        status: u16,
        /// Stripe's error.
        body: ErrorBody,
        /// How long Stripe asks to wait, from `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// There was no answer, or one that cannot be read.
    #[error("Stripe gave no usable answer: {0}")]
    Unavailable(String),
    /// There was no answer in time.
    #[error("Stripe did not answer within {} s", TIME_LIMIT.as_secs())]
    TooSlow,
    /// An attempt may have taken effect, and a later attempt failed in another way.
    #[error("{then}; an attempt before that may have taken effect: {doubt}")]
    Doubtful {
        /// The error of the first attempt that may have taken effect.
        doubt: Box<ApiError>,
        /// The error of the last attempt.
        then: Box<ApiError>,
    },
}

/// The body of Stripe's errors (API reference, "Errors").
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ErrorBody {
    /// Such as `resource_missing`.
    pub code: Option<String>,
    /// A sentence for people.
    pub message: Option<String>,
    /// The parameter that is wrong.
    pub param: Option<String>,
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.as_deref().unwrap_or("it does not say why");
        let cut: String = message
            .chars()
            .filter(|c| !c.is_control())
            .take(MESSAGE_CHARS_MAX)
            .collect();
        f.write_str(&cut)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        match &self.param {
            Some(param) => write!(f, ", parameter {param}"),
            None => Ok(()),
        }
    }
}

impl ApiError {
    /// The error of an answer.
    pub(super) fn answered(status: u16, body: ErrorBody, retry_after: Option<Duration>) -> Self {
        match status {
            // Any other 404 comes from a gateway, or from a server that is not Stripe's.
            404 if body.code.as_deref() == Some("resource_missing") => Self::NotFound,
            401 | 403 => Self::Denied { status, body },
            _ => Self::Status {
                status,
                body,
                retry_after,
            },
        }
    }

    /// Whether the same request may succeed a little later (Stripe's page "Advanced error
    /// handling"). A request with status 500 may have taken effect, and Stripe repeats
    /// that answer for the same idempotency key.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::NotFound | Self::NoId | Self::Denied { .. } => false,
            Self::Status { status, .. } => matches!(status, 409 | 424 | 429 | 500..=504),
            Self::Unavailable(_) | Self::TooSlow => true,
            Self::Doubtful { then, .. } => then.is_temporary(),
        }
    }

    /// Whether the request may have taken effect in spite of the error.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        match self {
            Self::NotFound | Self::NoId | Self::Denied { .. } => false,
            Self::Status { status, .. } => *status >= 500,
            Self::Unavailable(_) | Self::TooSlow | Self::Doubtful { .. } => true,
        }
    }

    /// The error of all attempts. `self` is the error of the last attempt, `doubt` that of
    /// the first attempt that may have taken effect: no later answer undoes that effect.
    pub(super) fn after(self, doubt: Option<Self>) -> Self {
        match doubt {
            Some(doubt) if !self.is_doubtful() => Self::Doubtful {
                doubt: Box::new(doubt),
                then: Box::new(self),
            },
            _ => self,
        }
    }

    /// How long Stripe asks to wait; zero if it does not ask.
    pub(super) fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// The value of the label `outcome` in the metrics.
    pub(super) fn label(&self) -> &'static str {
        match self {
            Self::NotFound | Self::NoId => "not_found",
            Self::Denied { .. } => "denied",
            Self::Status { .. } => "status",
            Self::Unavailable(_) => "unavailable",
            Self::TooSlow => "timeout",
            Self::Doubtful { then, .. } => then.label(),
        }
    }
}

impl From<StripeError> for ApiError {
    fn from(error: StripeError) -> Self {
        match error {
            StripeError::Stripe(error, status) => {
                let body = ErrorBody {
                    code: error.code.map(|code| code.to_string()),
                    message: error.message,
                    param: error.param,
                };
                Self::answered(status, body, None)
            }
            StripeError::Timeout => Self::TooSlow,
            error => Self::Unavailable(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(status: u16) -> ApiError {
        ApiError::answered(status, ErrorBody::default(), None)
    }

    #[test]
    fn each_status_is_temporary_or_not_and_doubtful_or_not() {
        for (error, temporary, doubtful) in [
            (status(400), false, false),
            (status(401), false, false),
            (status(403), false, false),
            (status(404), false, false),
            (status(409), true, false),
            (status(429), true, false),
            (status(500), true, true),
            (status(503), true, true),
            (ApiError::TooSlow, true, true),
            (ApiError::Unavailable("reset".to_owned()), true, true),
        ] {
            assert_eq!(
                (error.is_temporary(), error.is_doubtful()),
                (temporary, doubtful),
                "{error}"
            );
        }
    }

    #[test]
    fn only_a_404_of_stripes_own_means_that_an_object_does_not_exist() {
        let missing = ErrorBody {
            code: Some("resource_missing".to_owned()),
            ..ErrorBody::default()
        };
        assert!(matches!(ApiError::answered(404, missing, None), ApiError::NotFound));
        assert!(matches!(status(404), ApiError::Status { status: 404, .. }));
    }

    #[test]
    fn an_error_stays_doubtful_whatever_a_later_answer_is() {
        for (doubt, then, doubtful) in [
            (None, status(429), false),
            (None, status(500), true),
            (Some(ApiError::TooSlow), status(401), true),
            (Some(status(503)), status(429), true),
            (Some(ApiError::TooSlow), status(500), true),
        ] {
            let error = then.after(doubt);
            assert_eq!(error.is_doubtful(), doubtful, "{error}");
        }
        let error = status(401).after(Some(ApiError::TooSlow)).to_string();
        assert!(error.contains("(401)") && error.contains("did not answer"), "{error}");
    }

    #[test]
    fn stripes_own_message_is_repeated_in_one_short_line() {
        let body = ErrorBody {
            code: Some("parameter_unknown".to_owned()),
            message: Some(format!("Received unknown\nparameter: x{}", "y".repeat(1_000))),
            param: Some("x".to_owned()),
        };
        let text = ApiError::answered(400, body, None).to_string();
        assert!(
            text.starts_with("Stripe answered with status 400: Received unknownparameter: xyy"),
            "{text}"
        );
        assert!(
            text.ends_with("y (parameter_unknown), parameter x") && text.len() < 520,
            "{text}"
        );
    }
}
