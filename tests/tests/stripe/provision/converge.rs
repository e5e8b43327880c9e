//! An empty account becomes what the catalog says, through all faults, and then stays so.

use super::operator::{KEY, Operator, SHIPPED, WRITES};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::stripe::{Fault, Stripe, When, cli};

#[tokio::test]
async fn an_empty_account_gets_everything_once() -> Result<()> {
    let operator = Operator::new().await?;
    let plan = operator
        .run(&["plan", "--test", "--detailed-exitcode"])
        .await?
        .with(2)?;
    ensure!(
        plan.printed
            .starts_with(&format!("account {}, test mode\n", Stripe::ACCOUNT_ID)),
        "{plan:#?}"
    );
    ensure!(plan.lines('+').len() == 26, "{plan:#?}");
    ensure!(operator.stripe.writes().is_empty());
    operator.run(&["plan", "--test"]).await?.with(0)?;

    let applied = operator.apply().await?;
    ensure!(operator.census() == SHIPPED, "{:?}", operator.census());
    ensure!(
        applied.printed.contains("Applied: 26 created, 1 updated, 0 archived"),
        "{applied:#?}"
    );
    ensure!(
        applied
            .printed
            .contains("The secret of https://billing.example.com/webhooks/stripe"),
        "{applied:#?}"
    );
    ensure!(
        applied.stderr.contains("create    price basic_monthly"),
        "no progress: {applied:#?}"
    );
    let keys: Vec<_> = operator
        .stripe
        .writes()
        .into_iter()
        .map(|asked| asked.idempotency_key)
        .collect();
    let fresh: BTreeSet<_> = keys.iter().flatten().collect();
    ensure!(
        keys.len() == WRITES && fresh.len() == WRITES,
        "each write has a key of its own: {keys:?}"
    );
    operator.settled().await?;
    // The account's default portal is another one, or none.
    let portal = operator.stripe.objects("billing_portal/configurations").remove(0);
    let id = portal["id"].as_str().unwrap_or_default();
    let expected = format!("! portal_configuration portal: portal sessions must name configuration {id}");
    let planned = operator.run(&["plan", "--test"]).await?.with(0)?;
    let inspected = operator.run(&["inspect", "--test"]).await?.with(0)?;
    for ran in [&applied, &planned, &inspected] {
        ensure!(ran.printed.matches(&expected).count() == 1, "{ran:#?}");
    }

    let product = operator.find("products", "id", "prod_basic")?;
    let price = operator.find("prices", "lookup_key", "basic_monthly")?;
    ensure!(
        product["default_price"] == price["id"] && price["metadata"]["tier"] == "basic",
        "{price}"
    );
    ensure!(operator.find("prices", "lookup_key", "tokens_5m")?["metadata"]["pack"] == "tokens_5m");
    let endpoint = &operator.stripe.objects("webhook_endpoints")[0];
    ensure!(endpoint["enabled_events"].as_array().map(Vec::len) == Some(stripe_api::HANDLED.len()));
    Ok(())
}

#[tokio::test]
async fn a_plan_can_be_read_by_a_program() -> Result<()> {
    let operator = Operator::new().await?;
    let plan = operator.run(&["plan", "--test", "--json"]).await?.with(0)?;
    let plan: Value = serde_json::from_str(&plan.printed)?;
    ensure!(
        plan["account"] == Stripe::ACCOUNT_ID && plan["mode"] == "test",
        "{plan}"
    );
    ensure!(
        plan["summary"]["create"] == 26 && plan["summary"]["update"] == 1,
        "{plan:#}"
    );
    ensure!(
        plan["changes"][0]["action"] == "create" && plan["changes"][0]["kind"] == "product",
        "{plan:#}"
    );
    ensure!(plan["warnings"].as_array().map(Vec::len) == Some(2), "{plan:#}");
    operator.apply().await?;
    let inspected = operator.run(&["inspect", "--test", "--json"]).await?.with(0)?;
    let inspected: Value = serde_json::from_str(&inspected.printed)?;
    let objects = inspected["objects"].as_array().map_or(0, Vec::len);
    ensure!(objects == SHIPPED.iter().sum::<usize>() + 1, "{inspected:#}");
    let text = operator.run(&["inspect", "--test"]).await?.with(0)?;
    ensure!(
        text.printed.contains("the Dashboard sets them") && text.printed.contains("price basic_monthly price_"),
        "{text:#?}"
    );
    ensure!(!text.printed.contains("whsec_"), "{text:#?}");
    operator.obeys()
}

