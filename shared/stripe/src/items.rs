//! The line items of a checkout session: what it sold. And the items of a subscription.

use crate::{client::Api, error::ApiError, form::Form, path::is_id, read::ApiAnswer};
use serde::Deserialize;
use std::collections::HashMap;

/// One line of a checkout session (API reference, "The line item object").
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineItem {
    /// The number of pieces. Absent means one.
    pub quantity: Option<i64>,
    /// The price of one piece.
    pub price: Option<LineItemPrice>,
}

/// The price of a line.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LineItemPrice {
    /// `price_…`
    pub id: Option<String>,
    /// The merchant's own name of the price.
    pub lookup_key: Option<String>,
    /// Notes of the merchant's on the price, such as `pack`.
    pub metadata: Option<HashMap<String, String>>,
    /// The id of the product that it sells.
    pub product: Option<String>,
}

#[derive(Deserialize)]
struct LineItemList {
    data: Vec<LineItem>,
}

impl Api {
    /// Sends `GET /v1/checkout/sessions/{id}/line_items` once. A session has 100 line items
    /// at most, so one page has all of them.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::NoId`] if `session` is not an id.
    pub async fn line_items(&self, session: &str) -> Result<Vec<LineItem>, ApiError> {
        if !is_id(session) {
            return Err(ApiError::NoId);
        }
        let path = format!("/checkout/sessions/{session}/line_items");
        let answer = self.get_once(&path, &Form::new().with("limit", &100)).await?;
        Ok(answer.json::<LineItemList>()?.data)
    }
}

impl Api {
    /// Sends `GET /v1/subscription_items` for a subscription once, and returns the answer as it
    /// is: a list. A subscription has far fewer items than one page of 100.
    ///
    /// # Errors
    /// See [`ApiError`]; [`ApiError::NoId`] if `subscription` is not an id.
    pub async fn subscription_items(&self, subscription: &str) -> Result<ApiAnswer, ApiError> {
        if !is_id(subscription) {
            return Err(ApiError::NoId);
        }
        let query = Form::new().with("subscription", subscription).with("limit", &100);
        self.get_once("/subscription_items", &query).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_with_what_it_has_and_without_what_it_lacks() {
        let read = |json: &str| serde_json::from_str::<LineItemList>(json).expect("Stripe's shape").data;
        let lines = read(
            r#"{"object":"list","url":"/v1/x","has_more":false,"data":[
                {"id":"li_1","object":"item","amount_total":500,"quantity":3,"taxes":[{"amount":1}],
                 "price":{"id":"price_1","lookup_key":"k","metadata":{"pack":"p"},"product":"prod_1","tiers":null}},
                {"quantity":null,"price":{"lookup_key":null,"metadata":{}}},
                {"price":null}, {}]}"#,
        );
        assert_eq!(lines.len(), 4);
        let price = lines[0].price.as_ref().expect("a price");
        assert_eq!((lines[0].quantity, price.lookup_key.as_deref()), (Some(3), Some("k")));
        assert_eq!(price.product.as_deref(), Some("prod_1"));
        assert_eq!(
            price.metadata.as_ref().and_then(|m| m.get("pack")).map(String::as_str),
            Some("p")
        );
        assert_eq!(lines[1].quantity, None);
        assert!(lines[2].price.is_none() && lines[3].price.is_none());
        assert!(read(r#"{"data":[]}"#).is_empty());
    }
}
