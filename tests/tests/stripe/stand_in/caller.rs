//! A plain client of the stand-in.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;
use tests::harness::{Answer, Client};
use tests::stripe::Stripe;

pub(crate) const KEY: &str = "sk_test_stand_in_0123456789";

/// A stand-in, and a connection to it that is kept.
pub(crate) struct Caller {
    pub(crate) stripe: Stripe,
    client: Client,
    pub(crate) key: &'static str,
}

impl Caller {
    pub(crate) async fn new() -> Result<Self> {
        let stripe = Stripe::start().await?;
        let address = stripe.base().strip_prefix("http://").context("no address")?.parse()?;
        Ok(Self {
            stripe,
            client: Client::new(address, ""),
            key: KEY,
        })
    }

    /// The whole answer to `request`, such as `POST /v1/products`, with `form` as its body.
    pub(crate) async fn send(&self, request: &str, form: &str, headers: &[(&str, &str)]) -> Result<Answer> {
        let (method, path) = request.split_once(' ').context("no method")?;
        let bearer = format!("Bearer {}", self.key);
        let always = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/x-www-form-urlencoded"),
        ];
        let headers = [&always, headers].concat();
        let (method, form) = (Method::from_bytes(method.as_bytes())?, form.to_owned());
        self.client.request(method, path, &headers, Bytes::from(form)).await
    }

    /// Status and JSON of an answer.
    pub(crate) async fn ask(&self, request: &str, form: &str) -> Result<(u16, Value)> {
        let answer = self.send(request, form, &[]).await?;
        let value = serde_json::from_str(&answer.body).with_context(|| answer.body.clone())?;
        Ok((answer.status.as_u16(), value))
    }

    /// The JSON of an answer with status 200, which must look as Stripe's document says.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        self.done(&format!("GET {path}"), "").await
    }

    pub(crate) async fn post(&self, path: &str, form: &str) -> Result<Value> {
        self.done(&format!("POST {path}"), form).await
    }

    pub(crate) async fn done(&self, request: &str, form: &str) -> Result<Value> {
        let (status, value) = self.ask(request, form).await?;
        ensure!(status == 200, "{request} {form}: {status} {value}");
        let (method, path) = request.split_once(' ').context("no method")?;
        let path = path.split('?').next().unwrap_or_default();
        let differences = self.stripe.differences(method, path, &value);
        ensure!(differences.is_empty(), "{request}: {differences:#?}");
        Ok(value)
    }

    /// Status, code, param and message of a refusal.
    pub(crate) async fn refused(&self, request: &str, form: &str) -> Result<(u16, String, String, String)> {
        let (status, value) = self.ask(request, form).await?;
        ensure!(status != 200, "{request} {form} is not refused: {value}");
        let text = |name: &str| value["error"][name].as_str().unwrap_or_default().to_owned();
        Ok((status, text("code"), text("param"), text("message")))
    }

    /// A product with a monthly price of it, by their ids.
    pub(crate) async fn plan(&self, product: &str) -> Result<String> {
        self.post("/v1/products", &format!("id={product}&name=Plan")).await?;
        self.price(product, "recurring[interval]=month").await
    }

    /// The id of a new price of `product`, 10 EUR unless `more` says else.
    pub(crate) async fn price(&self, product: &str, more: &str) -> Result<String> {
        let form = format!("product={product}&currency=eur&unit_amount=1000&{more}");
        id(&self.post("/v1/prices", &form).await?)
    }
}

pub(crate) fn id(object: &Value) -> Result<String> {
    Ok(object["id"].as_str().context("no id")?.to_owned())
}

/// The ids of a list, and whether there are more.
pub(crate) fn ids(list: &Value) -> (Vec<&str>, bool) {
    let objects = list["data"].as_array().into_iter().flatten();
    let ids = objects.map(|object| object["id"].as_str().unwrap_or_default());
    (ids.collect(), list["has_more"] == true)
}
