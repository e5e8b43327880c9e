//! Reads `customer.subscription.*`.

use super::{
    item::{self, PricedItem},
    json::JsonObject,
};
use crate::{
    domain::{
        fact::{Digests, Phase, Seconds, Snapshot, SubscriptionFact, entitled},
        ids::SubscriptionId,
    },
    failure::{Permanent, Refusal},
};
use shared::catalog::Catalog;

/// What is needed to read a subscription, besides its object.
#[derive(Clone, Copy)]
pub(super) struct SubscriptionContext<'a> {
    pub(super) catalog: &'a Catalog,
    pub(super) phase: Phase,
    /// The time of the state that the object shows, in seconds since 1970.
    pub(super) at: Seconds,
    /// All items, as Stripe answered later. `None` if it was not asked.
    pub(super) all_items: Option<&'a [JsonObject<'a>]>,
}

/// What an event says of a subscription.
pub(super) enum ReadSubscription {
    /// All that we need.
    Whole(Box<SubscriptionFact>),
    /// Its list of items was cut, and the shown items do not decide which one is the plan.
    /// The refusal applies if Stripe cannot be asked.
    Cut(Box<SubscriptionFact>, Refusal),
    /// It is about nothing else than `ignored_products`.
    OtherProduct,
}

pub(super) fn read<'a>(
    event: JsonObject<'a>,
    data: JsonObject<'a>,
    object: JsonObject<'a>,
    context: SubscriptionContext<'a>,
) -> Result<ReadSubscription, Refusal> {
    let changed = data.object("previous_attributes", "data.previous_attributes")?;
    let before = changed.map(|previous| object.before(previous));
    let items = ReadItems::read(object, context)?;
    // A subscription that leaves our products for another one is not only about that one.
    let was_ignored = |object| ReadItems::read(object, context).is_ok_and(|items| items.are_ignored(context));
    if items.are_ignored(context) && before.is_none_or(was_ignored) {
        return Ok(ReadSubscription::OtherProduct);
    }
    let (now, unknown) = snapshot_of(object, &items, context)?;
    let fact = Box::new(SubscriptionFact {
        subscription: SubscriptionId::new(object.own_id()?),
        phase: context.phase,
        now,
        // It is only evidence for the order. A price of the past that the catalog does not have
        // is no reason to refuse the present state.
        before: before.and_then(|before| snapshot(before, context).ok()),
        request: request(event)?,
        // An object that a worker read has our API version, so its digest equals no event's digest.
        digests: (context.phase != Phase::Read).then(|| Digests {
            before: before.map(JsonObject::digest),
            now: object.digest(),
        }),
    });
    match unknown {
        None => Ok(ReadSubscription::Whole(fact)),
        Some(refusal) if items.cut => Ok(ReadSubscription::Cut(fact, refusal)),
        Some(refusal) => Err(refusal),
    }
}

/// `request.id`, or `request` itself if it is only an id (before API version 2017-05-25).
pub(super) fn request(event: JsonObject<'_>) -> Result<Option<String>, Refusal> {
    match event.object("request", "request") {
        Ok(Some(request)) => Ok(request.text("id")?.map(str::to_owned)),
        Ok(None) => Ok(None),
        Err(_) => Ok(event.text("request")?.map(str::to_owned)),
    }
}

/// The state of a subscription.
///
/// # Errors
/// If a field is wrong, or the plan is needed and not known.
pub(super) fn snapshot<'a>(object: JsonObject<'a>, context: SubscriptionContext<'a>) -> Result<Snapshot, Refusal> {
    let (snapshot, unknown) = snapshot_of(object, &ReadItems::read(object, context)?, context)?;
    unknown.map_or(Ok(snapshot), Err)
}

