//! Sessions: a signed cookie. No state is stored, so every replica accepts it,
//! and a restart ends no session. A change of `OPS_TOKEN` ends all sessions.
//! Pure.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use shared::token::Token;

/// How long a session lasts, in seconds.
pub(super) const DURATION_S: i64 = 12 * 3_600;
/// The cookie's name.
pub(super) const COOKIE: &str = "tollbridge_console";
/// The longest name of an operator, in characters.
pub(super) const NAME_CHARS_MAX: usize = 60;

const VERSION: &str = "v1";

/// The keys that sign sessions and their forms.
#[derive(Clone)]
pub(super) struct SessionKeys {
    session: [u8; 32],
    form: [u8; 32],
}

impl SessionKeys {
    pub(super) fn of(token: &Token) -> Self {
        Self {
            session: token.key("tollbridge console: session"),
            form: token.key("tollbridge console: form"),
        }
    }

    /// The token that all forms of a session carry. No other site can know it.
    pub(super) fn form_token(&self, session: &ConsoleSession) -> String {
        hex::encode(mac(&self.form, &session.content()).finalize().into_bytes())
    }

    /// Whether `given` is the form token of this session, compared in constant time.
    pub(super) fn admits(&self, session: &ConsoleSession, given: &str) -> bool {
        hex::decode(given).is_ok_and(|given| mac(&self.form, &session.content()).verify_slice(&given).is_ok())
    }
}

/// An operator that gave the right token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ConsoleSession {
    /// The name the operator gave. It goes on record with each action.
    pub(super) operator: String,
    /// When the session ends, in seconds since 1970.
    pub(super) until: i64,
    /// Random bytes, so that two sessions of an operator differ.
    pub(super) nonce: [u8; 16],
}

impl ConsoleSession {
    pub(super) fn new(operator: String, now: i64, nonce: [u8; 16]) -> Self {
        Self {
            operator,
            until: now + DURATION_S,
            nonce,
        }
    }

    fn content(&self) -> String {
        let (operator, nonce) = (hex::encode(&self.operator), hex::encode(self.nonce));
        format!("{VERSION}.{operator}.{}.{nonce}", self.until)
    }

    /// The value of the cookie.
    pub(super) fn seal(&self, keys: &SessionKeys) -> String {
        let content = self.content();
        let proof = mac(&keys.session, &content).finalize().into_bytes();
        format!("{content}.{}", hex::encode(proof))
    }

    /// Reads the value of a cookie. None if its signature is wrong or the session has ended.
    pub(super) fn open(sealed: &str, keys: &SessionKeys, now: i64) -> Option<Self> {
        let (content, proof) = sealed.rsplit_once('.')?;
        let proof = hex::decode(proof).ok()?;
        mac(&keys.session, content).verify_slice(&proof).ok()?;
        let mut parts = content.split('.');
        let (VERSION, operator, until, nonce, None) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next())
        else {
            return None;
        };
        let session = Self {
            operator: String::from_utf8(hex::decode(operator).ok()?).ok()?,
            until: until.parse().ok()?,
            nonce: hex::decode(nonce).ok()?.try_into().ok()?,
        };
        (session.until > now).then_some(session)
    }
}

/// A name, trimmed for the record. None if it is empty, too long, or has control characters.
pub(super) fn name(given: &str) -> Option<String> {
    let name = given.trim();
    let fits = !name.is_empty() && name.chars().count() <= NAME_CHARS_MAX && !name.chars().any(char::is_control);
    fits.then(|| name.to_owned())
}

fn mac(key: &[u8; 32], content: &str) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(content.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn keys(token: &str) -> SessionKeys {
        SessionKeys::of(&Token::new(token).expect("long enough"))
    }

    fn ada() -> ConsoleSession {
        ConsoleSession::new("Ada <script>".to_owned(), NOW, [7; 16])
    }

    #[test]
    fn a_session_opens_with_the_same_token_until_it_ends() {
        let sealed = ada().seal(&keys("0123456789abcdef"));
        let open = |token, now| ConsoleSession::open(&sealed, &keys(token), now);
        assert_eq!(open("0123456789abcdef", NOW), Some(ada()));
        assert_eq!(open("0123456789abcdef", NOW + DURATION_S - 1), Some(ada()));
        assert_eq!(open("0123456789abcdef", NOW + DURATION_S), None);
        assert_eq!(open("0123456789abcdeF", NOW), None);
        let fits_a_cookie = |c: char| c.is_ascii_alphanumeric() || c == '.';
        assert!(sealed.chars().all(fits_a_cookie), "{sealed}");
    }

    #[test]
    fn a_changed_cookie_opens_no_session() {
        let keys = keys("0123456789abcdef");
        let sealed = ada().seal(&keys);
        for index in 0..sealed.len() {
            let mut forged = sealed.clone().into_bytes();
            forged[index] = if forged[index] == b'0' { b'1' } else { b'0' };
            let forged = String::from_utf8(forged).expect("ASCII");
            assert_eq!(ConsoleSession::open(&forged, &keys, NOW), None, "{forged}");
        }
        let later = sealed.replace(&(NOW + DURATION_S).to_string(), &(NOW + 2 * DURATION_S).to_string());
        for forged in [
            "",
            ".",
            "v1....",
            &later,
            &sealed[..sealed.len() - 2],
            &format!("{sealed}00"),
        ] {
            assert_eq!(ConsoleSession::open(forged, &keys, NOW), None, "{forged}");
        }
    }

    #[test]
    fn a_form_token_fits_one_session_only() {
        let keys = keys("0123456789abcdef");
        let form = keys.form_token(&ada());
        assert!(keys.admits(&ada(), &form));
        let again = ConsoleSession {
            nonce: [8; 16],
            ..ada()
        };
        assert!(!keys.admits(&again, &form));
        let sealed = ada().seal(&keys);
        let proof = sealed.rsplit_once('.').expect("a proof").1;
        for forged in ["", "00", &form[2..], proof, "zz"] {
            assert!(!keys.admits(&ada(), forged), "{forged}");
        }
    }

    #[test]
    fn a_name_is_one_short_line() {
        assert_eq!(name("  Ada Lovelace "), Some("Ada Lovelace".to_owned()));
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        for bad in ["", "  ", "a\nb", "a\u{1b}[2J", &long] {
            assert_eq!(name(bad), None, "{bad}");
        }
    }
}
