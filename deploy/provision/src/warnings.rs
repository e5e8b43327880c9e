//! Warnings: settings of a catalog that give money away, and changes of a plan that stop
//! webhook deliveries.

use crate::{
    desired::in_portal,
    kind::ObjectKind,
    plan::{ChangeAction, ChangePlan},
};
use shared::catalog::{Catalog, Coupon, CouponDuration, Downgrades, Interval, Proration};

/// Warnings about the catalog, one line each.
#[must_use]
pub fn catalog_warnings(catalog: &Catalog) -> Vec<String> {
    let mut all = Vec::new();
    if let Some(portal) = catalog.portal().filter(|portal| portal.features.switch) {
        let immediate = portal.downgrades == Downgrades::Immediate;
        match portal.proration_behavior {
            Proration::None => all.push(
                "portal: proration_behavior = \"none\" makes every upgrade free until the next renewal".to_owned(),
            ),
            _ if immediate => all.push(
                "portal: downgrades = \"immediate\" with prorations credits customers for the rest of the period; the \
                 higher tier then ends at once, without a grace"
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
    all.extend(
        catalog
            .coupons()
            .iter()
            .flat_map(|coupon| coupon_warnings(catalog, coupon)),
    );
    all
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
    let mut prices = catalog.prices().iter();
    let yearly = prices.find(|price| price.interval == Interval::Year && covers(&price.tier));
    if let (Some(percent), CouponDuration::Once, Some(price)) = (coupon.percent_off, coupon.duration, yearly) {
        all.push(format!(
            "coupon {}: {percent} % off once is {percent} % off a whole year for a yearly price such as {}",
            coupon.id, price.lookup_key
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = include_str!("../../catalog.toml");

    fn warnings_after(changes: &[(&str, &str)]) -> Vec<String> {
        let text = changes.iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        catalog_warnings(&Catalog::parse(&text).expect("a catalog"))
    }

    #[test]
    fn a_catalog_that_gives_money_away_has_a_warning() {
        let shipped = [
            "coupon BETA: without applies_to it also discounts packs",
            "coupon LAUNCH: without applies_to it also discounts packs",
        ];
        assert_eq!(warnings_after(&[]), shipped);
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
                "credits customers",
            ),
            (
                &[("amount_off = 2000\ncurrency = \"eur\"", "percent_off = 100")],
                "coupon LAUNCHPLUS: 100 % off once is 100 % off a whole year for a yearly price such as plus_yearly",
            ),
            (
                &[(
                    "lookup_key = \"plus_yearly\"\ntier = \"plus\"",
                    "lookup_key = \"basic_sale\"\ntier = \"basic\"",
                )],
                "price basic_sale: not offered in the portal",
            ),
        ] {
            let warnings = warnings_after(changes);
            assert!(
                warnings.len() == 3 && warnings.iter().any(|w| w.contains(expected)),
                "{warnings:?}"
            );
        }
        // A percentage once is harmless on a product that has no yearly price.
        let harmless = [
            ("applies_to = [\"prod_plus\"]", "applies_to = [\"prod_tokens\"]"),
            ("amount_off = 2000\ncurrency = \"eur\"", "percent_off = 50"),
        ];
        assert_eq!(warnings_after(&harmless), shipped);
    }
}
