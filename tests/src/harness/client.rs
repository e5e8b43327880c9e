//! An HTTP client with one keep-alive connection, like Stripe's senders.

use crate::fixtures::Event;
use crate::harness::{USAGE_TOKEN, sign, unix_now};
use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::Mutex;

/// How long the client waits for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: StatusCode,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub body: String,
}

/// A client of one server. Its requests use one connection, one after the other. Each clone has its own.
#[derive(Debug)]
pub struct Client {
    server: SocketAddr,
    secret: String,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self::new(self.server, &self.secret)
    }
}

impl Client {
    /// A client of `server` that signs with `secret`. It connects at its first request.
    #[must_use]
    pub fn new(server: SocketAddr, secret: &str) -> Self {
        Self {
            server,
            secret: secret.to_owned(),
            connection: Mutex::new(None),
        }
    }

    /// The address of the server.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// Posts `event` as Stripe does, signed now.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post_event(&self, event: &Event) -> Result<Answer> {
        self.post_signed(Bytes::copy_from_slice(event.body.as_bytes())).await
    }

    /// Posts any `body` to the webhook's route, signed now.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post_signed(&self, body: Bytes) -> Result<Answer> {
        let signature = sign(&self.secret, unix_now(), &body);
        let headers = [
            ("content-type", "application/json; charset=utf-8"),
            ("stripe-signature", &signature),
        ];
        self.post_raw(&headers, body).await
    }

    /// Posts any `body` with any `headers` to the webhook's route.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post_raw(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Result<Answer> {
        self.request(Method::POST, "/webhooks/stripe", headers, body.into())
            .await
    }

    /// Posts usage reports: an array as a batch, anything else as one event.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post_usage(&self, reports: &Value) -> Result<Answer> {
        let content_type = if reports.is_array() {
            "application/cloudevents-batch+json"
        } else {
            "application/cloudevents+json"
        };
        self.post_usage_raw(content_type, reports.to_string()).await
    }

    /// Posts any `body` to the route of usage reports, with the right token.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn post_usage_raw(&self, content_type: &str, body: impl Into<Bytes>) -> Result<Answer> {
        let token = format!("Bearer {USAGE_TOKEN}");
        let headers = [("authorization", token.as_str()), ("content-type", content_type)];
        self.request(Method::POST, "/v1/usage", &headers, body.into()).await
    }

    /// Gets `path`.
    ///
    /// # Errors
    /// When no answer comes.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        self.request(Method::GET, path, &[], Bytes::new()).await
    }

    /// Makes any request.
    ///
    /// # Errors
    /// When no answer comes within half a minute.
    pub async fn request(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.server.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body))?;
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.exchange(request)).await;
        answer.with_context(|| format!("{} gave no answer in {ANSWER_TIMEOUT:?}", self.server))?
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut slot = self.connection.lock().await;
        // Taken out, so that a connection with a failed or cancelled request is not used again.
        let open = match slot.take() {
            Some(mut open) => open.ready().await.is_ok().then_some(open),
            None => None,
        };
        let mut connection = match open {
            Some(open) => open,
            None => connect(self.server).await?,
        };
        let response = connection.send_request(request).await?;
        let (head, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        *slot = Some(connection);
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

impl Answer {
    /// Checks that the status is 200.
    ///
    /// # Errors
    /// Names the status and the body otherwise.
    pub fn accepted(&self) -> Result<()> {
        if self.status != StatusCode::OK {
            bail!("answered {} {}", self.status, self.body);
        }
        Ok(())
    }

    /// Checks that the status is 503, with `Retry-After`.
    ///
    /// # Errors
    /// Names the status and the body, or the header, otherwise.
    pub fn refused_for_now(&self) -> Result<()> {
        ensure!(self.status == 503, "answered {} {}", self.status, self.body);
        let retry_after = self.headers.get("retry-after").context("no Retry-After")?;
        let seconds: u32 = retry_after.to_str()?.parse().context("Retry-After")?;
        ensure!((1..60).contains(&seconds), "Retry-After: {seconds}");
        Ok(())
    }
}

async fn connect(server: SocketAddr) -> Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(server).await;
    let stream = stream.with_context(|| format!("cannot connect to {server}"))?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    // The next request sees how it ended.
    tokio::spawn(connection);
    Ok(sender)
}
