//! Changes that somebody made at Stripe: repaired if Stripe allows it, else refused, and always shown.

use super::operator::Operator;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

const HOOK: &str = "https://billing.example.com/webhooks/stripe";

/// The collection, how the object is found, the field and its new value, and the expected message.
const DRIFTS: &[(&str, &str, &str, &str, &str, &str)] = &[
    (
        "prices",
        "lookup_key",
        "basic_monthly",
        "/unit_amount",
        "999",
        "unit_amount: 999 -> 1000",
    ),
    (
        "prices",
        "lookup_key",
        "basic_yearly",
        "/currency",
        r#""usd""#,
        "currency: \"usd\" -> \"eur\"",
    ),
    (
        "prices",
        "lookup_key",
        "plus_monthly",
        "/recurring/interval",
        r#""year""#,
        "recurring[interval]: \"year\" -> \"month\"",
    ),
    (
        "prices",
        "lookup_key",
        "plus_yearly",
        "/recurring/interval_count",
        "2",
        "recurring[interval_count]: 2 -> 1",
    ),
    (
        "prices",
        "lookup_key",
        "max_monthly",
        "/product",
        r#""prod_plus""#,
        "product: \"prod_plus\" -> \"prod_max\"",
    ),
    (
        "prices",
        "lookup_key",
        "max_yearly",
        "/tax_behavior",
        r#""exclusive""#,
        "tax_behavior: \"exclusive\" -> \"inclusive\"",
    ),
    ("coupons", "id", "BETA", "/amount_off", "1", "amount_off: 1 -> 4000"),
    (
        "coupons",
        "id",
        "LAUNCH",
        "/duration",
        r#""forever""#,
        "duration: \"forever\" -> \"once\"",
    ),
    (
        "coupons",
        "id",
        "LAUNCHPLUS",
        "/applies_to",
        r#"{"products": ["prod_max"]}"#,
        "applies_to[products]: [\"prod_max\"] -> [\"prod_plus\"]",
    ),
    (
        "promotion_codes",
        "code",
        "BETA",
        "/max_redemptions",
        "11",
        "max_redemptions: 11 -> 10",
    ),
    (
        "promotion_codes",
        "code",
        "LAUNCH",
        "/promotion/coupon",
        r#""BETA""#,
        "promotion[coupon]: \"BETA\" -> \"LAUNCH\"",
    ),
    (
        "promotion_codes",
        "code",
        "LAUNCHPLUS",
        "/restrictions/first_time_transaction",
        "true",
        "restrictions[first_time_transaction]: true -> false",
    ),
    (
        "webhook_endpoints",
        "url",
        HOOK,
        "/api_version",
        r#""2024-06-20""#,
        "api_version: \"2024-06-20\" -> \"2026-05-27.dahlia\"",
    ),
];

#[tokio::test]
async fn an_endpoint_without_an_api_version_gets_advice() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    operator.meddle("webhook_endpoints", "url", HOOK, "/api_version", Value::Null)?;
    let refused = operator.run(&["plan", "--test"]).await?.with(1)?;
    ensure!(
        refused
            .printed
            .contains("Stripe sends this endpoint the account's own API version; give the endpoint another URL")
            && !refused.printed.contains("write Stripe's value"),
        "{refused:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_new_coupon_that_stripe_would_not_take_is_refused_before_anything_is_written() -> Result<()> {
    let operator = Operator::new().await?;
    let now = 1_800_000_000;
    operator.stripe.set_now(now);
    for end in ["2027-01-15T07:59:00Z", "2032-01-15T08:01:00Z"] {
        let end = format!("duration = \"once\"\nredeem_by = {end}");
        operator.write(&[("duration = \"once\"", &end)])?;
        let refused = operator.run(&["apply", "--test"]).await?.with(1)?;
        ensure!(refused.lines('x').len() == 1, "{refused:#?}");
        ensure!(
            refused
                .printed
                .contains("must be in the future and at most five years ahead"),
            "{refused:#?}"
        );
    }
    ensure!(operator.stripe.writes().is_empty(), "something was written");
    // Once it is there it may end.
    operator.write(&[(
        "duration = \"once\"",
        "duration = \"once\"\nredeem_by = 2032-01-14T08:00:00Z",
    )])?;
    operator.apply().await?;
    operator.stripe.set_now(now + 6 * 365 * 86_400);
    operator.meddle("coupons", "id", "BETA", "/valid", json!(false))?;
    operator.settled().await
}

