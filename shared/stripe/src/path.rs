//! Ids of Stripe's as parts of a URL's path.

use crate::error::ApiError;

/// Whether `text` looks like an id of Stripe's: only letters, digits and `_`. Only such a
/// text may become a part of a path.
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
