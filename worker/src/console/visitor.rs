//! The operator behind a request.

/// The logged-in operator that sent a request, and when it came.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// The operator's name, for the record.
    pub(super) operator: String,
    /// The token that every form of this session must carry.
    pub(super) form_token: String,
    /// When the request came, in milliseconds since 1970.
    pub(super) now_ms: i64,
}
