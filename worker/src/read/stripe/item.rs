//! Reads the items of a subscription, and chooses the one that is the plan.

use super::json::JsonObject;
use crate::{
    domain::fact::{BillingInterval, IntervalUnit, Period, Plan, Seconds, SubscriptionItem},
    failure::Refusal,
};
use shared::catalog::{Catalog, Interval, KnownBy, Limit, Limits, PriceClues, SoldTier};
use std::{cmp::Reverse, collections::BTreeMap};

/// An item, with what its price says.
pub(super) struct PricedItem<'a> {
    pub(super) item: SubscriptionItem,
    pub(super) product: Option<&'a str>,
    pub(super) lookup_key: Option<&'a str>,
    /// Whether its quantity is sold in advance, not metered (`recurring.usage_type`).
    licensed: bool,
    created: Seconds,
    sold: Option<SoldTier<'a>>,
}

impl<'a> PricedItem<'a> {
    /// Reads an item with its `price`, or its `plan` in events from before there were prices.
    /// `None` if it has neither.
    pub(super) fn read(item: JsonObject<'a>, catalog: &'a Catalog) -> Result<Option<Self>, Refusal> {
        let price = match item.object("price", "data.object.items.data[].price")? {
            Some(price) => Some(price),
            None => item.object("plan", "data.object.items.data[].plan")?,
        };
        let id = item.id("id")?.unwrap_or_default();
        price
            .map(|price| Self::of(id, item, price, period_of(item)?, catalog))
            .transpose()
    }

    /// The one item of a subscription from before there were items: its own `plan` and
    /// `quantity`.
    pub(super) fn of_plan(subscription: JsonObject<'a>, catalog: &'a Catalog) -> Result<Option<Self>, Refusal> {
        let plan = subscription.object("plan", "data.object.plan")?;
        plan.map(|plan| Self::of("", subscription, plan, None, catalog))
            .transpose()
    }

    fn of(
        id: &str,
        holder: JsonObject<'a>,
        price: JsonObject<'a>,
        period: Option<Period>,
        catalog: &'a Catalog,
    ) -> Result<Self, Refusal> {
        let metadata = price.metadata("price.metadata")?;
        // A plan has these fields as its own, not below `recurring`.
        let recurring = price.object("recurring", "price.recurring")?.unwrap_or(price);
        let interval = recurring.text("interval")?.and_then(Interval::named);
        let interval = interval.zip(Some(recurring.number("interval_count")?.unwrap_or(1)));
        let licensed = recurring.text("usage_type")? != Some("metered");
        let (lookup_key, product) = (price.text("lookup_key")?, price.id("product")?);
        let quantity = holder.number("quantity")?;
        Ok(Self {
            item: SubscriptionItem {
                item: id.to_owned(),
                price: price.own_id()?.to_owned(),
                quantity: quantity.or(licensed.then_some(1)),
                interval: interval.map(|(unit, count)| BillingInterval {
                    unit: unit_of(unit),
                    count,
                }),
                period,
            },
            product,
            lookup_key,
            licensed,
            created: holder.seconds("created")?.unwrap_or_default(),
            sold: catalog.resolve(PriceClues {
                lookup_key,
                metadata: metadata.map_or(Ok(None), |m| m.text("tier"))?,
                product,
                interval,
            }),
        })
    }

    /// Whether no item beyond a cut list is known better: its price is known by its lookup
    /// key, and it is licensed.
    pub(super) fn is_known_best(&self) -> bool {
        self.licensed && self.sold.as_ref().is_some_and(|s| s.known_by == KnownBy::LookupKey)
    }

    /// The plan that it sells. `None` if the catalog knows no tier for it.
    pub(super) fn plan(&self, catalog: &Catalog) -> Result<Option<Plan>, Refusal> {
        let Some(sold) = &self.sold else { return Ok(None) };
        let quantity = self.item.quantity.unwrap_or(1);
        let seats = if sold.tier.per_unit { quantity } else { 1 };
        let limits = for_seats(&sold.limits, seats)?;
        let month_limits = for_seats(&sold.month_limits, seats)?;
        let trial_limits = for_seats(&sold.trial_limits, seats)?;
        Ok(Some(Plan {
            price: self.item.price.clone(),
            item: Some(self.item.item.clone()).filter(|id| !id.is_empty()),
            quantity,
            interval: self.item.interval,
            tier: sold.tier.name.clone(),
            rank: sold.tier.rank,
            trial_limits: (trial_limits != month_limits).then_some(trial_limits),
            month_limits: (month_limits != limits).then_some(month_limits),
            limits,
            caps: catalog.rollover_caps(),
            unprorated: catalog.unprorated_meters(),
        }))
    }
}

