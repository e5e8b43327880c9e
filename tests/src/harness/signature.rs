//! Signs webhooks as Stripe does.

use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};

/// The `Stripe-Signature` header of `body`, sent at `timestamp` (Unix time) and signed with `secret`.
/// (Stripe: Webhooks, "Verify webhook signatures manually".)
///
/// # Panics
/// Never: any secret will do as a key.
#[must_use]
pub fn sign(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length is a key");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    let signature = hex::encode(mac.finalize().into_bytes());
    format!("t={timestamp},v1={signature}")
}

/// The present time (Unix time).
///
/// # Panics
/// If the clock is before 1970.
#[must_use]
pub fn unix_now() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.expect("the clock stands after 1970").as_secs();
    i64::try_from(seconds).expect("the clock stands before the year 292277026596")
}

#[cfg(test)]
mod tests {
    use super::sign;

    #[test]
    fn a_signature_is_the_hmac_of_time_dot_body() {
        // echo -n '1700000000.{}' | openssl dgst -sha256 -hmac whsec_test
        let expected = "t=1700000000,v1=35495024f4ef3f94e5a93e22221544c4b75e9a42300cd965ab81cb85cd994e91";
        assert_eq!(sign("whsec_test", 1_700_000_000, b"{}"), expected);
    }
}
