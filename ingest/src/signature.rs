//! Stripe's webhook signature, scheme `v1` (Stripe: "Webhooks", "Verify webhook
//! signatures manually"): `Stripe-Signature: t=1700000000,v1=…,v1=…,v0=…`,
//! where a `v1` is the HMAC-SHA256 of `{t}.{body}` in hex.
//!
//! Pure, and frugal with hostile input: nothing is allocated per signature, and
//! there is one HMAC per secret however many signatures the header holds.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// How far `t` may be from now, either way, in seconds, the limit included. It
/// is the default of Stripe's SDKs. Most of them let a time in the future pass;
/// stripe-php and we do not, since such a signature could be replayed for long.
pub const TOLERANCE_SECONDS: u64 = 300;

/// A longer header is refused unread. Stripe's own has less than 1 KiB; this
/// has room for a thousand signatures.
pub const HEADER_BYTES_MOST: usize = 80 * 1024;

const SIGNATURE_BYTES: usize = 32;

/// The secrets of one endpoint; any of them may sign while one is rolled.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} secrets]", self.0.len())
    }
}

impl Secrets {
    /// Keys made of `secrets` as Stripe shows them, `whsec_` included.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn new(secrets: &[&str]) -> Self {
        let key = |secret: &&str| Hmac::new_from_slice(secret.as_bytes()).expect("any length is a key");
        Self(secrets.iter().map(key).collect())
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Why a signature does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No header, or an empty one.
    #[error("the Stripe-Signature header is missing")]
    Missing,
    /// More than [`HEADER_BYTES_MOST`].
    #[error("the Stripe-Signature header is too long")]
    TooLong,
    /// An item that is not `key=value`, or not exactly one whole number `t`.
    #[error("the Stripe-Signature header is malformed")]
    Malformed,
    /// No `v1` at all.
    #[error("the Stripe-Signature header holds no v1 signature")]
    NoSignature,
    /// No `v1` was made with any of the secrets for this body and time.
    #[error("no signature matches")]
    Mismatch,
    /// Signed by whom it should be, but too long ago or ahead.
    #[error("the signature's timestamp is outside the tolerance")]
    Stale,
}

/// Checks `header` against `body` at the time `now_seconds` (Unix time), and
/// returns the place, from 0, of the secret that signed.
///
/// The time is judged last, as in most SDKs, so that [`Refusal::Stale`] tells an
/// operator of a wrong clock or a replay, never of a stranger's guess.
pub fn verify(secrets: &Secrets, header: Option<&[u8]>, body: &[u8], now_seconds: i64) -> Result<usize, Refusal> {
    let header = header.filter(|h| !h.is_empty()).ok_or(Refusal::Missing)?;
    if header.len() > HEADER_BYTES_MOST {
        return Err(Refusal::TooLong);
    }
    let timestamp = timestamp(header)?;
    if signatures(header).next().is_none() {
        return Err(Refusal::NoSignature);
    }
    // That a first secret spares the HMACs of the others tells only those who
    // can sign which one it was.
    let signer = secrets
        .0
        .iter()
        .position(|secret| signed_by(secret, header, timestamp, body));
    let signer = signer.ok_or(Refusal::Mismatch)?;
    if now_seconds.abs_diff(timestamp) > TOLERANCE_SECONDS {
        return Err(Refusal::Stale);
    }
    Ok(signer)
}

/// Whether any `v1` of `header` is the HMAC by `secret`. Looks at all of them,
/// each in constant time.
fn signed_by(secret: &Hmac<Sha256>, header: &[u8], timestamp: i64, body: &[u8]) -> bool {
    let mut mac = secret.clone();
    // As the SDKs do, the number rather than its spelling is signed: `+5` is `5`.
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let expected: [u8; SIGNATURE_BYTES] = mac.finalize().into_bytes().into();
    let mut found = Choice::from(0);
    for signature in signatures(header) {
        let mut given = [0; SIGNATURE_BYTES];
        // What is not 64 hex digits matches nothing and harms no other.
        if hex::decode_to_slice(signature, &mut given).is_ok() {
            found |= given.ct_eq(&expected);
        }
    }
    found.into()
}

/// The one `t`. SDKs differ on a second one (the first or the last wins), so a
/// header with two means different things to different readers: refused.
fn timestamp(header: &[u8]) -> Result<i64, Refusal> {
    let mut found = None;
    for item in items(header) {
        let (key, value) = item.ok_or(Refusal::Malformed)?;
        if key == b"t" {
            let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            if found.replace(number.ok_or(Refusal::Malformed)?).is_some() {
                return Err(Refusal::Malformed);
            }
        }
    }
    found.ok_or(Refusal::Malformed)
}

/// The values of all `v1`s; other schemes are ignored.
fn signatures(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    items(header)
        .flatten()
        .filter(|(key, _)| *key == b"v1")
        .map(|(_, value)| value)
}

/// `key=value` items between commas. Whitespace around an item is dropped:
/// proxies put a blank after the comma (stripe-php#1001, stripe-java#1150), and
/// the PHP, Ruby and .NET SDKs accept that.
fn items(header: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    header.split(|b| *b == b',').map(|item| {
        let item = item.trim_ascii();
        let at = item.iter().position(|b| *b == b'=')?;
        Some((&item[..at], &item[at + 1..]))
    })
}
