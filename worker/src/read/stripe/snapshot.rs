//! A subscription that was read from Stripe's API, and the message that carries
//! it to the work queue: shaped like an event, but said to be none by its source.

use super::{json::Object, subscription, tree::Json};
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

/// The `type` of such a message.
pub const KIND: &str = "tollbridge.subscription.snapshot";

/// A subscription as Stripe's API shows it.
#[derive(Debug)]
pub struct Shown {
    /// Which one.
    pub id: SubscriptionId,
    /// `livemode`
    pub live: bool,
    /// What we read of it, or why it is refused.
    pub snapshot: Result<Snapshot, Refusal>,
}

/// Reads a subscription object.
///
/// # Errors
/// When it is none.
pub fn read(object: &RawValue, catalog: &Catalog) -> Result<Shown, Refusal> {
    let value: Json<'_> = serde_json::from_str(object.get())
        .map_err(|e| Refusal::malformed(format!("the subscription is not JSON: {e}")))?;
    let object = Object::of(&value, "the subscription")?;
    Ok(Shown {
        id: SubscriptionId::new(object.own_id()?),
        live: object.flag("livemode")?,
        snapshot: subscription::snapshot(object, Phase::Read, catalog),
    })
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    created: Seconds,
    livemode: bool,
    /// Why it was read, for people.
    found: &'a [Drift],
    data: Data<'a>,
}

#[derive(Serialize)]
struct Data<'a> {
    object: &'a RawValue,
}

/// The id and the body of the message about a subscription that stood so `at` a
/// time, by Stripe's clock. The id of one that will be refused is of its content
/// alone: it is one dead letter, however often it is read.
///
/// # Errors
/// None that can be expected: all of it is JSON.
pub fn message(
    shown: &Shown,
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

/// What stands for a subscription that Stripe does not have any more, such as
/// one of a test clock that was deleted.
///
/// # Errors
/// None that can be expected.
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