#[tokio::test]
async fn changes_that_stripe_never_allows_are_refused_together_and_nothing_is_written() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let before = operator.stripe.writes().len();
    for (collection, field, value, pointer, to, expected) in DRIFTS {
        let was = operator.find(collection, field, value)?;
        operator.meddle(collection, field, value, pointer, serde_json::from_str(to)?)?;
        let refused = operator.run(&["apply", "--test", "--yes"]).await?.with(1)?;
        ensure!(
            refused.printed.contains(expected) && refused.lines('x').len() == 1,
            "{expected}: {refused:#?}"
        );
        operator
            .run(&["plan", "--test", "--detailed-exitcode"])
            .await?
            .with(1)?;
        operator.stripe.put(collection, &was);
    }
    for (collection, field, value, pointer, to, _) in DRIFTS {
        operator.meddle(collection, field, value, pointer, serde_json::from_str(to)?)?;
    }
    // What could be mended is left alone too.
    operator.meddle("products", "id", "prod_basic", "/name", json!("Other"))?;
    let refused = operator.run(&["apply", "--test"]).await?.with(1)?;
    ensure!(refused.lines('x').len() == DRIFTS.len(), "{refused:#?}");
    ensure!(
        refused
            .stderr
            .contains(&format!("Stripe would refuse {} of the objects", DRIFTS.len())),
        "{refused:#?}"
    );
    ensure!(
        refused.printed.contains("`provision apply --replace max_yearly`"),
        "{refused:#?}"
    );
    ensure!(operator.stripe.writes().len() == before, "something was written");
    operator.obeys()
}

#[tokio::test]
async fn changes_that_stripe_allows_are_made() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let portal = operator.stripe.objects("billing_portal/configurations")[0]["id"].clone();
    let portal = portal.as_str().unwrap_or_default();
    let portals = "billing_portal/configurations";
    let update = "/features/subscription_update";
    for (collection, field, value, pointer, to) in [
        ("products", "id", "prod_basic", "/name", json!("Old")),
        ("products", "id", "prod_basic", "/description", json!(null)),
        ("products", "id", "prod_plus", "/active", json!(false)),
        ("products", "id", "prod_plus", "/metadata", json!({})),
        ("products", "id", "prod_max", "/default_price", json!(null)),
        (
            "prices",
            "lookup_key",
            "basic_monthly",
            "/metadata",
            json!({"tier": "max"}),
        ),
        ("prices", "lookup_key", "tokens_5m", "/active", json!(false)),
        (
            "prices",
            "lookup_key",
            "tokens_5m",
            "/tax_behavior",
            json!("unspecified"),
        ),
        ("coupons", "id", "BETA", "/name", json!("Old")),
        ("promotion_codes", "code", "LAUNCH", "/active", json!(false)),
        (portals, "id", portal, "/business_profile/headline", json!("Old")),
        (
            portals,
            "id",
            portal,
            &format!("{update}/schedule_at_period_end/conditions"),
            json!([]),
        ),
        (portals, "id", portal, &format!("{update}/products"), json!([])),
        (
            portals,
            "id",
            portal,
            &format!("{update}/trial_update_behavior"),
            json!("continue_trial"),
        ),
        (
            portals,
            "id",
            portal,
            &format!("{update}/default_allowed_updates"),
            json!(["price", "quantity"]),
        ),
        (
            portals,
            "id",
            portal,
            "/features/subscription_cancel/mode",
            json!("immediately"),
        ),
        ("webhook_endpoints", "url", HOOK, "/enabled_events", json!(["*"])),
        ("webhook_endpoints", "url", HOOK, "/status", json!("disabled")),
        ("webhook_endpoints", "url", HOOK, "/description", json!(null)),
    ] {
        let was = operator.find(collection, field, value)?;
        operator.meddle(collection, field, value, pointer, to)?;
        let before = operator.stripe.writes().len();
        let mended = operator.apply().await?;
        ensure!(mended.lines('~').len() == 1, "{value} {pointer}: {mended:#?}");
        ensure!(
            operator.stripe.writes().len() == before + 1,
            "{value} {pointer}: {mended:#?}"
        );
        let (mut is, mut was) = (operator.find(collection, field, value)?, was);
        for object in [&mut is, &mut was] {
            object["updated"] = Value::Null;
        }
        ensure!(is == was, "{value} {pointer}: {is:#} was {was:#}");
    }
    operator.settled().await
}

