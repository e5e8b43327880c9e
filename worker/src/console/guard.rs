//! The checks before every page: the session, the origin of a form and its
//! token. Adds the headers that limit what a browser does with the page.

use super::{
    fields::FormFields,
    links::with_query,
    page_error::PageError,
    session::{COOKIE, ConsoleSession},
    state::Console,
    visitor::Visitor,
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

/// Enough for a hundred ids of 255 bytes, each byte percent-encoded, and more.
const BODY_BYTES_MAX: usize = 128 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Allows the console's own style sheet, images and forms, and no scripts.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// Checks and answers a request. The answer is completed even if the browser
/// disconnects, because a transaction must not be dropped half-way.
pub(super) async fn guard(State(console): State<Arc<Console>>, request: Request, next: Next) -> Response {
    let answering = tokio::spawn(async move { answer(&console, request, next).await });
    let mut response = match answering.await {
        Ok(Ok(response)) => response,
        Ok(Err(problem)) => problem.into_response(),
        Err(error) => {
            tracing::error!(%error, "a page of the console could not be made");
            PageError::Bug.into_response()
        }
    };
    protect(response.headers_mut());
    response
}

async fn answer(console: &Console, request: Request, next: Next) -> Result<Response, PageError> {
    let (mut head, body) = request.into_parts();
    // No id contains NUL, and PostgreSQL allows it in no text.
    if head.uri.path().contains("%00") {
        return Err(PageError::NotFound("there is no such page".to_owned()));
    }
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if !reads && !is_same_origin(&head.headers) {
        return Err(PageError::Forged);
    }
    let is_public = matches!(head.uri.path(), "/" | "/console/login" | "/console/style.css");
    let now_ms = now_ms();
    let session = if is_public {
        None
    } else {
        session(console, &head.headers, now_ms / 1_000)
    };
    if session.is_none() && !is_public {
        return if reads {
            Ok(Redirect::to(&login_path(&head.uri)).into_response())
        } else {
            Err(PageError::LoggedOut)
        };
    }
    let fields = if reads {
        FormFields::read(head.uri.query().unwrap_or_default().as_bytes())
    } else {
        let body = tokio::time::timeout(BODY_TIMEOUT, to_bytes(body, BODY_BYTES_MAX)).await;
        let Ok(Ok(body)) = body else {
            return Err(PageError::TooLarge);
        };
        FormFields::read(&body)
    };
    if let Some(session) = session {
        if !reads && !console.keys.admits(&session, fields.get("form").unwrap_or_default()) {
            return Err(PageError::Forged);
        }
        head.extensions.insert(Visitor {
            form_token: console.keys.form_token(&session),
            operator: session.operator,
            now_ms,
        });
    }
    head.extensions.insert(fields);
    Ok(next.run(Request::from_parts(head, axum::body::Body::empty())).await)
}

/// The session of the first cookie that opens one.
fn session(console: &Console, headers: &HeaderMap, now: i64) -> Option<ConsoleSession> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|v| v.to_str().ok());
    let mut pairs = cookies
        .flat_map(|v| v.split(';'))
        .filter_map(|p| p.trim().split_once('='));
    pairs.find_map(|(name, value)| (name == COOKIE).then(|| ConsoleSession::open(value, &console.keys, now))?)
}

/// The login page's path. After the login it leads to the page that was requested.
fn login_path(requested: &Uri) -> String {
    let next = requested.path_and_query().map_or("", |p| p.as_str());
    if next == "/console" {
        "/console/login".to_owned()
    } else {
        with_query("/console/login", [("next", next)])
    }
}

/// Whether a form comes from a page of the console. Browsers send `Sec-Fetch-Site`
/// over TLS, also behind a proxy that changes `Host`. Without TLS they send
/// `Origin`. A client that sends neither is no browser, so no foreign page can
/// make it send the console's cookie.
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

/// Whether the browser uses HTTPS. It ends at a proxy, which says so in a header.
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
        // Not `no-referrer`: browsers would send `Origin: null` with the console's own forms.
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
    fn headers_tell_a_form_of_another_origin() {
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
    fn the_login_path_names_the_page_that_was_requested() {
        let to = |requested: &str| login_path(&requested.parse().expect("a URI"));
        assert_eq!(to("/console"), "/console/login");
        assert_eq!(
            to("/console/events/a%2Fb?x=1&y"),
            "/console/login?next=%2Fconsole%2Fevents%2Fa%252Fb%3Fx%3D1%26y"
        );
    }
}
