//! Ids as parts of a path.

use crate::error::ApiError;

/// Whether a text may become a part of a path. Stripe's ids have only letters,
/// digits and `_`.
#[must_use]
pub fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The path of a subscription.
pub(crate) fn subscription(id: &str) -> Result<String, ApiError> {
    if is_id(id) {
        Ok(format!("/subscriptions/{id}"))
    } else {
        Err(ApiError::NoId)
    }
}
