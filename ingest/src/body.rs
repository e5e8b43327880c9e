//! A request's body, bounded in size and time.

use axum::body::Body;
use http_body_util::BodyExt;
use std::time::Duration;

/// A body over the limit is read on, and thrown away, up to so many bytes: a
/// server that closes with bytes unread resets the connection, and the client
/// loses the answer.
const READ_BYTES_MOST: usize = 64 * 1024 * 1024;

/// How long the body of a request that is refused by its headers may take to
/// pass by.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Limits of a body.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The most bytes that are accepted.
    pub bytes_most: usize,
    /// How long it may take from the headers to its end.
    pub timeout: Duration,
}

/// Why there is no body to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// Over the limit.
    #[error("the body is too large")]
    TooLarge,
    /// Not there in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// The client went away or broke the protocol.
    #[error("the body did not arrive whole")]
    Broken,
}

/// Reads all of `body`.
pub async fn read(body: Body, limits: Limits) -> Result<Vec<u8>, BodyError> {
    tokio::time::timeout(limits.timeout, collect(body, limits.bytes_most))
        .await
        .unwrap_or(Err(BodyError::TooSlow))
}

/// Lets `body` pass by unseen, for as long as an honest sender takes, so that it
/// gets the answer to its headers.
pub async fn discard(body: Body) {
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, collect(body, 0)).await;
}

async fn collect(mut body: Body, bytes_most: usize) -> Result<Vec<u8>, BodyError> {
    let mut held = Vec::new();
    let mut bytes_seen = 0_usize;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else {
            continue; // trailers
        };
        bytes_seen = bytes_seen.saturating_add(data.len());
        if bytes_seen <= bytes_most {
            held.extend_from_slice(&data);
        } else {
            held = Vec::new();
            if bytes_seen > READ_BYTES_MOST {
                break;
            }
        }
    }
    if bytes_seen > bytes_most {
        return Err(BodyError::TooLarge);
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use std::convert::Infallible;

    const LIMITS: Limits = Limits {
        bytes_most: 10,
        timeout: Duration::from_millis(20),
    };

    #[tokio::test]
    async fn a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not() {
        assert_eq!(read(Body::from("0123456789"), LIMITS).await, Ok(b"0123456789".to_vec()));
        assert_eq!(read(Body::from("0123456789a"), LIMITS).await, Err(BodyError::TooLarge));
        assert_eq!(read(Body::empty(), LIMITS).await, Ok(Vec::new()));
    }

    #[tokio::test]
    async fn a_body_that_never_ends_is_cut_off() {
        let endless = stream::repeat_with(|| Ok::<_, Infallible>(vec![0; 1024 * 1024]));
        assert_eq!(read(Body::from_stream(endless), LIMITS).await, Err(BodyError::TooLarge));
    }

    #[tokio::test]
    async fn a_body_that_stalls_is_cut_off() {
        let stalled = stream::pending::<Result<&str, Infallible>>();
        assert_eq!(read(Body::from_stream(stalled), LIMITS).await, Err(BodyError::TooSlow));
    }
}
