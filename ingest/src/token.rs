//! Checks the bearer token of `POST /v1/usage` (RFC 6750, "The OAuth 2.0 Authorization
//! Framework: Bearer Token Usage").

use axum::http::{HeaderMap, header};
use shared::token::Token;

/// Whether `headers` have the token: exactly one `Authorization` header, with the scheme
/// Bearer. The time of the check does not depend on the token, not even on its length.
#[must_use]
pub fn is_authorized(token: &Token, headers: &HeaderMap) -> bool {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return false;
    };
    let Some((scheme, given)) = value.as_bytes().split_at_checked("Bearer ".len()) else {
        return false;
    };
    scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(given.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn authorized(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().expect("a header"));
        }
        is_authorized(&Token::new(TOKEN).expect("long enough"), &headers)
    }

    #[test]
    fn only_the_token_itself_is_authorized() {
        for value in [
            "Bearer 0123456789abcdef",
            "bearer 0123456789abcdef",
            "Bearer  0123456789abcdef ",
        ] {
            assert!(authorized(&[value]), "{value}");
        }
        for value in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdef0",
            "Bearer 0123456789ABCDEF",
            "Bearer0123456789abcdef",
            "Basic 0123456789abcdef",
            "0123456789abcdef",
        ] {
            assert!(!authorized(&[value]), "{value}");
        }
        assert!(!authorized(&[]));
        let good = "Bearer 0123456789abcdef";
        assert!(!authorized(&[good, good]), "two headers have no single meaning");
    }
}
