//! A secret token that a caller must send, compared in constant time.

use crate::settings::{SecretText, Setting, SettingError, SettingForm as _, Settings};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::fmt;
use subtle::ConstantTimeEq;

/// The form of a setting that is a token.
pub const FORM: SecretText =
    SecretText("at least 16 characters, all visible ASCII, such as 32 random bytes in hex (openssl rand -hex 32)");

const CHARS_MIN: usize = 16;

/// The SHA-256 hash of the token. All hashes have one length, so a comparison shows no
/// length of a token.
#[derive(Clone)]
pub struct Token([u8; 32]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[token]")
    }
}

impl Token {
    /// `None` if [`FORM`] does not allow the token.
    #[must_use]
    pub fn new(token: &str) -> Option<Self> {
        let usable = token.len() >= CHARS_MIN && token.bytes().all(|b| b.is_ascii_graphic());
        usable.then(|| Self(hash(token.as_bytes())))
    }

    /// Reads the token, if it is set.
    ///
    /// # Errors
    /// If [`FORM`] does not allow the token.
    pub fn from_settings(settings: &Settings, setting: &Setting<SecretText>) -> Result<Option<Self>, SettingError> {
        let Some(token) = settings.find(setting)? else {
            return Ok(None);
        };
        let wrong = || setting.error(format!("must be {}", FORM.allowed()));
        Ok(Some(Self::new(token.expose()).ok_or_else(wrong)?))
    }

    /// A key for one purpose (HMAC-SHA256). Every process that has the token gets the same
    /// key. The token cannot be computed from it.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn key(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Whether `given` is the token. The time of the check depends on neither the token nor
    /// its length.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        hash(given).ct_eq(&self.0).into()
    }
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::new(TOKEN).expect("long enough");
        assert!(token.is(TOKEN.as_bytes()));
        for other in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!token.is(other.as_bytes()), "{other}");
        }
    }

    #[test]
    fn keys_are_of_the_token_and_the_purpose() {
        let key = |token: &str, purpose: &str| Token::new(token).expect("long enough").key(purpose);
        assert_eq!(key(TOKEN, "a"), key(TOKEN, "a"));
        assert_ne!(key(TOKEN, "a"), key(TOKEN, "b"));
        assert_ne!(key(TOKEN, "a"), key("0123456789abcdeF", "a"));
    }

    #[test]
    fn a_token_is_long_visible_and_never_printed() {
        for bad in ["", "0123456789abcde", "0123456789 abcdef", "0123456789abcdéf"] {
            assert!(Token::new(bad).is_none(), "{bad}");
        }
        assert_eq!(format!("{:?}", Token::new(TOKEN)), "Some([token])");
    }
}
