//! `customer.subscription.*`

use super::json::Object;
use crate::{
    domain::{
        fact::{Digests, Period, Phase, Plan, Seconds, Snapshot, SubscriptionFact, entitled},
        ids::SubscriptionId,
    },
    failure::{Permanent, Refusal},
};
use shared::catalog::{Catalog, Limit, PriceClues};

pub(super) fn read(
    phase: Phase,
    event: Object<'_>,
    data: Object<'_>,
    object: Object<'_>,
    catalog: &Catalog,
) -> Result<SubscriptionFact, Refusal> {
    let changed = data.object("previous_attributes", "data.previous_attributes")?;
    Ok(SubscriptionFact {
        subscription: SubscriptionId::new(object.own_id()?),
        phase,
        now: snapshot(object, phase, catalog)?,
        // Evidence for the order only: what the catalog does not know of the past is no reason to refuse the present.
        before: changed.and_then(|previous| snapshot(object.before(previous), phase, catalog).ok()),
        request: request(event)?,
        // What was read is of our own API version, and can be told from no event's.
        digests: (phase != Phase::Read).then(|| Digests {
            before: changed.map(|previous| object.before(previous).print()),
            now: object.print(),
        }),
    })
}

/// `request.id`, or the request itself where it is only an id (before 2017-05-25).
pub(super) fn request(event: Object<'_>) -> Result<Option<String>, Refusal> {
    match event.object("request", "request") {
        Ok(Some(request)) => Ok(request.text("id")?.map(str::to_owned)),
        Ok(None) => Ok(None),
        Err(_) => Ok(event.text("request")?.map(str::to_owned)),
    }
}

pub(super) fn snapshot(object: Object<'_>, phase: Phase, catalog: &Catalog) -> Result<Snapshot, Refusal> {
    let status = object.required_text("status")?;
    let items = object.list("items", "data.object.items.data[]")?;
    let plan = plan(object, &items, catalog)?;
    // What ends an entitlement ends it whatever the price.
    if plan.is_none() && entitled(status) && phase != Phase::Deleted {
        return Err(unknown_price(&items));
    }
    Ok(Snapshot {
        customer: object.id("customer")?.map(str::to_owned),
        user: object.metadata_user()?,
        status: status.to_owned(),
        plan,
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

/// The plan of the items' prices; of several known ones the highest.
fn plan(object: Object<'_>, items: &[Object<'_>], catalog: &Catalog) -> Result<Option<Plan>, Refusal> {
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

/// An item's `price`, or its `plan` where it is from before prices.
fn price(item: Object<'_>) -> Result<Option<Object<'_>>, Refusal> {
    match item.object("price", "data.object.items.data[].price")? {
        Some(price) => Ok(Some(price)),
        None => item.object("plan", "data.object.items.data[].plan"),
    }
}

fn resolve(price: Object<'_>, catalog: &Catalog) -> Result<Option<Plan>, Refusal> {
    let metadata = price.object("metadata", "price.metadata")?;
    let recurring = price.object("recurring", "price.recurring")?;
    let clues = PriceClues {
        lookup_key: price.text("lookup_key")?,
        metadata_tier: metadata.map_or(Ok(None), |m| m.text("tier"))?,
        product: price.id("product")?,
        // A plan has its interval beside, not below `recurring`.
        interval: recurring.unwrap_or(price).text("interval")?,
    };
    let id = price.own_id()?;
    Ok(catalog.resolve(clues).map(|(tier, limits)| Plan {
        price: id.to_owned(),
        tier: tier.name.clone(),
        rank: tier.rank,
        limits: limits.into_iter().map(|(meter, limit)| (meter, units(limit))).collect(),
        caps: catalog.rollover_caps(),
    }))
}

fn units(limit: Limit) -> Option<i64> {
    match limit {
        Limit::Units(units) => Some(units),
        Limit::Unlimited => None,
    }
}

/// The billing period: on the subscription, or since 2025-03-31 on its items
/// (the latest, should they differ).
fn period(object: Object<'_>, items: &[Object<'_>]) -> Result<Option<Period>, Refusal> {
    if let Some(period) = period_of(object)? {
        return Ok(Some(period));
    }
    let periods = items
        .iter()
        .map(|item| period_of(*item))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(periods.into_iter().flatten().max_by_key(|p| (p.end, p.start)))
}

fn period_of(object: Object<'_>) -> Result<Option<Period>, Refusal> {
    let bound = |key| -> Result<Option<Seconds>, Refusal> { object.seconds(key) };
    Ok(bound("current_period_start")?
        .zip(bound("current_period_end")?)
        .map(|(start, end)| Period { start, end }))
}

fn unknown_price(items: &[Object<'_>]) -> Refusal {
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