#[tokio::test]
async fn both_ways_of_downgrading_are_set_and_conditions_are_emptied() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let conditions = || {
        let portal = operator.stripe.objects("billing_portal/configurations").remove(0);
        portal["features"]["subscription_update"]["schedule_at_period_end"]["conditions"].clone()
    };
    ensure!(conditions().as_array().map(Vec::len) == Some(2), "{}", conditions());
    operator.write(&[
        ("downgrades = \"period_end\"", "downgrades = \"immediate\""),
        ("description = \"Tollbridge\"\n", ""),
    ])?;
    let plan = operator.run(&["plan", "--test"]).await?.with(0)?;
    ensure!(
        plan.printed.contains("-> (nothing)") && plan.printed.contains("credits customers"),
        "{plan:#?}"
    );
    operator.apply().await?;
    ensure!(conditions() == json!([]), "{}", conditions());
    ensure!(operator.find("webhook_endpoints", "url", HOOK)?["description"].is_null());
    operator.settled().await?;
    operator.write(&[])?;
    operator.apply().await?;
    ensure!(conditions().as_array().map(Vec::len) == Some(2), "{}", conditions());
    operator.settled().await
}

#[tokio::test]
async fn objects_that_leave_the_catalog_are_deactivated_and_those_that_stripe_ended_are_reported() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let code = "[[promotion]]\ncode = \"BETA\"\ncoupon = \"BETA\"\nmax_redemptions = 10\n";
    operator.write(&[(code, ""), ("webhooks/stripe", "webhooks/other")])?;
    let applied = operator.apply().await?;
    ensure!(
        applied.lines('-')
            == [
                "archive promotion_code BETA".to_owned(),
                format!("archive webhook_endpoint {HOOK}")
            ],
        "{applied:#?}"
    );
    ensure!(operator.find("promotion_codes", "code", "BETA")?["active"] == false);
    ensure!(operator.find("webhook_endpoints", "url", HOOK)?["status"] == "disabled");
    let warned = format!("! warning: webhook_endpoint {HOOK}: will be disabled because this catalog does not have it");
    ensure!(applied.printed.contains(&warned), "{applied:#?}");
    ensure!(
        applied.printed.matches("whsec_").count() == 1,
        "a new endpoint has a new secret"
    );

    operator.meddle("promotion_codes", "code", "LAUNCH", "/active", json!(false))?;
    operator.meddle("promotion_codes", "code", "LAUNCH", "/times_redeemed", json!(300))?;
    let before = operator.stripe.writes().len();
    let applied = operator.apply().await?;
    ensure!(
        applied
            .printed
            .contains("! promotion_code LAUNCH: inactive: it has been redeemed 300 times"),
        "{applied:#?}"
    );
    ensure!(operator.stripe.writes().len() == before);
    operator.obeys()
}
