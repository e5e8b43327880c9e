//! Catalogs that the checks refuse.

/// Edits that make the shipped catalog wrong: a text, its replacement, and a part of the error.
pub(super) const WRONG: &[(&str, &str, &str)] = &[
    ("rank = 2", "rank = 1", "two of [[tier]] have the rank 1"),
    (
        "tier = \"plus\"",
        "tier = \"gold\"",
        "price plus_monthly: there is no tier gold; there are free, basic",
    ),
    ("tier = \"plus\"", "tier = \"free\"", "the tier free has no product"),
    ("tier = \"plus\"", "", "missing field `tier`"),
    (
        "tokens = 5_000_000,",
        "tokens = -1,",
        "the limit of tokens is below zero",
    ),
    ("voice_chars = 1_000_000,", "", "limits lack the meter voice_chars"),
    (
        "name = \"free\"",
        "name = \"none\"",
        "the lowest tier must be named \"free\"",
    ),
    (
        "interval = \"month\"",
        "interval = \"decade\"",
        "unknown variant `decade`, expected one of `day`, `week`, `month`, `year`",
    ),
    (
        "interval = \"month\"",
        "interval = \"month\"\ninterval_count = 0",
        "price basic_monthly: interval_count is 0; Stripe allows 1 to 36 for the interval month",
    ),
    (
        "interval = \"year\"",
        "interval = \"year\"\ninterval_count = 4",
        "Stripe allows 1 to 3 for the interval year",
    ),
    (
        "ignored_products = []",
        "ignored_products = [\"prod_shop\", \"prod_plus\"]",
        "ignored_products: prod_plus is a [[product]] of this catalog",
    ),
    (
        "ignored_products = []",
        "ignored_products = [\"prod_shop\", \"prod_shop\"]",
        "ignored_products: prod_shop is in the list twice",
    ),
    (
        "trial_days = 3",
        "trial_limits = { tokns = 5 }",
        "tier basic: trial_limits name the meter tokns",
    ),
    (
        "trial_days = 3",
        "trial_limits = { tokens = -5 }",
        "the limit of tokens is below zero",
    ),
    (
        "rank = 0",
        "rank = 0\nper_unit = true",
        "tier free: per_unit is for a tier that is sold",
    ),
    (
        "trial_days = 3",
        "trail_days = 3",
        "unknown field `trail_days`, expected one of `name`, `rank`",
    ),
    ("trial_days = 3", "trial_days = 731", "Stripe allows 0 to 730"),
    ("currency = \"eur\"", "currency = \"Euro\"", "three lower-case letters"),
    (
        "amount = 1000",
        "amount = -1",
        "the amount is -1; allowed is 0 to 99999999",
    ),
    ("amount = 1000", "amount = 10.5", "invalid type: floating point"),
    (
        "basic_chars = \"unlimited\"",
        "basic_chars = \"lots\"",
        "'lots' is not a limit",
    ),
    ("meter = \"tokens\"", "meter = \"coins\"", "there is no meter coins"),
    (
        "product = \"prod_voice\"",
        "product = \"prod_choice\"",
        "there is no [[product]] with the id prod_choice",
    ),
    (
        "product = \"prod_voice\"",
        "product = \"prod_max\"",
        "its product belongs to a tier",
    ),
    (
        "product = \"prod_basic\"",
        "product = \"prod_plus\"",
        "two of [[tier]] have the product prod_plus",
    ),
    (
        "id = \"prod_voice\"",
        "id = \"prod voice\"",
        "an id may have only letters, digits, _ and -",
    ),
    (
        "tax_code = \"txcd_10103000\"",
        "tax_code = \"10103000\"",
        "write one of Stripe's, such as txcd_10103000",
    ),
    (
        "tax_behavior = \"inclusive\"",
        "tax_behavior = \"maybe\"",
        "expected `inclusive` or `exclusive`",
    ),
    (
        "coupon = \"LAUNCH\"",
        "coupon = \"LUNCH\"",
        "promotion LAUNCH: there is no [[coupon]] with the id LUNCH",
    ),
    ("coupon = \"LAUNCH\"", "", "missing field `coupon`"),
    (
        "code = \"LAUNCH\"",
        "code = \"beta\"",
        "two of [[promotion]] have the code BETA",
    ),
    (
        "max_redemptions = 10",
        "max_redemptions = 0",
        "max_redemptions must be above zero",
    ),
    (
        "max_redemptions = 10",
        "expires_at = 2027-01-31",
        "'2027-01-31' is not a time",
    ),
    (
        "max_redemptions = 10",
        "minimum_amount = 500",
        "write minimum_amount, above zero, and minimum_amount_currency together",
    ),
    (
        "amount_off = 1000",
        "percent_off = 20",
        "either amount_off and currency, or percent_off",
    ),
    ("amount_off = 1000", "amount_off = 0", "amount_off must be above zero"),
    (
        "duration = \"once\"",
        "duration = \"repeating\"",
        "duration_in_months, above zero, is for",
    ),
    (
        "duration = \"once\"",
        "duration = \"twice\"",
        "expected one of `once`, `repeating`, `forever`",
    ),
    (
        "applies_to = [\"prod_plus\"]",
        "applies_to = [\"prod_gold\"]",
        "coupon LAUNCHPLUS: there is no [[product]]",
    ),
    (
        "name = \"10 EUR off\"",
        "name = \"10 EUR off, with a name that customers will not read\"",
        "40 characters",
    ),
    (
        "downgrades = \"period_end\"",
        "downgrades = \"never\"",
        "expected `period_end` or `immediate`",
    ),
    (
        "https://example.com/terms",
        "http://example.com/terms",
        "terms_of_service_url is 'http://",
    ),
    ("https://billing.example.com/", "billing.example.com/", "write https://"),
    (
        "headline = \"Your subscription\"",
        "headlines = \"x\"",
        "unknown field `headlines`",
    ),
    ("switch = true", "switch = 1", "invalid type: integer"),
    (
        "api_version = \"2026-05-27.dahlia\"",
        "api_version = \"latest\"",
        "api_version is 'latest'",
    ),
    (
        "api_version = \"2026-05-27.dahlia\"",
        "api_version = \"2026-02-30.dahlia\"",
        "api_version is '2026-02-30.dahlia'",
    ),
    (
        "api_version = \"2026-05-27.dahlia\"",
        "api_version = \"2026-05-27.\"",
        "api_version is '2026-05-27.'",
    ),
    (
        "coupon = \"BETA\"\nmax_redemptions = 10",
        "coupon = \"OLD\"\nmax_redemptions = 10\n[[coupon]]\nid = \"OLD\"\npercent_off = 5\nduration = \"once\"\nmax_redemptions = 9",
        "promotion BETA: max_redemptions is greater than max_redemptions of its coupon OLD",
    ),
    (
        "code = \"BETA\"\ncoupon = \"BETA\"",
        "code = \"BETA\"\ncoupon = \"OLD\"\nexpires_at = 2027-02-01T00:00:00Z\n[[coupon]]\nid = \"OLD\"\npercent_off = 5\nduration = \"once\"\nredeem_by = 2027-01-31T23:59:59Z\n[[promotion]]\ncode = \"BETA2\"\ncoupon = \"OLD\"",
        "promotion BETA: expires_at is greater than redeem_by of its coupon OLD",
    ),
    (
        "applies_to = [\"prod_plus\"]",
        "applies_to = [\"prod_plus\", \"prod_max\", \"prod_plus\"]",
        "coupon LAUNCHPLUS: prod_plus is in the list twice",
    ),
    (
        "customer_update = [\"email\", \"address\"",
        "customer_update = [\"email\", \"email\"",
        "portal: email is in the list twice",
    ),
    (
        "name = \"Basic\"",
        "name = \"Basic \"",
        "product prod_basic: 'Basic ' begins or ends with white space",
    ),
    (
        "description = \"Credits",
        "description = \"\\tCredits",
        "begins or ends with white space",
    ),
    (
        "name = \"10 EUR off\"",
        "name = \" 10 EUR off\"",
        "coupon LAUNCH: ' 10 EUR off' begins",
    ),
    (
        "headline = \"Your subscription\"",
        "headline = \"Your subscription\\u00A0\"",
        "begins or ends with white space",
    ),
    (
        "description = \"Tollbridge\"",
        "description = \"Tollbridge \"",
        "webhook: 'Tollbridge ' begins",
    ),
    ("managed_payments = true", "managed = true", "unknown field `managed`"),
];
