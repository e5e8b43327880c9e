//! Login to the worker's console.

use crate::harness::{Client, OPS_TOKEN};
use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;

/// Logs in with the right token; returns the value for the `Cookie` header.
///
/// # Errors
/// When the login fails.
pub async fn console_session(client: &Client) -> Result<String> {
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let body = Bytes::from(format!("operator=Tester&token={OPS_TOKEN}"));
    let answer = client.request(Method::POST, "/console/login", &headers, body).await?;
    let cookie = answer.headers.get("set-cookie");
    let cookie = cookie.with_context(|| format!("not let in: {} {}", answer.status, answer.body))?;
    let (cookie, _) = cookie.to_str()?.split_once(';').context("a cookie has attributes")?;
    Ok(cookie.to_owned())
}