#[tokio::test]
async fn an_apply_through_any_fault_ends_in_the_same_account() -> Result<()> {
    let seed = u64::from(std::process::id());
    let faults = [
        Fault::TooMany { retry_after: None },
        Fault::FailsBefore(500),
        Fault::FailsAfter,
        Fault::FailsBefore(503),
        Fault::DropsBefore,
        Fault::DropsAfter,
        Fault::BadGateway,
    ];
    let clean = Operator::new().await?;
    clean.apply().await?;
    for fault in faults {
        let operator = Operator::new().await?;
        operator.stripe.inject(fault.clone(), When::any().percent(20, seed));
        let applied = operator.run(&["apply", "--test"]).await?;
        operator.stripe.heal();
        ensure!(applied.code == Some(0), "seed {seed}, {fault:?}: {applied:#?}");
        ensure!(operator.census() == SHIPPED, "{fault:?}: {:?}", operator.census());
        ensure!(described(&operator) == described(&clean), "{fault:?}");
        // An operation's key is kept over its repetitions; but after a 500, which Stripe would say
        // again, the operation is another one.
        let writes = operator.stripe.writes();
        let keys: BTreeSet<_> = writes
            .iter()
            .filter_map(|asked| asked.idempotency_key.as_ref())
            .collect();
        let expected = match fault {
            Fault::FailsAfter | Fault::FailsBefore(500) => writes.len(),
            _ => WRITES,
        };
        ensure!(
            keys.len() == expected,
            "seed {seed}, {fault:?}: {} keys of {}",
            keys.len(),
            writes.len()
        );
        operator.settled().await?;
    }
    Ok(())
}

#[tokio::test]
async fn an_apply_that_fails_at_any_write_is_finished_by_the_next() -> Result<()> {
    // Side by side, since most of the time each waits for its turn to ask.
    let with = async |fault: Fault| {
        // What was done is found to be so, and not asked for again.
        let repeated = usize::from(!matches!(fault, Fault::FailsAfter));
        for write in 0..WRITES {
            let operator = Operator::new().await?;
            let one = When::to("POST", "/v1/").after(write).times(1);
            operator.stripe.inject(fault.clone(), one);
            let applied = operator.run(&["apply", "--test"]).await?;
            ensure!(applied.code == Some(0), "write {write}, {fault:?}: {applied:#?}");
            ensure!(
                operator.census() == SHIPPED && operator.stripe.writes().len() == WRITES + repeated,
                "write {write}, {fault:?}: {:?}",
                operator.census()
            );
            operator.stays().await?;
        }
        anyhow::Ok(())
    };
    let (before, after) = (with(Fault::FailsBefore(500)), with(Fault::FailsAfter));
    tokio::try_join!(before, after, with(Fault::DropsAfter))?;
    Ok(())
}

/// All that was made, without what differs from account to account.
fn described(operator: &Operator) -> Vec<Value> {
    let mut all = Vec::new();
    for collection in super::operator::COLLECTIONS {
        let mut objects = operator.stripe.objects(collection);
        for object in &mut objects {
            for field in ["created", "updated", "secret", "default_price"] {
                object[field] = Value::Null;
            }
            if !["products", "coupons"].contains(&collection) {
                object["id"] = Value::Null;
            }
            if let Some(products) = object.pointer_mut("/features/subscription_update/products") {
                *products = Value::Null;
            }
        }
        objects.sort_by_key(ToString::to_string);
        all.extend(objects);
    }
    all
}

#[tokio::test]
async fn stripes_command_line_lists_what_apply_made() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    for (resource, field, expected) in [
        (
            "products",
            "id",
            &["prod_basic", "prod_max", "prod_plus", "prod_tokens", "prod_voice"][..],
        ),
        (
            "prices",
            "lookup_key",
            &[
                "basic_monthly",
                "basic_yearly",
                "max_monthly",
                "max_yearly",
                "plus_monthly",
                "plus_yearly",
                "tokens_5m",
                "voice_500k",
            ],
        ),
        ("coupons", "id", &["BETA", "LAUNCH", "LAUNCHPLUS"]),
        ("promotion_codes", "code", &["BETA", "LAUNCH", "LAUNCHPLUS"]),
        (
            "webhook_endpoints",
            "url",
            &["https://billing.example.com/webhooks/stripe"],
        ),
    ] {
        let printed = cli(&operator.stripe, KEY, &[resource, "list"]).await?;
        let list: Value = serde_json::from_str(&printed)?;
        let mut listed: Vec<&str> = list["data"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|o| o[field].as_str())
            .collect();
        listed.sort_unstable();
        ensure!(listed == expected, "{resource}: {printed}");
    }
    operator.obeys()
}