/// The state, and why it cannot be applied if its plan is needed and not known.
fn snapshot_of(
    object: JsonObject<'_>,
    items: &ReadItems<'_>,
    context: SubscriptionContext<'_>,
) -> Result<(Snapshot, Option<Refusal>), Refusal> {
    let status = object.required_text("status")?;
    let plan = items.plan_item();
    let snapshot = Snapshot {
        customer: object.id("customer")?.map(str::to_owned),
        user: object.metadata_user()?,
        status: status.to_owned(),
        plan: plan.map_or(Ok(None), |item| item.plan(context.catalog))?,
        items: items.all.iter().map(|i| i.item.clone()).collect(),
        period: item::period(object, &items.all, plan, items.cut)?,
        cancel_at_period_end: object.flag("cancel_at_period_end")?,
        cancel_at: object.seconds("cancel_at")?,
        canceled_at: object.seconds("canceled_at")?,
        trial_end: object.seconds("trial_end")?,
        latest_invoice: object.id("latest_invoice")?.map(str::to_owned),
        subscribed_at: object.seconds("created")?.unwrap_or_default(),
        collection_paused: object
            .object("pause_collection", "data.object.pause_collection")?
            .is_some(),
    };
    // An event that ends an entitlement needs no known price.
    let needs_plan = entitled(status) && context.phase != Phase::Deleted;
    let unknown = (needs_plan && plan.is_none()).then(|| items.unknown_price());
    Ok((snapshot, unknown))
}

/// The items of a subscription.
struct ReadItems<'a> {
    all: Vec<PricedItem<'a>>,
    /// The event shows only the first page of them, and Stripe was not asked for the others.
    cut: bool,
}

impl<'a> ReadItems<'a> {
    fn read(object: JsonObject<'a>, context: SubscriptionContext<'a>) -> Result<Self, Refusal> {
        let (shown, has_more) = object.page("items", "data.object.items.data[]")?;
        let mut all = Vec::with_capacity(shown.len());
        for item in shown {
            all.extend(PricedItem::read(item, context.catalog)?);
        }
        if all.is_empty() {
            all.extend(PricedItem::of_plan(object, context.catalog)?);
        }
        let answer = context.all_items.filter(|_| has_more);
        for item in answer.into_iter().flatten() {
            // The answer is later than the event: it may show items that were added since, and
            // periods that began since.
            let known = item.id("id")?;
            let is_new = item.seconds("created")?.is_some_and(|created| created > context.at);
            if is_new || all.iter().any(|shown| Some(shown.item.item.as_str()) == known) {
                continue;
            }
            if let Some(mut more) = PricedItem::read(*item, context.catalog)? {
                more.item.period = more.item.period.filter(|p| (p.start..p.end).contains(&context.at));
                all.push(more);
            }
        }
        let cut = has_more && answer.is_none();
        Ok(Self { all, cut })
    }

    /// The item that is the plan. `None` if the catalog knows no item, or if the list was cut
    /// and an item that is not shown may be known better.
    fn plan_item(&self) -> Option<&PricedItem<'a>> {
        item::plan_item(&self.all).filter(|item| !self.cut || item.is_known_best())
    }

    fn are_ignored(&self, context: SubscriptionContext<'_>) -> bool {
        let ignored = |item: &PricedItem<'_>| item.product.is_some_and(|id| context.catalog.ignores_product(id));
        !self.cut && !self.all.is_empty() && self.all.iter().all(ignored)
    }

    fn unknown_price(&self) -> Refusal {
        let name = |i: &PricedItem<'a>| {
            let none = if i.item.quantity.is_none_or(|q| q > 0) {
                ""
            } else {
                ", quantity 0"
            };
            format!("{} (lookup key {}{none})", i.item.price, i.lookup_key.unwrap_or("none"))
        };
        let prices: Vec<String> = self.all.iter().map(name).collect();
        let prices = if prices.is_empty() {
            "no price at all".to_owned()
        } else {
            prices.join(", ")
        };
        let detail = if self.cut {
            format!(
                "the event shows only the first page of the subscription's items, and none of them is the plan for certain: {prices}; set STRIPE_SECRET_KEY and restart the workers, so that all items are read, then replay"
            )
        } else {
            format!(
                "the catalog knows no tier for {prices}; add the lookup key or the product to CATALOG_FILE, or set metadata.tier on the price, restart the workers, then replay"
            )
        };
        Refusal::new(Permanent::UnknownPrice, detail)
    }
}
