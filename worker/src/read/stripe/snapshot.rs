//! A subscription that a worker read from Stripe's API, and the message that carries it to
//! the work queue. Its body has the shape of an event. Its source header
//! marks it as a snapshot, not an event.

use super::{
    json::JsonObject,
    subscription::{self, SubscriptionContext},
    tree,
};
use crate::{
    domain::{
        fact::{Phase, Seconds, Snapshot},
        ids::SubscriptionId,
        subscription::drift::Drift,
    },
    failure::Refusal,
};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use shared::catalog::Catalog;

/// The type of such a message.
pub const KIND: &str = "tollbridge.subscription.snapshot";

/// A subscription that was read from Stripe's API.
#[derive(Debug)]
pub struct StripeSubscription {
    /// Its id.
    pub id: SubscriptionId,
    /// `livemode`.
    pub live: bool,
    /// The fields that we need, or why it is refused.
    pub snapshot: Result<Snapshot, Refusal>,
    /// Whether it is refused because its list of items was cut.
    pub cut: bool,
}

/// Reads a subscription object that Stripe showed at the time `at`, with Stripe's list of its
/// items, if it was asked for.
///
/// # Errors
/// If it is not a subscription.
pub fn read(
    object: &RawValue,
    items: Option<&[u8]>,
    at: Seconds,
    catalog: &Catalog,
) -> Result<StripeSubscription, Refusal> {
    let read = |all_items: Option<&[JsonObject<'_>]>| {
        tree::parse(object.get().as_bytes(), |json| {
            let json = json.map_err(|e| Refusal::malformed(format!("the subscription is not JSON: {e}")))?;
            let object = JsonObject::of(&json, "the subscription")?;
            let context = SubscriptionContext {
                catalog,
                phase: Phase::Read,
                at,
                all_items,
            };
            let (_, has_more) = object.page("items", "the subscription's items")?;
            let snapshot = subscription::snapshot(object, context);
            Ok(StripeSubscription {
                id: SubscriptionId::new(object.own_id()?),
                live: object.flag("livemode")?,
                cut: has_more && all_items.is_none() && snapshot.is_err(),
                snapshot,
            })
        })
    };
    match items {
        None => read(None),
        Some(items) => tree::parse(items, |json| {
            let json = json.map_err(|e| Refusal::malformed(format!("the list of items is not JSON: {e}")))?;
            let items = JsonObject::of(&json, "the list of items")?.list("data", "the list of items")?;
            read(Some(&items))
        }),
    }
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    created: Seconds,
    livemode: bool,
    /// The differences from the stored state, for people.
    found: &'a [Drift],
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    object: &'a RawValue,
}

/// The id and the body of the message about a subscription. `at` is a time at which the
/// subscription had this state, in seconds since 1970 by Stripe's clock. The id of a
/// subscription that will be refused does not depend on `at`, so that it becomes one dead
/// letter, however often it is read.
///
/// # Errors
/// None are expected, because all parts are JSON.
pub fn message(
    shown: &StripeSubscription,
    object: &RawValue,
    at: Seconds,
    found: &[Drift],
) -> Result<(String, Vec<u8>), serde_json::Error> {
    let subscription = &shown.id;
    let digest = hex::encode(Sha256::digest(object.get()));
    let digest = &digest[..16];
    let id = if shown.snapshot.is_ok() {
        format!("snapshot:{subscription}:{at}:{digest}")
    } else {
        format!("snapshot:{subscription}:{digest}")
    };
    let body = Body {
        id: &id,
        object: "tollbridge.snapshot",
        kind: KIND,
        created: at,
        livemode: shown.live,
        found,
        data: Data { object },
    };
    let body = serde_json::to_vec(&body)?;
    Ok((id, body))
}

/// A canceled subscription object, for a subscription that Stripe does not have any more,
/// such as one of a deleted test clock. `last` is its last known state.
///
/// # Errors
/// None are expected, because all parts are JSON.
pub fn gone(id: &SubscriptionId, last: &Snapshot, live: bool) -> Result<Box<RawValue>, serde_json::Error> {
    serde_json::value::to_raw_value(&serde_json::json!({
        "id": id.as_str(),
        "object": "subscription",
        "customer": last.customer,
        "status": "canceled",
        "created": last.subscribed_at,
        "cancel_at_period_end": false,
        "cancel_at": last.cancel_at,
        "canceled_at": last.canceled_at,
        "latest_invoice": last.latest_invoice,
        "livemode": live,
        "items": {"object": "list", "data": []},
        "metadata": last.user.as_ref().map(|user| serde_json::json!({"user_id": user.as_str()})),
    }))
}
