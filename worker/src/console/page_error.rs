//! Why there is no page, and the page that says so.

use super::layout;
use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use maud::html;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(super) enum Problem {
    /// No session, and what was asked for changes something.
    #[error("you are not logged in any more: log in, and do it again")]
    LoggedOut,
    /// The form is of another site, or of another session.
    #[error("this form is not one of your session: open the page anew, and do it again")]
    Forged,
    /// The form is longer than any of ours, or does not end.
    #[error("the form is too large")]
    TooLarge,
    /// There is no such thing; in words.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for makes no sense; in words.
    #[error("{0}")]
    Wrong(String),
    /// It cannot be done as things stand now; in words.
    #[error("{0}")]
    Conflict(String),
    /// RabbitMQ is away, or refuses; in words.
    #[error("{0}")]
    Failed(String),
    /// All connections of the console are in use.
    #[error("the console is busy: its share of the database's connections is in use; try again")]
    Busy,
    /// The database is away, or the answer takes too long.
    #[error("the database does not answer, or not in time; events are not lost by that, and the log says more")]
    Database(#[from] sqlx::Error),
    /// A defect.
    #[error("this page could not be made; the log says why")]
    Broken,
}

impl Problem {
    fn status(&self) -> StatusCode {
        match self {
            Self::LoggedOut => StatusCode::UNAUTHORIZED,
            Self::Forged => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Wrong(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Busy | Self::Database(_) | Self::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl Problem {
    /// Says in the log what a page does not.
    pub(super) fn log(&self) {
        if let Self::Database(error) = self {
            tracing::warn!(%error, "a page of the console could not be read from the database");
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Problem");
        let page = layout::bare(
            title,
            &html! {
                h1 { (title) }
                p { (layout::text(&self.to_string())) }
                p { a href="/console" { "To the overview" } }
            },
        );
        (status, page).into_response()
    }
}