/// The item that is the plan: of those with a quantity above zero whose price the catalog
/// knows as a tier, the one that is known best, then a licensed one, then the higher tier,
/// then the oldest.
pub(super) fn plan_item<'i, 'a>(items: &'i [PricedItem<'a>]) -> Option<&'i PricedItem<'a>> {
    let sold = items.iter().filter(|i| i.item.quantity.is_none_or(|q| q > 0));
    let known = sold.filter_map(|item| Some((item.sold.as_ref()?, item)));
    let best = known.min_by_key(|(sold, i)| {
        let rank = Reverse(sold.tier.rank);
        (sold.known_by, !i.licensed, rank, i.created, i.item.item.as_str())
    });
    best.map(|(_, item)| item)
}

/// The period of the plan item. Since API version 2025-03-31 each item has its own. Before,
/// the subscription has one, the shortest of all items: it is the plan item's only if no
/// item has a shorter interval. With unseen items (`cut`) it must also be as long as that.
pub(super) fn period(
    subscription: JsonObject<'_>,
    items: &[PricedItem<'_>],
    plan: Option<&PricedItem<'_>>,
    cut: bool,
) -> Result<Option<Period>, Refusal> {
    let shared = period_of(subscription)?;
    // Without a plan, the period of the one item is known all the same.
    let item = plan.or_else(|| items.first().filter(|_| items.len() == 1 && !cut));
    let Some(item) = item else {
        return Ok(shared.filter(|_| items.is_empty() && !cut));
    };
    let own = item.item.interval.map(length_s);
    let shorter = |other: &PricedItem<'_>| own.zip(other.item.interval.map(length_s)).is_some_and(|(o, l)| l < o);
    let fits = |p: &Period| !cut || own.is_none_or(|own| p.end.saturating_sub(p.start) > own / 10 * 9);
    let is_own = |p: &Period| !items.iter().any(shorter) && fits(p);
    Ok(item.item.period.or_else(|| shared.filter(is_own)))
}

fn period_of(object: JsonObject<'_>) -> Result<Option<Period>, Refusal> {
    Ok(object
        .seconds("current_period_start")?
        .zip(object.seconds("current_period_end")?)
        .map(|(start, end)| Period { start, end }))
}

/// The usual length of an interval, in seconds.
fn length_s(interval: BillingInterval) -> i64 {
    const DAY_S: i64 = 86_400;
    let unit_s = match interval.unit {
        IntervalUnit::Day => DAY_S,
        IntervalUnit::Week => 7 * DAY_S,
        IntervalUnit::Month => 365 * DAY_S / 12,
        IntervalUnit::Year => 365 * DAY_S,
    };
    unit_s.saturating_mul(interval.count)
}

fn unit_of(interval: Interval) -> IntervalUnit {
    match interval {
        Interval::Day => IntervalUnit::Day,
        Interval::Week => IntervalUnit::Week,
        Interval::Month => IntervalUnit::Month,
        Interval::Year => IntervalUnit::Year,
    }
}

fn for_seats(limits: &Limits, seats: i64) -> Result<BTreeMap<String, Option<i64>>, Refusal> {
    let of_seats = |(meter, limit): (&String, &Limit)| {
        let units = match limit {
            Limit::Unlimited => None,
            Limit::Units(units) => Some(units.checked_mul(seats).ok_or_else(|| {
                Refusal::malformed(format!(
                    "data.object.items.data[].quantity: {seats} times the limit of {meter} ({units}) is too great a number; correct the quantity in Stripe, which sends a new event"
                ))
            })?),
        };
        Ok((meter.clone(), units))
    };
    limits.iter().map(of_seats).collect()
}
