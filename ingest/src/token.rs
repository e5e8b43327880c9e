//! The bearer token of `POST /v1/usage` (RFC 6750).

use axum::http::{HeaderMap, header};
use shared::token::Token;

/// Whether `headers` hold the token: one `Authorization`, of the scheme Bearer.
/// The time it takes says nothing of the token, its length included.
#[must_use]
pub fn admits(token: &Token, headers: &HeaderMap) -> bool {
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

    fn admitted(values: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().expect("a header"));
        }
        admits(&Token::new(TOKEN).expect("long enough"), &headers)
    }

    #[test]
    fn the_token_itself_is_admitted_and_nothing_else() {
        for value in [
            "Bearer 0123456789abcdef",
            "bearer 0123456789abcdef",
            "Bearer  0123456789abcdef ",
        ] {
            assert!(admitted(&[value]), "{value}");
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
            assert!(!admitted(&[value]), "{value}");
        }
        assert!(!admitted(&[]));
        let good = "Bearer 0123456789abcdef";
        assert!(
            !admitted(&[good, good]),
            "two headers mean different things to different readers"
        );
    }
}
