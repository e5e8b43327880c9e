use super::*;

const SHIPPED: &str = include_str!("../../deploy/catalog.toml");

fn shipped() -> Catalog {
    Catalog::parse(SHIPPED).expect("the shipped catalog")
}

fn tokens(limits: &Limits) -> Limit {
    limits["tokens"]
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
            .1
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
fn the_first_known_clue_names_the_tier() {
    let catalog = shipped();
    let tier = |clues| {
        catalog
            .resolve(clues)
            .map(|(t, limits)| (t.name.clone(), tokens(&limits)))
    };
    let all = PriceClues {
        lookup_key: Some("max_monthly"),
        metadata_tier: Some("plus"),
        product: Some("prod_basic"),
        interval: Some("month"),
    };
    assert_eq!(tier(all), Some(("max".into(), Limit::Units(15_000_000))));
    assert_eq!(
        tier(PriceClues {
            lookup_key: Some("old"),
            ..all
        }),
        Some(("plus".into(), Limit::Units(10_000_000)))
    );
    assert_eq!(
        tier(PriceClues {
            lookup_key: None,
            metadata_tier: Some("gold"),
            ..all
        }),
        Some(("basic".into(), Limit::Units(5_000_000)))
    );
    assert_eq!(
        tier(PriceClues {
            product: Some("prod_other"),
            ..PriceClues::default()
        }),
        None
    );
}

#[test]
fn an_archived_yearly_price_keeps_the_yearly_limits() {
    let catalog = shipped();
    let clues = PriceClues {
        metadata_tier: Some("plus"),
        interval: Some("year"),
        ..PriceClues::default()
    };
    assert_eq!(
        catalog.resolve(clues).map(|(_, limits)| tokens(&limits)),
        Some(Limit::Units(120_000_000))
    );
}

#[test]
fn a_catalog_that_cannot_be_meant_is_refused_with_its_place() {
    for (change_from, change_to, expected) in [
        ("rank = 2", "rank = 1", "two of [[tier]] have the rank 1"),
        ("tier = \"plus\"", "tier = \"gold\"", "there is no tier gold"),
        ("tokens = 5_000_000,", "tokens = -1,", "below zero"),
        ("voice_chars = 1_000_000,", "", "limits lack the meter voice_chars"),
        (
            "name = \"free\"",
            "name = \"none\"",
            "the lowest tier must be named \"free\"",
        ),
        ("interval = \"month\"", "interval = \"week\"", "write month or year"),
        ("trial_days = 3", "trail_days = 3", "unknown field `trail_days`"),
        ("currency = \"eur\"", "currency = \"Euro\"", "three lower-case letters"),
        (
            "basic_chars = \"unlimited\"",
            "basic_chars = \"lots\"",
            "'lots' is not a limit",
        ),
        ("meter = \"tokens\"", "meter = \"coins\"", "there is no meter coins"),
    ] {
        assert!(
            SHIPPED.contains(change_from),
            "{change_from} is not in the shipped catalog"
        );
        let problem = Catalog::parse(&SHIPPED.replacen(change_from, change_to, 1)).expect_err(change_to);
        assert!(problem.contains(expected), "{change_to}: {problem}");
    }
}
