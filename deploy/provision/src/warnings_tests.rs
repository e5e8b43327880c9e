use super::*;

const SHIPPED: &str = include_str!("../../catalog.toml");
const SHIPPED_WARNINGS: [&str; 2] = [
    "coupon BETA: without applies_to it also discounts packs",
    "coupon LAUNCH: without applies_to it also discounts packs",
];

/// The warnings about the shipped catalog after some edits of its text, without those that it has anyway.
fn warnings_after(changes: &[(&str, &str)]) -> Vec<String> {
    let text = changes.iter().fold(SHIPPED.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    });
    let all = catalog_warnings(&Catalog::parse(&text).expect("a catalog"));
    assert!(SHIPPED_WARNINGS.iter().all(|w| all.iter().any(|a| a == w)), "{all:?}");
    all.into_iter()
        .filter(|w| !SHIPPED_WARNINGS.contains(&w.as_str()))
        .collect()
}

const FREE_CHANGES: (&str, &str) = (
    "proration_behavior = \"always_invoice\"",
    "proration_behavior = \"none\"",
);
const IMMEDIATE: (&str, &str) = ("downgrades = \"period_end\"", "downgrades = \"immediate\"");
const WHOLE_TOKENS: (&str, &str) = ("name = \"tokens\"\n", "name = \"tokens\"\nprorate = false\n");
const MAX_LIMITS: &str = "limits = { tokens = 15_000_000, voice_chars = 3_000_000, basic_chars = \"unlimited\" }";

#[test]
fn the_shipped_catalog_gives_nothing_away_but_discounts_on_packs() {
    assert_eq!(warnings_after(&[]), [] as [String; 0]);
}

#[test]
fn a_portal_that_gives_money_away_has_one_warning() {
    let cases: [(&[(&str, &str)], &str); 3] = [
        (&[FREE_CHANGES], "makes every upgrade free until the next renewal"),
        (
            &[FREE_CHANGES, IMMEDIATE],
            "can switch back at once and keeps the higher tier until then, as a grace",
        ),
        (&[IMMEDIATE], "credits customers for the rest of the period"),
    ];
    for (changes, expected) in cases {
        let warnings = warnings_after(changes);
        assert!(warnings.len() == 1 && warnings[0].contains(expected), "{warnings:?}");
    }
}

#[test]
fn prorations_and_downgrades_at_the_period_end_have_no_warning() {
    let prorations = (
        "proration_behavior = \"always_invoice\"",
        "proration_behavior = \"create_prorations\"",
    );
    assert_eq!(warnings_after(&[prorations]), [] as [String; 0]);
}

#[test]
fn a_meter_without_proration_says_what_the_worst_switch_gives() {
    // Yearly Basic sells 12 x 5M, yearly Max 12 x 15M: 120M more.
    let expected = "meter tokens: prorate = false counts the limit in force now in full: a switch from basic_yearly to \
                    max_yearly in the last hour of a period costs next to nothing and gives 120,000,000 units, in each \
                    period again";
    assert_eq!(warnings_after(&[WHOLE_TOKENS]), [expected]);
}

#[test]
fn a_meter_without_proration_is_no_gift_if_every_tier_has_the_same_limit() {
    let whole = ("name = \"basic_chars\"\n", "name = \"basic_chars\"\nprorate = false\n");
    assert_eq!(warnings_after(&[whole]), [] as [String; 0]);
}

#[test]
fn seats_of_a_meter_without_proration_have_a_warning_of_their_own() {
    let seats = (
        "name = \"basic\"\nrank = 1\n",
        "name = \"basic\"\nrank = 1\nper_unit = true\n",
    );
    let warnings = warnings_after(&[WHOLE_TOKENS, seats]);
    assert!(
        warnings.len() == 2 && warnings[1].contains("more seats of basic"),
        "{warnings:?}"
    );
    // Weighted by time, seats give nothing away.
    assert_eq!(warnings_after(&[seats]), [] as [String; 0]);
}

#[test]
fn a_meter_that_only_some_tiers_limit_has_a_warning() {
    let unlimited = (
        MAX_LIMITS,
        "limits = { tokens = \"unlimited\", voice_chars = 3_000_000, basic_chars = \"unlimited\" }",
    );
    let expected = "meter tokens: basic_monthly limits it and max_monthly does not: a switch in the last hour of a \
                    period makes the whole period unlimited";
    assert_eq!(warnings_after(&[unlimited]), [expected]);
}

#[test]
fn a_trial_above_a_paid_month_has_a_warning() {
    let trial = |limits: &str| format!("rank = 2\ntrial_days = 3\ntrial_limits = {{ {limits} }}");
    let plus = "rank = 2\ntrial_days = 3";
    let warnings = warnings_after(&[(plus, &trial("tokens = 10_000_001"))]);
    assert_eq!(warnings, ["tier plus: its trial gives more tokens than a paid month"]);
    assert_eq!(
        warnings_after(&[(plus, &trial("tokens = 10_000_000"))]),
        [] as [String; 0]
    );
    assert_eq!(warnings_after(&[(plus, &trial("tokens = 0"))]), [] as [String; 0]);
}

#[test]
fn a_percentage_once_has_a_warning_for_prices_longer_than_a_month() {
    let percent = ("amount_off = 2000\ncurrency = \"eur\"", "percent_off = 100");
    let expected = "coupon LAUNCHPLUS: 100 % off once is 100 % off a whole year for a price such as plus_yearly";
    assert_eq!(warnings_after(&[percent]), [expected]);
    let quarter = (
        "lookup_key = \"plus_yearly\"\ntier = \"plus\"\namount = 18000\ncurrency = \"eur\"\ninterval = \"year\"",
        "lookup_key = \"plus_quarterly\"\ntier = \"plus\"\namount = 18000\ncurrency = \"eur\"\ninterval = \"month\"\ninterval_count = 3",
    );
    let expected = "coupon LAUNCHPLUS: 100 % off once is 100 % off all 3 months for a price such as plus_quarterly";
    assert_eq!(warnings_after(&[percent, quarter]), [expected]);
    // Harmless on a product that has no long price.
    let packs = ("applies_to = [\"prod_plus\"]", "applies_to = [\"prod_tokens\"]");
    assert_eq!(warnings_after(&[percent, packs]), [] as [String; 0]);
}

#[test]
fn a_price_that_the_portal_cannot_offer_has_a_warning() {
    let second = (
        "lookup_key = \"plus_yearly\"\ntier = \"plus\"",
        "lookup_key = \"basic_sale\"\ntier = \"basic\"",
    );
    let warnings = warnings_after(&[second]);
    assert!(
        warnings.len() == 1 && warnings[0].contains("price basic_sale: not offered in the portal"),
        "{warnings:?}"
    );
}
