//! Verifies Stripe's webhook signature, scheme `v1` (Stripe's page "Webhooks", "Verify webhook
//! signatures manually"). The header is `Stripe-Signature: t=1700000000,v1=…,v1=…,v0=…`, and
//! a `v1` is the HMAC-SHA256 of `{t}.{body}` in hex.
//!
//! Pure. A hostile header costs little: nothing is allocated per signature, and each secret
//! costs one HMAC for any number of signatures.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::fmt;
use subtle::{Choice, ConstantTimeEq};

/// Most seconds between `t` and now, before or after. It is the default of Stripe's SDKs. Most
/// SDKs accept any time in the future. stripe-php and this function do not, because such a
/// signature could be replayed for a long time.
pub const TOLERANCE_SECONDS_MAX: u64 = 300;

/// Most bytes of the header. Stripe's own header has less than 1 KiB; this limit has room for
/// a thousand signatures.
pub const HEADER_BYTES_MAX: usize = 80 * 1024;

const SIGNATURE_BYTES: usize = 32;

/// The signing secrets of one endpoint. Several are valid while one is rolled.
#[derive(Clone)]
pub struct Secrets(Vec<Hmac<Sha256>>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} secrets]", self.0.len())
    }
}

impl Secrets {
    /// Takes secrets as Stripe's Dashboard shows them, including `whsec_`.
    ///
    /// # Panics
    /// Never: HMAC accepts a key of any length.
    #[must_use]
    pub fn new(secrets: &[&str]) -> Self {
        let key = |secret: &&str| Hmac::new_from_slice(secret.as_bytes()).expect("any length is a key");
        Self(secrets.iter().map(key).collect())
    }

    /// The number of secrets.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }
}

/// Why a signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// There is no header, or it is empty.
    #[error("the Stripe-Signature header is missing")]
    Missing,
    /// The header is longer than [`HEADER_BYTES_MAX`].
    #[error("the Stripe-Signature header is too long")]
    TooLong,
    /// An item is not `key=value`, or there is not exactly one whole number `t`.
    #[error("the Stripe-Signature header is malformed")]
    Malformed,
    /// The header has no `v1`.
    #[error("the Stripe-Signature header has no v1 signature")]
    NoSignature,
    /// No `v1` matches the body and the time with any of the secrets.
    #[error("no signature matches")]
    Mismatch,
    /// The signature matches, but its time is too far in the past or in the future.
    #[error("the signature's timestamp is outside the tolerance")]
    Stale,
}

/// Checks `header` against `body` at the time `now_seconds` (seconds since 1970). Returns the
/// index, from 0, of the first secret that matches.
///
/// The time is checked last, as in most SDKs. So [`SignatureError::Stale`] always means a wrong
/// clock or a replay, and never a guessed signature.
///
/// # Errors
/// If no signature is valid; see [`SignatureError`].
pub fn verify(
    secrets: &Secrets,
    header: Option<&[u8]>,
    body: &[u8],
    now_seconds: i64,
) -> Result<usize, SignatureError> {
    let Some(header @ [_, ..]) = header else {
        return Err(SignatureError::Missing);
    };
    if header.len() > HEADER_BYTES_MAX {
        return Err(SignatureError::TooLong);
    }
    let timestamp = timestamp(header)?;
    if signatures(header).next().is_none() {
        return Err(SignatureError::NoSignature);
    }
    // Stopping at the first match leaks which secret it was, but only to a sender who can sign.
    let signer = secrets
        .0
        .iter()
        .position(|secret| signed_by(secret, header, timestamp, body));
    let signer = signer.ok_or(SignatureError::Mismatch)?;
    if now_seconds.abs_diff(timestamp) > TOLERANCE_SECONDS_MAX {
        return Err(SignatureError::Stale);
    }
    Ok(signer)
}

/// Whether any `v1` of `header` is the HMAC with `secret`. Compares all of them, each in
/// constant time.
fn signed_by(secret: &Hmac<Sha256>, header: &[u8], timestamp: i64, body: &[u8]) -> bool {
    let mut mac = secret.clone();
    // As in the SDKs, the number counts and not its spelling: `+5` is `5`.
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let expected: [u8; SIGNATURE_BYTES] = mac.finalize().into_bytes().into();
    let mut found = Choice::from(0);
    for signature in signatures(header) {
        let mut given = [0; SIGNATURE_BYTES];
        // A value that is not 64 hex digits matches nothing; the other values still count.
        if hex::decode_to_slice(signature, &mut given).is_ok() {
            found |= given.ct_eq(&expected);
        }
    }
    found.into()
}

/// The only `t`. A second one is refused: some SDKs use the first one and some the last, so
/// such a header has no single meaning.
fn timestamp(header: &[u8]) -> Result<i64, SignatureError> {
    let mut found = None;
    for item in items(header) {
        let (key, value) = item.ok_or(SignatureError::Malformed)?;
        if key == b"t" {
            let number = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
            if found.replace(number.ok_or(SignatureError::Malformed)?).is_some() {
                return Err(SignatureError::Malformed);
            }
        }
    }
    found.ok_or(SignatureError::Malformed)
}

/// The values of all `v1` items. Other schemes are ignored.
fn signatures(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    items(header)
        .flatten()
        .filter(|(key, _)| *key == b"v1")
        .map(|(_, value)| value)
}

/// The `key=value` items between commas; `None` for an item without `=`. White space around an
/// item is dropped: some proxies add a space after the comma (stripe-php#1001,
/// stripe-java#1150), and the PHP, Ruby and .NET SDKs accept that.
fn items(header: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    header.split(|b| *b == b',').map(|item| {
        let item = item.trim_ascii();
        let at = item.iter().position(|b| *b == b'=')?;
        Some((&item[..at], &item[at + 1..]))
    })
}
