//! The operators' console on the private listener. It shows the state of the
//! worker, the dead letters, and each user's entitlement with its reasons.
//! Every page is complete HTML without scripts. `OPS_TOKEN` unlocks the console.

mod actions;
mod carry_out;
mod charts;
mod confirm;
mod database;
mod dead_letter;
mod dead_letters;
mod event;
mod explanation;
mod fields;
mod format;
mod guard;
mod layout;
mod links;
mod login;
mod overview;
mod page_error;
mod rates;
mod search;
mod selection;
mod session;
mod state;
mod throttle;
mod user;
mod visitor;

use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect},
    routing::{any, get, post},
};
use page_error::PageError;
use shared::shutdown::CancellationToken;
pub(crate) use state::Console;
use std::sync::Arc;

/// The routes of the pages. A background task samples the worker's counters for
/// them until `stop`.
pub(crate) fn router(console: Console, stop: &CancellationToken) -> Router {
    let console = Arc::new(console);
    tokio::spawn(rates::sample_until(Arc::clone(&console.rates), stop.clone()));
    Router::new()
        .route("/", get(|| async { Redirect::to("/console") }))
        .route("/console", get(overview::show))
        .route("/console/", get(|| async { Redirect::to("/console") }))
        .route("/console/style.css", get(style))
        .route("/console/login", get(login::show).post(login::log_in))
        .route("/console/logout", post(login::log_out))
        .route("/console/dead-letters", get(dead_letters::show))
        .route("/console/dead-letters/{id}", get(dead_letter::show))
        .route("/console/replay", get(confirm::replay).post(carry_out::replay))
        .route("/console/discard", get(confirm::discard).post(carry_out::discard))
        .route("/console/actions", get(actions::show_all))
        .route("/console/actions/{id}", get(actions::show))
        .route("/console/search", get(search::show))
        .route("/console/events/{id}", get(event::show))
        .route("/console/users/{id}", get(user::show))
        .route("/console/{*rest}", any(missing))
        .layer(from_fn_with_state(Arc::clone(&console), guard::guard))
        .with_state(console)
}

async fn style() -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, "text/css; charset=utf-8"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
    ];
    (headers, layout::STYLE)
}

async fn missing(request: Request) -> PageError {
    PageError::NotFound(format!("there is no page {}", request.uri().path()))
}
