//! The operators' console on the private listener: what happens, what was given
//! up and why, what a user has and why. Pages are made here, whole, without a
//! script; `OPS_TOKEN` unlocks them.

mod act;
mod actions;
mod dead_letters;
mod event;
mod fields;
mod guard;
mod layout;
mod letter;
mod login;
mod overview;
mod picture;
mod problem;
mod rates;
mod reader;
mod search;
mod selection;
mod session;
mod story;
mod throttle;
mod user;

use crate::{dead_letters::Tools, read::message::EventReader};
use axum::{
    Router,
    extract::Request,
    http::header,
    middleware::from_fn_with_state,
    response::{IntoResponse, Redirect},
    routing::{any, get, post},
};
use problem::Problem;
use rates::Rates;
use reader::Reader;
use session::Keys;
use shared::{shutdown::CancellationToken, token::Token};
use std::sync::{Arc, Mutex};
use throttle::Throttle;

/// What the pages work with.
pub(crate) struct Console {
    token: Token,
    keys: Keys,
    throttle: Mutex<Throttle>,
    reader: Reader,
    rates: Rates,
    tools: Tools,
    event_reader: EventReader,
}

impl Console {
    /// A console that `token` unlocks, that moves dead letters with `tools` and
    /// reads what they say with `event_reader`.
    pub(crate) fn new(token: Token, tools: Tools, event_reader: EventReader) -> Self {
        Self {
            keys: Keys::of(&token),
            token,
            throttle: Mutex::default(),
            reader: Reader::new(tools.pool.clone()),
            rates: Rates::default(),
            tools,
            event_reader,
        }
    }
}

/// The pages; what is measured for them is measured until `stop`.
pub(crate) fn router(console: Console, stop: &CancellationToken) -> Router {
    let console = Arc::new(console);
    tokio::spawn(rates::measure(Arc::clone(&console), stop.clone()));
    Router::new()
        .route("/", get(|| async { Redirect::to("/console") }))
        .route("/console", get(overview::show))
        .route("/console/", get(|| async { Redirect::to("/console") }))
        .route("/console/style.css", get(style))
        .route("/console/login", get(login::show).post(login::log_in))
        .route("/console/logout", post(login::log_out))
        .route("/console/dead-letters", get(dead_letters::show))
        .route("/console/dead-letters/{id}", get(letter::show))
        .route("/console/replay", get(act::ask_replay).post(act::do_replay))
        .route("/console/discard", get(act::ask_discard).post(act::do_discard))
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

async fn missing(request: Request) -> Problem {
    Problem::NotFound(format!("there is no page {}", request.uri().path()))
}
