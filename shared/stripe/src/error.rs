//! Why Stripe did not do or say what it was asked.

use crate::limits::TIME_LIMIT;
use serde::Deserialize;
use std::{fmt, time::Duration};
use stripe::StripeError;

/// The longest of Stripe's own texts that is passed on, in characters.
const MESSAGE_MOST: usize = 400;

/// Why Stripe did not do or say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It does not know the object: asking again is of no use.
    #[error("Stripe does not know it (404); STRIPE_SECRET_KEY must be of the same account and mode")]
    NotFound,
    /// It was not asked: what should be an id cannot be one.
    #[error("it is no id of Stripe's")]
    NoId,
    /// It does not let us ask.
    #[error(
        "Stripe refuses STRIPE_SECRET_KEY ({status}); it must be valid, and if restricted have the permission: {said}"
    )]
    Denied {
        /// 401 or 403.
        status: u16,
        /// What it said, which names the permission.
        said: ErrorBody,
    },
    /// It answered with an error of another status.
    #[error("Stripe answered with status {status}: {said}")]
    Status {
        /// Such as 400.
        status: u16,
        /// What it said.
        said: ErrorBody,
        /// How long it asks to wait.
        retry_after: Option<Duration>,
    },
    /// No answer, or one that we cannot read.
    #[error("Stripe gave no answer of use: {0}")]
    Unavailable(String),
    /// No answer in time.
    #[error("Stripe did not answer within {} s", TIME_LIMIT.as_secs())]
    TooSlow,
    /// An attempt that may have taken effect, and a later one that failed in another way.
    #[error("{then}; an attempt before that may have taken effect: {doubt}")]
    Doubtful {
        /// The first such attempt's.
        doubt: Box<ApiError>,
        /// The last attempt's.
        then: Box<ApiError>,
    },
}

/// What Stripe says of an error: its API reference, "Errors".
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ErrorBody {
    /// Such as `resource_missing`.
    pub code: Option<String>,
    /// For people.
    pub message: Option<String>,
    /// The parameter that it is about.
    pub param: Option<String>,
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.message.as_deref().unwrap_or("it does not say why");
        let cut: String = message.chars().filter(|c| !c.is_control()).take(MESSAGE_MOST).collect();
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
    /// An answer that is an error.
    pub(super) fn answered(status: u16, said: ErrorBody, retry_after: Option<Duration>) -> Self {
        match status {
            // Another 404 is of a gateway, or of a base that is not Stripe's.
            404 if said.code.as_deref() == Some("resource_missing") => Self::NotFound,
            401 | 403 => Self::Denied { status, said },
            _ => Self::Status {
                status,
                said,
                retry_after,
            },
        }
    }

    /// Whether the same request may succeed a little later: Stripe's page "Advanced
    /// error handling". After a 500 nobody knows whether it took effect, and Stripe
    /// repeats that answer for the same idempotency key.
    #[must_use]
    pub fn passes(&self) -> bool {
        match self {
            Self::NotFound | Self::NoId | Self::Denied { .. } => false,
            Self::Status { status, .. } => matches!(status, 409 | 424 | 429 | 500..=504),
            Self::Unavailable(_) | Self::TooSlow => true,
            Self::Doubtful { then, .. } => then.passes(),
        }
    }

    /// Whether what was asked for may have happened in spite of it.
    #[must_use]
    pub fn is_doubtful(&self) -> bool {
        match self {
            Self::NotFound | Self::NoId | Self::Denied { .. } => false,
            Self::Status { status, .. } => *status >= 500,
            Self::Unavailable(_) | Self::TooSlow | Self::Doubtful { .. } => true,
        }
    }

    /// Of the last attempt, given the first that was in doubt: what one may have done, no later answer
    /// undoes.
    pub(super) fn after(self, doubt: Option<Self>) -> Self {
        match doubt {
            Some(doubt) if !self.is_doubtful() => Self::Doubtful {
                doubt: Box::new(doubt),
                then: Box::new(self),
            },
            _ => self,
        }
    }

    /// How long Stripe asks to wait.
    pub(super) fn retry_after(&self) -> Duration {
        match self {
            Self::Status { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        }
    }

    /// For metrics.
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
                let said = ErrorBody {
                    code: error.code.map(|code| code.to_string()),
                    message: error.message,
                    param: error.param,
                };
                Self::answered(status, said, None)
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
    fn what_passes_is_asked_again_and_what_is_doubtful_is_looked_at() {
        for (error, passes, doubtful) in [
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
            assert_eq!((error.passes(), error.is_doubtful()), (passes, doubtful), "{error}");
        }
    }

    #[test]
    fn only_stripe_itself_can_say_that_something_is_not_there() {
        let missing = ErrorBody {
            code: Some("resource_missing".to_owned()),
            ..ErrorBody::default()
        };
        assert!(matches!(ApiError::answered(404, missing, None), ApiError::NotFound));
        assert!(matches!(status(404), ApiError::Status { status: 404, .. }));
    }

    #[test]
    fn a_doubt_is_not_forgotten_over_a_later_answer() {
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
    fn stripes_own_words_are_told_in_one_short_line() {
        let said = ErrorBody {
            code: Some("parameter_unknown".to_owned()),
            message: Some(format!("Received unknown\nparameter: x{}", "y".repeat(1_000))),
            param: Some("x".to_owned()),
        };
        let text = ApiError::answered(400, said, None).to_string();
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