#[tokio::test]
async fn objects_made_by_hand_are_taken_over() -> Result<()> {
    let operator = Operator::new().await?;
    let by_hand = Operator::new().await?;
    by_hand.apply().await?;
    for collection in super::operator::COLLECTIONS {
        for mut object in by_hand.stripe.objects(collection) {
            object["metadata"] = json!({"note": "by hand"});
            if collection == "billing_portal/configurations" {
                object["is_default"] = json!(true);
            }
            operator.stripe.put(collection, &object);
        }
    }
    let plan = operator.run(&["plan", "--test"]).await?.with(0)?;
    ensure!(plan.lines('+').is_empty() && plan.lines('~').len() == 22, "{plan:#?}");
    operator.apply().await?;
    ensure!(operator.census() == SHIPPED, "{:?}", operator.census());
    let product = operator.find("products", "id", "prod_basic")?;
    ensure!(
        product["metadata"] == json!({"note": "by hand", "managed_by": "tollbridge"}),
        "{product:#}"
    );
    operator.settled().await
}

/// A catalog with every possible field, and one with as few as possible.
const FULL: &[(&str, &str)] = &[
    (
        "max_redemptions = 10\n",
        "expires_at = 2030-01-31T23:59:59Z\nfirst_time_transaction = true\nminimum_amount = 500\nminimum_amount_currency = \"eur\"\n",
    ),
    (
        "name = \"40 EUR for testers\"\namount_off = 4000\ncurrency = \"eur\"\nduration = \"once\"",
        "percent_off = 25\nduration = \"repeating\"\nduration_in_months = 3\nmax_redemptions = 7\nredeem_by = 2030-01-31T23:59:59Z",
    ),
    ("duration = \"once\"", "duration = \"forever\""),
    ("downgrades = \"period_end\"", "downgrades = \"immediate\""),
    (
        "proration_behavior = \"always_invoice\"",
        "proration_behavior = \"create_prorations\"",
    ),
    (
        "customer_update = [\"email\", \"address\", \"tax_id\"]",
        "customer_update = [\"address\", \"email\", \"name\", \"phone\", \"shipping\", \"tax_id\"]",
    ),
    (
        "[tax]\ntax_behavior = \"inclusive\"",
        "[tax]\nhead_office = { country = \"DE\", postal_code = \"10115\", city = \"Berlin\", line1 = \"Straße 1\" }\ntax_behavior = \"inferred_by_currency\"",
    ),
];
const SPARE: &[(&str, &str)] = &[
    (
        "tax_behavior = \"inclusive\"\n\n[[price]]\nlookup_key = \"basic_yearly\"",
        "\n[[price]]\nlookup_key = \"basic_yearly\"",
    ),
    ("description = \"Credits that do not expire\"\n", ""),
    ("tax_code = \"txcd_10103000\"\n", ""),
    ("name = \"10 EUR off\"\n", ""),
    ("headline = \"Your subscription\"\n", ""),
    ("privacy_policy_url = \"https://example.com/privacy\"\n", ""),
    ("terms_of_service_url = \"https://example.com/terms\"\n", ""),
    ("default_return_url = \"https://example.com/account\"\n", ""),
    (
        "customer_update = [\"email\", \"address\", \"tax_id\"]\ninvoice_history = true\npayment_method_update = true\ncancel = true\nswitch = true\npromotion_codes = true",
        "customer_update = []\ninvoice_history = false\npayment_method_update = false\ncancel = false\nswitch = false",
    ),
    ("description = \"Tollbridge\"\n", ""),
    ("[tax]\ntax_behavior = \"inclusive\"\n", "[tax]\n"),
];

#[tokio::test]
async fn a_price_and_a_product_may_have_one_name() -> Result<()> {
    let operator = Operator::new().await?;
    operator.write(&[("lookup_key = \"basic_monthly\"", "lookup_key = \"prod_basic\"")])?;
    operator.apply().await?;
    let portal = &operator.stripe.objects("billing_portal/configurations")[0];
    let products = &portal["features"]["subscription_update"]["products"];
    ensure!(products[0]["product"] == "prod_basic", "{products:#}");
    operator.settled().await
}

#[tokio::test]
async fn stripe_accepts_everything_that_a_valid_catalog_can_say() -> Result<()> {
    for (first, second) in [(FULL, &[][..]), (SPARE, &[]), (&[], SPARE)] {
        let operator = Operator::new().await?;
        operator.stripe.set_now(1_800_000_000);
        operator.write(first)?;
        operator.apply().await?;
        ensure!(operator.census() == SHIPPED, "{:?}", operator.census());
        operator.settled().await?;
        // What can change changes, without a word about what cannot.
        let immutable = first.iter().any(|(from, _)| from.contains("max_redemptions"));
        if !immutable {
            operator.write(second)?;
            operator.apply().await?;
            operator.settled().await?;
        }
    }
    Ok(())
}
