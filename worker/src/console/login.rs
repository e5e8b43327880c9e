//! Logging in and out.

use super::{
    Console,
    fields::Fields,
    guard::is_secure,
    layout,
    session::{self, COOKIE, Session},
};
use crate::metrics::LOGINS;
use axum::{
    Extension,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use maud::{Markup, html};
use shared::{http::Peer, message::now_ms};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

/// `GET /console/login`
pub(super) async fn show(Extension(fields): Extension<Fields>) -> Markup {
    form(&fields, None)
}

/// `POST /console/login`
pub(super) async fn log_in(
    State(console): State<Arc<Console>>,
    peer: Option<Extension<Peer>>,
    Extension(fields): Extension<Fields>,
    headers: HeaderMap,
) -> Response {
    let source = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.0);
    let Some(operator) = fields.get("operator").and_then(session::name) else {
        let words = "Say who you are, in one short line: it goes on record with what you do.";
        return (StatusCode::BAD_REQUEST, form(&fields, Some(words))).into_response();
    };
    match console.attempt(source, fields.get("token").unwrap_or_default()) {
        Attempt::Wait(time) => {
            LOGINS.with_label_values(&["throttled"]).inc();
            let seconds = time.as_secs() + 1;
            let words = format!("Too many wrong tokens. Try again in {seconds} s.");
            let retry = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, retry, form(&fields, Some(&words))).into_response()
        }
        Attempt::Wrong => {
            LOGINS.with_label_values(&["refused"]).inc();
            tracing::warn!(%source, "somebody gave a wrong token to the console");
            (StatusCode::UNAUTHORIZED, form(&fields, Some("This is not the token."))).into_response()
        }
        Attempt::Right => {
            LOGINS.with_label_values(&["accepted"]).inc();
            tracing::info!(%source, operator, "somebody logged in to the console");
            let mut nonce = [0; 16];
            if let Err(error) = getrandom::fill(&mut nonce) {
                tracing::error!(%error, "the system gives no random bytes");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            let session = Session::new(operator, now_ms() / 1_000, nonce);
            let cookie = cookie(&session.seal(&console.keys), session::SECONDS, &headers);
            ([(header::SET_COOKIE, cookie)], Redirect::to(next(&fields))).into_response()
        }
    }
}

/// `POST /console/logout`. The session itself lasts until its time is over: what
/// holds its own proof cannot be taken back but with the token.
pub(super) async fn log_out(headers: HeaderMap) -> Response {
    let gone = [(header::SET_COOKIE, cookie("", 0, &headers))];
    (gone, Redirect::to("/console/login")).into_response()
}

fn cookie(value: &str, seconds: i64, headers: &HeaderMap) -> String {
    let secure = if is_secure(headers) { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

enum Attempt {
    Right,
    Wrong,
    Wait(Duration),
}

impl Console {
    /// One try at the token. Tries are counted one after the other, so that none
    /// slips through while others are looked at.
    fn attempt(&self, source: IpAddr, token: &str) -> Attempt {
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(wait) = throttle.wait(source, now) {
            return Attempt::Wait(wait);
        }
        if self.token.is(token.as_bytes()) {
            return Attempt::Right;
        }
        throttle.failed(source, now);
        Attempt::Wrong
    }
}

/// Where to go after logging in: a page of ours, whatever the link said.
fn next(fields: &Fields) -> &str {
    let ours = |next: &&str| {
        let rest = next.strip_prefix("/console");
        let page = rest.is_some_and(|r| r.is_empty() || r.starts_with(['/', '?']));
        page && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') && !next.starts_with("/console/login")
    };
    fields.get("next").filter(ours).unwrap_or("/console")
}

fn form(fields: &Fields, refusal: Option<&str>) -> Markup {
    let content = html! {
        h1 { "Operators' console" }
        form.stack action="/console/login" method="post" {
            @if let Some(words) = refusal { p.alert role="alert" { (words) } }
            input type="hidden" name="next" value=(next(fields));
            div {
                label for="operator" { "Your name" }
                input #operator name="operator" required maxlength=(session::NAME_MOST) autocomplete="username"
                    value=[fields.get("operator")] aria-describedby="why";
                p.hint #why { "It goes on record with all that you do." }
            }
            div {
                label for="token" { "Token" }
                input #token name="token" type="password" required autocomplete="current-password" aria-describedby="what";
                p.hint #what { "The worker's " code { "OPS_TOKEN" } "." }
            }
            button type="submit" { "Log in" }
        }
        p.hint {
            "Came by a link from elsewhere, and logged in already? "
            a href=(next(fields)) { "Go on to the page" } "."
        }
    };
    layout::bare("Log in", &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_logging_in_one_stays_here() {
        let after = |next_field: &str| {
            let fields = Fields::read(
                form_urlencoded::Serializer::new(String::new())
                    .append_pair("next", next_field)
                    .finish()
                    .as_bytes(),
            );
            next(&fields).to_owned()
        };
        for own in ["/console/events/a%2Fb?x=1", "/console?x", "/console"] {
            assert_eq!(after(own), own);
        }
        for foreign in [
            "",
            "//evil.example",
            "/\\evil.example",
            "https://evil.example",
            "/consoleevil",
            "/console/\r\nset-cookie: x",
            "/console/login",
            "/metrics",
            "/console/é",
        ] {
            assert_eq!(after(foreign), "/console", "{foreign}");
        }
    }
}
