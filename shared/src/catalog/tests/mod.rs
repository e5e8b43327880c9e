//! Tests of the catalog: the shipped one, edits of it, and wrong ones.

mod resolve;
mod wrong;

use super::*;
use wrong::WRONG;

const SHIPPED: &str = include_str!("../../../../deploy/catalog.toml");

fn shipped() -> Catalog {
    Catalog::parse(SHIPPED).expect("the shipped catalog")
}

#[test]
fn the_shipped_catalog_sells_what_the_contract_says() {
    let catalog = shipped();
    let tiers: Vec<_> = catalog
        .tiers()
        .iter()
        .map(|t| (t.name.as_str(), t.rank, t.trial_days))
        .collect();
    assert_eq!(tiers, [("free", 0, 0), ("basic", 1, 3), ("plus", 2, 3), ("max", 3, 0)]);
    let prices: Vec<_> = catalog
        .prices()
        .iter()
        .map(|p| (p.lookup_key.as_str(), p.amount))
        .collect();
    assert_eq!(
        prices,
        [
            ("basic_monthly", 1_000),
            ("basic_yearly", 9_000),
            ("plus_monthly", 2_000),
            ("plus_yearly", 18_000),
            ("max_monthly", 4_000),
            ("max_yearly", 36_000)
        ]
    );
    let limits = |key: &str| {
        catalog
            .resolve(PriceClues {
                lookup_key: Some(key),
                ..PriceClues::default()
            })
            .expect(key)
            .limits
    };
    assert_eq!(limits("plus_monthly")["voice_chars"], Limit::Units(1_000_000));
    for tier in ["basic", "plus", "max"] {
        let (monthly, yearly) = (limits(&format!("{tier}_monthly")), limits(&format!("{tier}_yearly")));
        for (meter, limit) in monthly {
            let twelvefold = match limit {
                Limit::Units(units) => Limit::Units(units * 12),
                Limit::Unlimited => Limit::Unlimited,
            };
            assert_eq!(yearly[&meter], twelvefold, "{tier} {meter}");
        }
    }
    assert_eq!(
        catalog
            .pack("tokens_5m")
            .map(|p| (p.meter.as_str(), p.credits, p.amount)),
        Some(("tokens", 5_000_000, 1_000))
    );
    assert_eq!(
        catalog
            .pack("voice_500k")
            .map(|p| (p.meter.as_str(), p.credits, p.amount)),
        Some(("voice_chars", 500_000, 1_000))
    );
}

#[test]
fn the_shipped_offers_are_those_of_the_contract() {
    let catalog = shipped();
    let offers: Vec<_> = catalog
        .promotions()
        .iter()
        .map(|promotion| {
            let coupon = catalog.coupons().iter().find(|c| c.id == promotion.coupon);
            let coupon = coupon.expect("a promotion has a coupon");
            let once = coupon.duration == CouponDuration::Once;
            let only: Vec<_> = coupon.applies_to.iter().map(String::as_str).collect();
            let code = promotion.code.as_str();
            (code, coupon.amount_off, once, promotion.max_redemptions, only)
        })
        .collect();
    assert_eq!(
        offers,
        [
            ("BETA", Some(4_000), true, Some(10), vec![]),
            ("LAUNCH", Some(1_000), true, Some(300), vec![]),
            ("LAUNCHPLUS", Some(2_000), true, Some(100), vec!["prod_plus"]),
        ]
    );
    let portal = catalog.portal().expect("a portal");
    assert_eq!(portal.downgrades, Downgrades::PeriodEnd);
    assert!(catalog.webhook().is_some() && catalog.tax().is_some() && catalog.managed_payments());
}

#[test]
fn a_wrong_catalog_is_refused_with_the_line_and_what_is_allowed() {
    for (from, to, expected) in WRONG {
        let at = SHIPPED.find(from);
        let at = at.unwrap_or_else(|| panic!("{from} is not in the shipped catalog"));
        let problem = Catalog::parse(&SHIPPED.replacen(from, to, 1)).expect_err(to);
        assert!(problem.contains(expected), "{to}: {problem}");
        assert_eq!(problem.lines().count(), 1, "{problem}");
        let line = problem.strip_prefix("line ").and_then(|rest| rest.split(':').next());
        let line: usize = line.and_then(|line| line.parse().ok()).expect("a line");
        let changed = SHIPPED[..at].matches('\n').count() + 1;
        // The error names the second of two equal values.
        if !expected.starts_with("two of") {
            assert!(line.abs_diff(changed) <= 5, "{to}, on line {changed}: {problem}");
        }
    }
}

#[test]
fn a_text_longer_than_stripes_limit_is_refused() {
    for (from, max) in [("max_monthly", 200), ("voice_500k", 200), ("LAUNCHPLUS", 500)] {
        let with = |length: usize| Catalog::parse(&SHIPPED.replace(from, &"X".repeat(length)));
        // The coupon LAUNCHPLUS has the same id, and an id may be as long.
        assert!(with(max).is_ok(), "{from}");
        let problem = with(max + 1).expect_err(from);
        assert!(
            problem.starts_with("line ")
                && problem.contains(&format!("longer than Stripe's limit of {max} characters")),
            "{problem}"
        );
    }
}

#[test]
fn a_managed_payment_needs_a_tax_code() {
    let without = SHIPPED.replace("tax_code = \"txcd_10103000\"", "");
    let problem = Catalog::parse(&without).expect_err("no tax code");
    assert!(problem.contains("managed_payments needs an eligible one"), "{problem}");
    let unmanaged = without.replace("managed_payments = true", "");
    assert!(Catalog::parse(&unmanaged).is_ok());
}

#[test]
fn a_time_is_read_as_seconds_since_1970() {
    let with = SHIPPED.replace("max_redemptions = 300", "expires_at = 2027-01-31T23:59:59+01:00");
    let catalog = Catalog::parse(&with).expect("a time");
    assert_eq!(catalog.promotions()[1].expires_at, Some(1_801_436_399));
}
