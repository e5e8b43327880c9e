//! Verdicts on signatures: a table of cases, and a comparison with another implementation on
//! generated headers.

mod differential;
mod table;

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// When all webhooks of these tests arrive, in seconds since 1970.
const NOW: i64 = 1_700_000_000;
const SECRET: &str = "whsec_current";
const ROLLED: &str = "whsec_rolled";
const STRANGER: &str = "whsec_stranger";

/// The `v1` of `body`, signed with `secret` at `timestamp`: 64 hex digits.
fn sign(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(format!("{timestamp}.").as_bytes());
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}
