//! What an event's price means: its tier and limits, a pack, or nothing.

use super::*;

const M: i64 = 1_000_000;

const BY_KEY: PriceClues<'_> = PriceClues {
    lookup_key: Some("max_monthly"),
    metadata: Some("plus"),
    product: Some("prod_basic"),
    interval: Some((Interval::Month, 1)),
};

/// The shipped catalog, with `more` after the line that has `after`.
fn with(after: &str, more: &str) -> Catalog {
    assert!(SHIPPED.contains(after), "{after}");
    let text = SHIPPED.replacen(after, &format!("{after}\n{more}"), 1);
    Catalog::parse(&text).expect("a catalog")
}

fn key(lookup_key: &str) -> PriceClues<'_> {
    PriceClues {
        lookup_key: Some(lookup_key),
        ..PriceClues::default()
    }
}

#[test]
fn the_first_known_clue_names_the_tier() {
    let catalog = shipped();
    for (clues, expected) in [
        (BY_KEY, Some(("max", KnownBy::LookupKey))),
        (
            PriceClues {
                lookup_key: Some("old"),
                ..BY_KEY
            },
            Some(("plus", KnownBy::Metadata)),
        ),
        (
            PriceClues {
                lookup_key: None,
                metadata: Some("gold"),
                ..BY_KEY
            },
            Some(("basic", KnownBy::Product)),
        ),
        (
            PriceClues {
                product: Some("prod_other"),
                ..PriceClues::default()
            },
            None,
        ),
        (PriceClues::default(), None),
    ] {
        let found = catalog.resolve(clues).map(|s| (s.tier.name.as_str(), s.known_by));
        assert_eq!(found, expected, "{clues:?}");
    }
}

#[test]
fn an_archived_price_sells_what_its_interval_says() {
    let catalog = shipped();
    // Plus has 10 million tokens and 1 million voice characters a month.
    for (interval, tokens, voice) in [
        (None, 10 * M, M),
        (Some((Interval::Month, 1)), 10 * M, M),
        (Some((Interval::Month, 3)), 30 * M, 3 * M),
        (Some((Interval::Year, 1)), 120 * M, 12 * M),
        (Some((Interval::Year, 3)), 360 * M, 36 * M),
        (Some((Interval::Week, 1)), 2_500_000, 250_000),
        (Some((Interval::Week, 3)), 7_500_000, 750_000),
        (Some((Interval::Day, 1)), 333_333, 33_333),
        // The product is rounded, not each of its parts.
        (Some((Interval::Day, 3)), M, 100_000),
        (Some((Interval::Year, i64::MAX)), i64::MAX, i64::MAX),
    ] {
        let clues = PriceClues {
            metadata: Some("plus"),
            interval,
            ..PriceClues::default()
        };
        let sold = catalog.resolve(clues).expect("plus");
        assert_eq!(sold.limits["tokens"], Limit::Units(tokens), "{interval:?}");
        assert_eq!(sold.limits["voice_chars"], Limit::Units(voice), "{interval:?}");
        assert_eq!(sold.limits["basic_chars"], Limit::Unlimited, "{interval:?}");
        assert_eq!(sold.month_limits, sold.tier.limits, "{interval:?}");
        assert_eq!(sold.trial_limits, sold.tier.limits, "{interval:?}");
    }
}

#[test]
fn a_price_sells_by_its_interval_what_it_does_not_say_itself() {
    let quarterly = "interval = \"month\"\ninterval_count = 3\nlimits = { voice_chars = 7 }";
    let catalog = Catalog::parse(&SHIPPED.replacen("interval = \"month\"", quarterly, 1)).expect("a catalog");
    // The event's interval does not count: the catalog knows the price.
    let sold = catalog
        .resolve(PriceClues {
            interval: Some((Interval::Year, 1)),
            ..key("basic_monthly")
        })
        .expect("basic");
    assert_eq!(sold.limits["tokens"], Limit::Units(15 * M));
    assert_eq!(sold.limits["voice_chars"], Limit::Units(7));
    assert_eq!(sold.month_limits["tokens"], Limit::Units(5 * M));
    assert_eq!(sold.month_limits["voice_chars"], Limit::Units(0));
    // An archived price of the same interval has the same limits of its own.
    let archived = PriceClues {
        metadata: Some("basic"),
        interval: Some((Interval::Month, 3)),
        ..PriceClues::default()
    };
    assert_eq!(catalog.resolve(archived).expect("basic").limits, sold.limits);
}

