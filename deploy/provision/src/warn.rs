//! What a catalog may say, but gives away money, and what a plan may do, but ends deliveries.

use crate::{
    desired::in_portal,
    diff::{Action, Plan},
    kind::Kind,
};
use shared::catalog::{Catalog, Coupon, CouponDuration, Downgrades, Interval, Proration};

/// Warnings, a line each.
#[must_use]
pub fn warnings(catalog: &Catalog) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(portal) = catalog.portal().filter(|portal| portal.features.switch) {
        let immediate = portal.downgrades == Downgrades::Immediate;
        match portal.proration_behavior {
            Proration::None => all.push(
                "portal: proration_behavior = \"none\" makes every upgrade free until the next renewal".to_owned(),
            ),
            _ if immediate => all.push(
                "portal: downgrades = \"immediate\" with prorations pays credit for the rest of the period, and then \
                 no grace keeps the higher tier"
                    .to_owned(),
            ),
            _ => {}
        }
        for price in catalog.prices() {
            if !in_portal(catalog, &price.tier).any(|p| p.lookup_key == price.lookup_key) {
                all.push(format!(
                    "price {}: not offered in the portal, which takes one price per product, interval and currency",
                    price.lookup_key
                ));
            }
        }
    }
    all.extend(catalog.coupons().iter().flat_map(|coupon| of_coupon(catalog, coupon)));
    all
}

/// Of what a plan does to what this catalog does not have: another one may, of which nobody knows here.
#[must_use]
pub fn of_plan(plan: &Plan) -> Vec<String> {
    let ended = plan
        .changes
        .iter()
        .filter(|change| (change.kind, change.action) == (Kind::Webhook, Action::Archive));
    let line = |url: &str| {
        format!(
            "webhook_endpoint {url}: is disabled, because this catalog does not have it; if another catalog has, give \
             each an account of its own"
        )
    };
    ended.map(|change| line(&change.key)).collect()
}

fn of_coupon(catalog: &Catalog, coupon: &Coupon) -> Vec<String> {
    let mut all = Vec::new();
    let everything = coupon.applies_to.is_empty();
    if everything && !catalog.packs().is_empty() {
        all.push(format!(
            "coupon {}: without applies_to it also discounts packs",
            coupon.id
        ));
    }
    let covers = |tier: &str| {
        let product = catalog.tier(tier).and_then(|tier| tier.product.as_ref());
        everything || product.is_some_and(|id| coupon.applies_to.contains(id))
    };
    let mut prices = catalog.prices().iter();
    let of_a_year = prices.find(|price| price.interval == Interval::Year && covers(&price.tier));
    if let (Some(percent), CouponDuration::Once, Some(price)) = (coupon.percent_off, coupon.duration, of_a_year) {
        all.push(format!(
            "coupon {}: {percent} % off once is {percent} % off a whole year on a yearly price such as {}",
            coupon.id, price.lookup_key
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../catalog.toml");

    fn of(changes: &[(&str, &str)]) -> Vec<String> {
        let text = changes.iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        warnings(&Catalog::parse(&text).expect("a catalog"))
    }

    #[test]
    fn what_gives_away_money_is_warned_of() {
        let shipped = [
            "coupon BETA: without applies_to it also discounts packs",
            "coupon LAUNCH: without applies_to it also discounts packs",
        ];
        assert_eq!(of(&[]), shipped);
        for (changes, expected) in [
            (
                &[(
                    "proration_behavior = \"always_invoice\"",
                    "proration_behavior = \"none\"",
                )][..],
                "makes every upgrade free",
            ),
            (
                &[("downgrades = \"period_end\"", "downgrades = \"immediate\"")],
                "pays credit",
            ),
            (
                &[("amount_off = 2000\ncurrency = \"eur\"", "percent_off = 100")],
                "coupon LAUNCHPLUS: 100 % off once is 100 % off a whole year on a yearly price such as plus_yearly",
            ),
            (
                &[(
                    "lookup_key = \"plus_yearly\"\ntier = \"plus\"",
                    "lookup_key = \"basic_sale\"\ntier = \"basic\"",
                )],
                "price basic_sale: not offered in the portal",
            ),
        ] {
            let warnings = of(changes);
            assert!(
                warnings.len() == 3 && warnings.iter().any(|w| w.contains(expected)),
                "{warnings:?}"
            );
        }
        // Nothing is given away where the difference is neither paid nor charged and waits for the period's end.
        let harmless = [
            ("applies_to = [\"prod_plus\"]", "applies_to = [\"prod_tokens\"]"),
            ("amount_off = 2000\ncurrency = \"eur\"", "percent_off = 50"),
        ];
        assert_eq!(of(&harmless), shipped);
    }
}
