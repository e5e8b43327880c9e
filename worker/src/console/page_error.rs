//! Why a page cannot be shown, and the page for that.

use super::{format, layout};
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

/// Why a page cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum PageError {
    /// The request changes something, and has no session.
    #[error("you are not logged in any more: log in, and do it again")]
    LoggedOut,
    /// The form comes from another site or another session.
    #[error("this form is not one of your session: open the page anew, and do it again")]
    Forged,
    /// The form is larger than any of the console's, or did not arrive in time.
    #[error("the form is too large, or did not arrive in time")]
    TooLarge,
    /// Nothing has this id or address.
    #[error("{0}")]
    NotFound(String),
    /// The request is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The current state does not allow the request.
    #[error("{0}")]
    Conflict(String),
    /// RabbitMQ is unreachable, or refused.
    #[error("{0}")]
    Broker(String),
    /// All database connections of the console are in use.
    #[error("the console is busy: all its database connections are in use; try again")]
    Busy,
    /// The database is unreachable, failed, or took too long.
    #[error("the database did not answer in time, or failed; no event is lost, and the worker's log has the error")]
    Database(#[from] sqlx::Error),
    /// A bug.
    #[error("this page could not be made; the worker's log has the error")]
    Bug,
}

impl PageError {
    fn status(&self) -> StatusCode {
        match self {
            Self::LoggedOut => StatusCode::UNAUTHORIZED,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy | Self::Database(_) | Self::Broker(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Logs the error that the page does not show.
    pub(super) fn log(&self) {
        if let Self::Database(error) = self {
            tracing::warn!(%error, "a page of the console could not be read from the database");
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let page = layout::bare(
            title,
            &html! {
                h1 { (title) }
                p { (format::text(&self.to_string())) }
                p { a href="/console" { "To the overview" } }
            },
        );
        (status, page).into_response()
    }
}
