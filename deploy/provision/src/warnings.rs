//! Warnings: settings of a catalog that give units or money away, and changes of a plan that
//! stop webhook deliveries.

use crate::{
    desired::in_portal,
    kind::ObjectKind,
    offer::{Offer, grouped, offers, switches},
    plan::{ChangeAction, ChangePlan},
};
use shared::catalog::{Catalog, Coupon, CouponDuration, Downgrades, Interval, Limit, Portal, Price, Proration, Tier};

/// Warnings about the catalog, one line each.
#[must_use]
pub fn catalog_warnings(catalog: &Catalog) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(portal) = catalog.portal().filter(|portal| portal.features.switch) {
        all.extend(portal_warning(portal));
        for price in catalog.prices() {
            if !in_portal(catalog, &price.tier).any(|p| p.lookup_key == price.lookup_key) {
                all.push(format!(
                    "price {}: not offered in the portal, which takes one price per product, interval and currency",
                    price.lookup_key
                ));
            }
        }
    }
    all.extend(meter_warnings(catalog));
    all.extend(catalog.tiers().iter().filter_map(trial_warning));
    all.extend(
        catalog
            .coupons()
            .iter()
            .flat_map(|coupon| coupon_warnings(catalog, coupon)),
    );
    all
}

/// Stripe's page "Prorations": with `none` it charges nothing for a change. With prorations it
/// credits the rest of the period, whether or not its units are used and its invoice is paid.
fn portal_warning(portal: &Portal) -> Option<String> {
    let immediate = portal.downgrades == Downgrades::Immediate;
    match (portal.proration_behavior, immediate) {
        (Proration::None, false) => Some(
            "portal: proration_behavior = \"none\" makes every upgrade free until the next renewal, with the limits of \
             the rest of the period"
                .to_owned(),
        ),
        (Proration::None, true) => Some(
            "portal: proration_behavior = \"none\" makes every upgrade free until the next renewal, with the limits of \
             the rest of the period; as downgrades are \"immediate\", a customer can switch back at once and keeps the \
             higher tier until then, as a grace"
                .to_owned(),
        ),
        (_, true) => Some(
            "portal: downgrades = \"immediate\" with prorations credits customers for the rest of the period, even if \
             they have used all its units or have not paid its invoice"
                .to_owned(),
        ),
        (_, false) => None,
    }
}

/// Where one change of plan gives more than the time that is paid: a limit that counts in full
/// at once, or a meter that has no limit for an hour.
fn meter_warnings(catalog: &Catalog) -> Vec<String> {
    let offers = offers(catalog);
    let whole = catalog.unprorated_meters();
    let mut all: Vec<String> = whole
        .iter()
        .flat_map(|meter| prorate_warnings(catalog, &offers, meter))
        .collect();
    // Every tier has a limit for every meter.
    let meters = catalog.tiers().first().into_iter().flat_map(|tier| tier.limits.keys());
    all.extend(meters.filter_map(|meter| unlimited_warning(&offers, meter)));
    all
}

/// What `prorate = false` gives away: the worst switch of prices, and any more seats.
fn prorate_warnings(catalog: &Catalog, offers: &[Offer<'_>], meter: &str) -> Vec<String> {
    let more = |(from, to): (&Offer<'_>, &Offer<'_>)| match (from.limit(meter), to.limit(meter)) {
        (Limit::Units(from_units), Limit::Units(to_units)) if to_units > from_units => {
            Some((to_units - from_units, from.key().to_owned(), to.key().to_owned()))
        }
        _ => None,
    };
    let worst = switches(offers).filter_map(more).max_by_key(|(units, ..)| *units);
    let switch = worst.map(|(units, from, to)| {
        format!(
            "meter {meter}: prorate = false counts the limit in force now in full: a switch from {from} to {to} in the \
             last hour of a period costs next to nothing and gives {} units, in each period again",
            grouped(units)
        )
    });
    let by_seat = |tier: &&Tier| tier.per_unit && tier.limits.get(meter).is_some_and(|l| *l != Limit::Units(0));
    let seats = catalog.tiers().iter().find(by_seat).map(|tier| {
        format!(
            "meter {meter}: prorate = false counts the limit in force now in full: more seats of {} in the last hour of \
             a period cost next to nothing and give the units of a whole period",
            tier.name
        )
    });
    switch.into_iter().chain(seats).collect()
}

/// A period in which a meter was unlimited at any time is unlimited as a whole.
fn unlimited_warning(offers: &[Offer<'_>], meter: &str) -> Option<String> {
    let (from, to) = switches(offers).find(|(from, to)| {
        matches!(from.limit(meter), Limit::Units(_)) && matches!(to.limit(meter), Limit::Unlimited)
    })?;
    Some(format!(
        "meter {meter}: {} limits it and {} does not: a switch in the last hour of a period makes the whole period \
         unlimited",
        from.key(),
        to.key()
    ))
}

/// A trial that gives more than the month that is paid after it.
fn trial_warning(tier: &Tier) -> Option<String> {
    let above = |meter: &str, trial: Limit| match (trial, tier.limits.get(meter)) {
        (Limit::Units(trial), Some(Limit::Units(month))) => trial > *month,
        (Limit::Unlimited, Some(Limit::Units(_))) => true,
        _ => false,
    };
    let (meter, _) = tier.trial_limits.iter().find(|(meter, trial)| above(meter, **trial))?;
    (tier.trial_days > 0).then(|| format!("tier {}: its trial gives more {meter} than a paid month", tier.name))
}

/// Warns when a plan disables an endpoint missing from this catalog; another catalog may own it.
#[must_use]
pub fn plan_warnings(plan: &ChangePlan) -> Vec<String> {
    let disabled = plan
        .changes
        .iter()
        .filter(|change| (change.kind, change.action) == (ObjectKind::Webhook, ChangeAction::Archive));
    let line = |url: &str| {
        format!(
            "webhook_endpoint {url}: will be disabled because this catalog does not have it; if another catalog has it, \
             give each catalog its own Stripe account"
        )
    };
    disabled.map(|change| line(&change.key)).collect()
}

fn coupon_warnings(catalog: &Catalog, coupon: &Coupon) -> Vec<String> {
    let mut all = Vec::new();
    let covers_everything = coupon.applies_to.is_empty();
    if covers_everything && !catalog.packs().is_empty() {
        all.push(format!(
            "coupon {}: without applies_to it also discounts packs",
            coupon.id
        ));
    }
    let covers = |tier: &str| {
        let product = catalog.tier(tier).and_then(|tier| tier.product.as_ref());
        covers_everything || product.is_some_and(|id| coupon.applies_to.contains(id))
    };
    let long = catalog
        .prices()
        .iter()
        .filter(|price| covers(&price.tier))
        .find_map(|price| Some((price, long_interval(price)?)));
    if let (Some(percent), CouponDuration::Once, Some((price, interval))) = (coupon.percent_off, coupon.duration, long)
    {
        all.push(format!(
            "coupon {}: {percent} % off once is {percent} % off {interval} for a price such as {}",
            coupon.id, price.lookup_key
        ));
    }
    all
}

/// The interval of a price in words, if it is longer than a month.
fn long_interval(price: &Price) -> Option<String> {
    let count = price.interval_count;
    let is_long = match price.interval {
        Interval::Day => count > 31,
        Interval::Week => count > 4,
        Interval::Month => count > 1,
        Interval::Year => true,
    };
    is_long.then(|| match count {
        1 => format!("a whole {}", price.interval.as_str()),
        count => format!("all {count} {}s", price.interval.as_str()),
    })
}

#[cfg(test)]
#[path = "warnings_tests.rs"]
mod tests;
