//! What stands before every page: who asks, whether a form is ours, and the
//! headers that keep a browser from doing more than showing the page.

use super::{
    Console,
    fields::{Fields, link},
    problem::Problem,
    session::{COOKIE, Session},
};
use axum::{
    body::to_bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use shared::message::now_ms;
use std::{sync::Arc, time::Duration};

/// A hundred ids of 255 bytes, each byte percent-encoded, and room.
const BODY_MOST: usize = 128 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Nothing but our own style sheet, pictures and forms; no script at all.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Who asks, and when.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// Their name, for the record.
    pub(super) operator: String,
    /// What all their forms must hold.
    pub(super) form: String,
    /// When they asked, in milliseconds.
    pub(super) now_ms: i64,
}

/// Answers a request, if it may be answered. It is done to its end even if who
/// asked is gone: a transaction must not be dropped half-way.
pub(super) async fn guard(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let answering = tokio::spawn(async move { answer(&console, request, next).await });
    let mut response = match answering.await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the console could not be made");
            Problem::Broken.into_response()
        }
    };
    protect(response.headers_mut());
    response
}

async fn answer(console: &Console, request: Request, next: Next) -> Result<Response, Problem> {
    let (mut head, body) = request.into_parts();
    // No id is like this, and PostgreSQL takes it in no text.
    if head.uri.path().contains("%00") {
        return Err(Problem::NotFound("there is no such page".to_owned()));
    }
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if !reads && !is_same_origin(&head.headers) {
        return Err(Problem::Forged);
    }
    let is_open = matches!(head.uri.path(), "/" | "/console/login" | "/console/style.css");
    let now_ms = now_ms();
    let session = (!is_open)
        .then(|| session(console, &head.headers, now_ms / 1_000))
        .flatten();
    if session.is_none() && !is_open {
        return if reads {
            Ok(Redirect::to(&to_login(&head.uri)).into_response())
        } else {
            Err(Problem::LoggedOut)
        };
    }
    let fields = if reads {
        Fields::read(head.uri.query().unwrap_or_default().as_bytes())
    } else {
        let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_MOST)).await;
        let Ok(Ok(body)) = body else {
            return Err(Problem::TooLarge);
        };
        Fields::read(&body)
    };
    if let Some(session) = session {
        if !reads && !console.keys.admits(&session, fields.get("form").unwrap_or_default()) {
            return Err(Problem::Forged);
        }
        head.extensions.insert(Visitor {
            form: console.keys.form(&session),
            operator: session.operator,
            now_ms,
        });
    }
    head.extensions.insert(fields);
    Ok(next.run(Request::from_parts(head, axum::body::Body::empty())).await)
}

/// The session of the first cookie that is one.
fn session(console: &Console, headers: &HeaderMap, now: i64) -> Option<Session> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies
        .flat_map(|v| v.split(';'))
        .filter_map(|p| p.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then(|| Session::open(value, &console.keys, now))?)
}

/// The way back after logging in leads to the page that was asked for.
fn to_login(asked: &Uri) -> String {
    let next = asked.path_and_query().map_or("", |p| p.as_str());
    if next == "/console" {
        "/console/login".to_owned()
    } else {
        link("/console/login", [("next", next)])
    }
}

/// Whether a browser says that the form is on a page of ours. Behind a proxy the
/// host may be another, but then there is TLS, and browsers say it themselves.
/// What says neither is no browser, and no page can make it send our cookie.
fn is_same_origin(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|v| v.to_str().unwrap_or_default());
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site")) {
        return site == "same-origin";
    }
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let host = origin.split_once("://").map(|(_, host)| host);
    host.is_some() && host == text(header::HOST)
}

/// Whether who asks came by HTTPS: to us, it ended at a proxy.
pub(super) fn is_secure(headers: &HeaderMap) -> bool {
    headers
        .get("x-forwarded-proto")
        .is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"https"))
}

fn protect(headers: &mut HeaderMap) {
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Not `no-referrer`: with it browsers call the origin of our own forms `null`.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_of_another_origin_is_told_by_its_headers() {
        let same = |given: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in given {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            is_same_origin(&headers)
        };
        let host = ("host", "127.0.0.1:9102");
        assert!(same(&[host]));
        assert!(same(&[host, ("origin", "http://127.0.0.1:9102")]));
        assert!(same(&[
            host,
            ("origin", "https://ops.example"),
            ("sec-fetch-site", "same-origin")
        ]));
        for forged in [
            &[host, ("origin", "null")][..],
            &[host, ("origin", "http://127.0.0.1:9103")],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "")],
            &[("origin", "http://127.0.0.1:9102")],
            &[
                host,
                ("origin", "http://127.0.0.1:9102"),
                ("sec-fetch-site", "cross-site"),
            ],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", "none")],
        ] {
            assert!(!same(forged), "{forged:?}");
        }
    }

    #[test]
    fn the_way_to_the_login_remembers_what_was_asked_for() {
        let to = |asked: &str| to_login(&asked.parse().expect("a URI"));
        assert_eq!(to("/console"), "/console/login");
        assert_eq!(
            to("/console/events/a%2Fb?x=1&y"),
            "/console/login?next=%2Fconsole%2Fevents%2Fa%252Fb%3Fx%3D1%26y"
        );
    }
}
