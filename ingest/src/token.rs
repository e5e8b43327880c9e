//! The bearer token of `POST /v1/usage` (RFC 6750).

use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// What the token must be, for whoever sets it.
pub const MUST_BE: &str =
    "must be at least 16 characters, all visible ASCII, such as 32 random bytes in hex (openssl rand -hex 32)";

const CHARS_LEAST: usize = 16;

/// The token, as its hash: what is compared has one length, whatever is given.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

impl Token {
    /// `None` if it is not what a token [`MUST_BE`].
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        let usable = token.len() >= CHARS_LEAST && token.bytes().all(|b| b.is_ascii_graphic());
        usable.then(|| Self(hash(token.as_bytes())))
    }

    /// Whether `headers` hold this token: one `Authorization`, of the scheme
    /// Bearer. The time it takes says nothing of the token, its length included.
    #[must_use]
    pub fn admits(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else {
            return false;
        };
        let Some((scheme, token)) = value.as_bytes().split_at_checked("Bearer ".len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(b"Bearer ") && hash(token.trim_ascii()).ct_eq(&self.0).into()
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
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
        Token::new(TOKEN).expect("long enough").admits(&headers)
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

    #[test]
    fn a_token_is_long_visible_and_never_printed() {
        for bad in ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf"] {
            assert!(Token::new(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", Token::new(TOKEN)), "Some([token])");
    }
}
