//! Reads `customer.subscription.*`.

use super::json::JsonObject;
use crate::{
    domain::{
        fact::{Digests, Period, Phase, Plan, Seconds, Snapshot, SubscriptionFact, entitled},
        ids::SubscriptionId,
    },
    failure::{Permanent, Refusal},
};
use shared::catalog::{Catalog, Limit, PriceClues};
use std::collections::BTreeSet;

pub(super) fn read(
    phase: Phase,
    event: JsonObject<'_>,
    data: JsonObject<'_>,
    object: JsonObject<'_>,
    catalog: &Catalog,
) -> Result<SubscriptionFact, Refusal> {
    let changed = data.object("previous_attributes", "data.previous_attributes")?;
    Ok(SubscriptionFact {
        subscription: SubscriptionId::new(object.own_id()?),
        phase,
        now: snapshot(object, phase, catalog)?,
        // It is only evidence for the order. A price of the past that the catalog does not have
        // is no reason to refuse the present state.
        before: changed.and_then(|previous| snapshot(object.before(previous), phase, catalog).ok()),
        request: request(event)?,
        // An object that a worker read has our API version, so its digest equals no event's digest.
        digests: (phase != Phase::Read).then(|| Digests {
            before: changed.map(|previous| object.before(previous).digest()),
            now: object.digest(),
        }),
    })
}

/// `request.id`, or `request` itself if it is only an id (before API version 2017-05-25).
pub(super) fn request(event: JsonObject<'_>) -> Result<Option<String>, Refusal> {
    match event.object("request", "request") {
        Ok(Some(request)) => Ok(request.text("id")?.map(str::to_owned)),
        Ok(None) => Ok(None),
        Err(_) => Ok(event.text("request")?.map(str::to_owned)),
    }
}

pub(super) fn snapshot(object: JsonObject<'_>, phase: Phase, catalog: &Catalog) -> Result<Snapshot, Refusal> {
    let status = object.required_text("status")?;
    let items = object.list("items", "data.object.items.data[]")?;
    let plan = plan(object, &items, catalog)?;
    // An event that ends an entitlement needs no known price.
    if plan.is_none() && entitled(status) && phase != Phase::Deleted {
        return Err(unknown_price(&items));
    }
    Ok(Snapshot {
        customer: object.id("customer")?.map(str::to_owned),
        user: object.metadata_user()?,
        status: status.to_owned(),
        plan,
        items: Vec::new(),
        period: period(object, &items)?,
        cancel_at_period_end: object.flag("cancel_at_period_end")?,
        cancel_at: object.seconds("cancel_at")?,
        canceled_at: object.seconds("canceled_at")?,
        trial_end: object.seconds("trial_end")?,
        latest_invoice: object.id("latest_invoice")?.map(str::to_owned),
        subscribed_at: object.seconds("created")?.unwrap_or_default(),
        collection_paused: object
            .object("pause_collection", "data.object.pause_collection")?
            .is_some(),
    })
}

/// The plan of the items' prices. Of several plans the one with the highest rank.
fn plan(object: JsonObject<'_>, items: &[JsonObject<'_>], catalog: &Catalog) -> Result<Option<Plan>, Refusal> {
    let mut best: Option<Plan> = None;
    for item in items {
        if let Some(price) = price(*item)?
            && let Some(plan) = resolve(price, catalog)?
            && best.as_ref().is_none_or(|b| b.rank < plan.rank)
        {
            best = Some(plan);
        }
    }
    match object.object("plan", "data.object.plan")? {
        Some(price) if items.is_empty() => resolve(price, catalog),
        _ => Ok(best),
    }
}

/// An item's `price`, or its `plan` in events from before there were prices.
fn price(item: JsonObject<'_>) -> Result<Option<JsonObject<'_>>, Refusal> {
    match item.object("price", "data.object.items.data[].price")? {
        Some(price) => Ok(Some(price)),
        None => item.object("plan", "data.object.items.data[].plan"),
    }
}

fn resolve(price: JsonObject<'_>, catalog: &Catalog) -> Result<Option<Plan>, Refusal> {
    let metadata = price.object("metadata", "price.metadata")?;
    let recurring = price.object("recurring", "price.recurring")?;
    let clues = PriceClues {
        lookup_key: price.text("lookup_key")?,
        metadata_tier: metadata.map_or(Ok(None), |m| m.text("tier"))?,
        product: price.id("product")?,
        // A plan has its interval as its own field, not below `recurring`.
        interval: recurring.unwrap_or(price).text("interval")?,
    };
    let id = price.own_id()?;
    Ok(catalog.resolve(clues).map(|(tier, limits)| Plan {
        price: id.to_owned(),
        item: None,
        quantity: 1,
        interval: None,
        tier: tier.name.clone(),
        rank: tier.rank,
        limits: limits.into_iter().map(|(meter, limit)| (meter, units(limit))).collect(),
        month_limits: None,
        trial_limits: None,
        caps: catalog.rollover_caps(),
        unprorated: BTreeSet::new(),
    }))
}

fn units(limit: Limit) -> Option<i64> {
    match limit {
        Limit::Units(units) => Some(units),
        Limit::Unlimited => None,
    }
}

/// The billing period. It is on the subscription, or since API version 2025-03-31 on its
/// items. If the items differ, the latest counts.
fn period(object: JsonObject<'_>, items: &[JsonObject<'_>]) -> Result<Option<Period>, Refusal> {
    if let Some(period) = period_of(object)? {
        return Ok(Some(period));
    }
    let periods = items
        .iter()
        .map(|item| period_of(*item))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(periods.into_iter().flatten().max_by_key(|p| (p.end, p.start)))
}

fn period_of(object: JsonObject<'_>) -> Result<Option<Period>, Refusal> {
    let bound = |key| -> Result<Option<Seconds>, Refusal> { object.seconds(key) };
    Ok(bound("current_period_start")?
        .zip(bound("current_period_end")?)
        .map(|(start, end)| Period { start, end }))
}

fn unknown_price(items: &[JsonObject<'_>]) -> Refusal {
    let ids: Vec<String> = items
        .iter()
        .filter_map(|item| price(*item).ok().flatten())
        .map(|p| {
            let text = |key| p.text(key).ok().flatten();
            format!(
                "{} (lookup key {})",
                text("id").unwrap_or("without id"),
                text("lookup_key").unwrap_or("none")
            )
        })
        .collect();
    let prices = if ids.is_empty() {
        "no price at all".to_owned()
    } else {
        ids.join(", ")
    };
    let detail = format!(
        "the catalog knows no tier for {prices}; add the lookup key or the product to CATALOG_FILE, or set metadata.tier on the price, restart the workers, then replay"
    );
    Refusal::new(Permanent::UnknownPrice, detail)
}