#[test]
fn limits_of_a_monthly_price_are_those_of_a_month_and_not_of_a_trial() {
    let catalog = with("lookup_key = \"plus_monthly\"", "limits = { tokens = 11 }");
    let sold = catalog.resolve(key("plus_monthly")).expect("plus");
    assert_eq!(sold.limits["tokens"], Limit::Units(11));
    assert_eq!(sold.month_limits["tokens"], Limit::Units(11));
    assert_eq!(sold.trial_limits["tokens"], Limit::Units(10 * M));
}

#[test]
fn a_trial_has_the_limits_of_a_month_or_its_own() {
    let catalog = with("name = \"plus\"", "trial_limits = { tokens = 500 }\nper_unit = true");
    let sold = catalog.resolve(key("plus_yearly")).expect("plus");
    assert!(sold.tier.per_unit);
    assert_eq!(sold.limits["tokens"], Limit::Units(120 * M));
    assert_eq!(sold.month_limits["tokens"], Limit::Units(10 * M));
    assert_eq!(sold.trial_limits["tokens"], Limit::Units(500));
    assert_eq!(sold.trial_limits["voice_chars"], Limit::Units(M));
}

#[test]
fn a_meter_is_prorated_unless_the_catalog_says_otherwise() {
    assert!(shipped().unprorated_meters().is_empty());
    let catalog = with("name = \"voice_chars\"", "prorate = false");
    assert_eq!(catalog.unprorated_meters(), ["voice_chars".to_owned()].into());
    let caps = [("tokens".to_owned(), 10_000_000), ("voice_chars".to_owned(), 1_000_000)];
    assert_eq!(catalog.rollover_caps(), caps.into());
}

#[test]
fn a_pack_is_found_by_lookup_key_then_metadata_then_its_own_product() {
    let catalog = shipped();
    let (key, metadata, product) = (Some("tokens_5m"), Some("voice_500k"), Some("prod_voice"));
    for (lookup_key, metadata, product, expected) in [
        (key, metadata, product, Some("tokens_5m")),
        (Some("old"), metadata, Some("prod_tokens"), Some("voice_500k")),
        (None, Some("gold"), product, Some("voice_500k")),
        (None, None, Some("prod_plus"), None),
        (None, None, None, None),
    ] {
        let clues = PriceClues {
            lookup_key,
            metadata,
            product,
            interval: None,
        };
        assert_eq!(
            catalog.resolve_pack(clues).map(|p| p.name.as_str()),
            expected,
            "{clues:?}"
        );
    }
    // Two packs of one product: the product does not tell which.
    let twice = SHIPPED.replacen("product = \"prod_voice\"", "product = \"prod_tokens\"", 1);
    let shared = Catalog::parse(&twice).expect("a catalog");
    let clues = PriceClues {
        product: Some("prod_tokens"),
        ..PriceClues::default()
    };
    assert_eq!(shared.resolve_pack(clues), None);
}

#[test]
fn only_the_listed_products_are_ignored() {
    assert!(!shipped().ignores_product("prod_shop"));
    let text = SHIPPED.replacen("ignored_products = []", "ignored_products = [\"prod_shop\"]", 1);
    let catalog = Catalog::parse(&text).expect("a catalog");
    assert!(catalog.ignores_product("prod_shop") && !catalog.ignores_product("prod_plus"));
}
