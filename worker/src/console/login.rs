//! Logging in and out.

use super::{
    fields::FormFields,
    guard::is_secure,
    layout,
    session::{self, COOKIE, ConsoleSession},
    state::Console,
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
pub(super) async fn show(Extension(fields): Extension<FormFields>) -> Markup {
    form(&fields, None)
}

/// `POST /console/login`
pub(super) async fn log_in(
    State(console): State<Arc<Console>>,
    peer: Option<Extension<Peer>>,
    Extension(fields): Extension<FormFields>,
    headers: HeaderMap,
) -> Response {
    let source = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0.0);
    let Some(operator) = fields.get("operator").and_then(session::name) else {
        let words = "Enter your name in one short line. It goes on record with everything you do.";
        return (StatusCode::BAD_REQUEST, form(&fields, Some(words))).into_response();
    };
    match try_token(&console, source, fields.get("token").unwrap_or_default()) {
        LoginAttempt::Throttled(time) => {
            LOGINS.with_label_values(&["throttled"]).inc();
            let seconds = time.as_secs() + 1;
            let words = format!("Too many wrong tokens. Try again in {seconds} s.");
            let retry = [(header::RETRY_AFTER, seconds.to_string())];
            (StatusCode::TOO_MANY_REQUESTS, retry, form(&fields, Some(&words))).into_response()
        }
        LoginAttempt::WrongToken => {
            LOGINS.with_label_values(&["refused"]).inc();
            tracing::warn!(%source, "a login to the console gave a wrong token");
            (StatusCode::UNAUTHORIZED, form(&fields, Some("This is not the token."))).into_response()
        }
        LoginAttempt::RightToken => {
            LOGINS.with_label_values(&["accepted"]).inc();
            tracing::info!(%source, operator, "an operator logged in to the console");
            let mut nonce = [0; 16];
            if let Err(error) = getrandom::fill(&mut nonce) {
                tracing::error!(%error, "the system has no random bytes for a session");
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
            let session = ConsoleSession::new(operator, now_ms() / 1_000, nonce);
            let cookie = cookie(&session.seal(&console.keys), session::DURATION_S, &headers);
            ([(header::SET_COOKIE, cookie)], Redirect::to(next(&fields))).into_response()
        }
    }
}

/// `POST /console/logout`. It deletes the cookie. A copy of the cookie stays valid
/// until the session ends or `OPS_TOKEN` changes.
pub(super) async fn log_out(headers: HeaderMap) -> Response {
    let gone = [(header::SET_COOKIE, cookie("", 0, &headers))];
    (gone, Redirect::to("/console/login")).into_response()
}

fn cookie(value: &str, seconds: i64, headers: &HeaderMap) -> String {
    let secure = if is_secure(headers) { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path=/console; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}

enum LoginAttempt {
    RightToken,
    WrongToken,
    /// Too many wrong tokens: how long to wait.
    Throttled(Duration),
}

/// Checks a token. Keeps the lock until the try is counted, so that concurrent tries
/// cannot exceed the limit.
fn try_token(console: &Console, source: IpAddr, token: &str) -> LoginAttempt {
    let mut throttle = console.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    if let Some(wait) = throttle.wait(source, now) {
        return LoginAttempt::Throttled(wait);
    }
    if console.token.is(token.as_bytes()) {
        return LoginAttempt::RightToken;
    }
    throttle.failed(source, now);
    LoginAttempt::WrongToken
}

/// The page after the login. Only a page of the console, so that a link cannot
/// lead an operator to another site.
fn next(fields: &FormFields) -> &str {
    let is_own = |next: &&str| {
        let rest = next.strip_prefix("/console");
        let is_page = rest.is_some_and(|r| r.is_empty() || r.starts_with(['/', '?']));
        is_page && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') && !next.starts_with("/console/login")
    };
    fields.get("next").filter(is_own).unwrap_or("/console")
}

fn form(fields: &FormFields, refusal: Option<&str>) -> Markup {
    let content = html! {
        h1 { "Operators' console" }
        form.stack action="/console/login" method="post" {
            @if let Some(words) = refusal { p.alert role="alert" { (words) } }
            input type="hidden" name="next" value=(next(fields));
            div {
                label for="operator" { "Your name" }
                input #operator name="operator" required maxlength=(session::NAME_CHARS_MAX) autocomplete="username"
                    value=[fields.get("operator")] aria-describedby="why";
                p.hint #why { "It goes on record with everything you do." }
            }
            div {
                label for="token" { "Token" }
                input #token name="token" type="password" required autocomplete="current-password" aria-describedby="what";
                p.hint #what { "The worker's " code { "OPS_TOKEN" } "." }
            }
            button type="submit" { "Log in" }
        }
        p.hint {
            "Logged in already, and came here from a link on another site? "
            a href=(next(fields)) { "Open the page" } "."
        }
    };
    layout::bare("Log in", &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_pages_of_the_console_only() {
        let after = |next_field: &str| {
            let fields = FormFields::read(
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
