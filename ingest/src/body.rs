//! Reads a request's body, with limits for its size and its time.

use axum::body::Body;
use http_body_util::BodyExt;
use std::time::Duration;

/// Most bytes to read and discard of a body that is over its limit. A server that closes a
/// connection with unread bytes resets it, and then the client never gets the answer.
const DISCARDED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Longest time to read and discard the body of a request that its headers already refuse.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits of a request's body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Most bytes of an accepted body.
    pub bytes_max: usize,
    /// Longest time between the headers and the end of the body.
    pub timeout: Duration,
}

/// Why a body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// It is over the limit.
    #[error("the body is too large")]
    TooLarge,
    /// It did not arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The client closed the connection or broke the protocol.
    #[error("the body did not arrive completely")]
    Broken,
}

/// Reads all of `body`.
///
/// # Errors
/// If it is over a limit, or the client does not send all of it.
pub async fn read(body: Body, limits: BodyLimits) -> Result<Vec<u8>, BodyError> {
    tokio::time::timeout(limits.timeout, collect(body, limits.bytes_max))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

/// Reads and discards `body`, so that the client can read the answer. Gives up after a second.
pub async fn discard(body: Body) {
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, collect(body, 0)).await;
}

async fn collect(mut body: Body, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let mut kept = Vec::new();
    let mut bytes_seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue; // trailers
        };
        bytes_seen = bytes_seen.saturating_add(data.len());
        if bytes_seen <= bytes_max {
            kept.extend_from_slice(&data);
        } else {
            kept = Vec::new();
            if bytes_seen > DISCARDED_BYTES_MAX {
                break;
            }
        }
    }
    if bytes_seen > bytes_max {
        return Err(BodyError::TooLarge);
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::convert::Infallible;

    const LIMITS: BodyLimits = BodyLimits {
        bytes_max: 10,
        timeout: Duration::from_millis(20),
    };

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(read(Body::from("0123456789"), LIMITS).await, Ok(b"0123456789".to_vec()));
        assert_eq!(read(Body::from("0123456789a"), LIMITS).await, Err(BodyError::TooLarge));
        assert_eq!(read(Body::empty(), LIMITS).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_refused() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(vec![0; 1024 * 1024]));
        assert_eq!(read(Body::from_stream(endless), LIMITS).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_refused() {
        let stalled = stream::pending::<Result<&str, Infallible>>();
        assert_eq!(read(Body::from_stream(stalled), LIMITS).await, Err(BodyError::TooSlow));
    }
}
