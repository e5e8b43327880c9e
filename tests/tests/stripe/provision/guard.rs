//! The mode must be stated and the key must be of that mode; missing permissions are named.

use super::operator::Operator;
use anyhow::{Result, ensure};

#[tokio::test]
async fn a_key_of_another_mode_is_refused_before_any_request() -> Result<()> {
    let mut operator = Operator::new().await?;
    for (key, mode) in [
        ("sk_live_hush", "--test"),
        ("rk_live_hush", "--test"),
        ("sk_test_hush", "--live"),
        ("sk_hush", "--test"),
    ] {
        operator.settings.insert("STRIPE_SECRET_KEY".into(), key.into());
        for command in [&["plan", mode][..], &["apply", mode, "--yes"], &["inspect", mode]] {
            let command: Vec<&str> = command
                .iter()
                .copied()
                .filter(|a| *a != "--yes" || command[0] == "apply")
                .collect();
            let refused = operator.run(&command).await?.with(2)?;
            ensure!(refused.stderr.contains("STRIPE_SECRET_KEY: is a key"), "{refused:#?}");
        }
    }
    operator
        .settings
        .insert("STRIPE_SECRET_KEY".into(), "sk_live_hush".into());
    let refused = operator.run(&["test-clock", "delete", "clock_1"]).await?.with(2)?;
    ensure!(
        refused
            .stderr
            .contains("a key of live mode, but test clocks exist only in test mode"),
        "{refused:#?}"
    );
    // Live mode is confirmed, by somebody or by a word.
    let refused = operator.run(&["apply", "--live"]).await?.with(2)?;
    ensure!(refused.stderr.contains("write --yes"), "{refused:#?}");
    ensure!(
        operator.stripe.requests().is_empty(),
        "{:?}",
        operator.stripe.requests()
    );
    let applied = operator.run(&["apply", "--live", "--yes"]).await?.with(0)?;
    ensure!(applied.printed.contains(", live mode\n"), "{applied:#?}");
    let live = operator
        .stripe
        .objects("products")
        .iter()
        .all(|product| product["livemode"] == true);
    ensure!(live && operator.stripe.objects("products").len() == 5);
    Ok(())
}

#[tokio::test]
async fn check_sends_no_request_and_plan_writes_nothing() -> Result<()> {
    let mut operator = Operator::new().await?;
    operator.run(&["plan", "--test"]).await?.with(0)?;
    ensure!(operator.stripe.writes().is_empty());
    operator.settings.remove("STRIPE_SECRET_KEY");
    let before = operator.stripe.requests().len();
    let checked = operator.run(&["check"]).await?.with(0)?;
    ensure!(checked.printed.contains("The catalog can be applied."), "{checked:#?}");
    operator.write(&[("coupon = \"LAUNCH\"", "coupon = \"LUNCH\"")])?;
    let wrong = operator.run(&["check"]).await?.with(2)?;
    ensure!(
        wrong.stderr.contains("catalog.toml: line ") && wrong.stderr.contains("no [[coupon]] with the id LUNCH"),
        "{wrong:#?}"
    );
    ensure!(operator.stripe.requests().len() == before);
    Ok(())
}

#[tokio::test]
async fn the_missing_permission_of_a_restricted_key_is_named() -> Result<()> {
    let mut operator = Operator::new().await?;
    let key = "rk_test_tollbridge_restricted";
    operator.settings.insert("STRIPE_SECRET_KEY".into(), key.into());
    // A plan is content with reading; the account need not be read.
    let writing = [
        "product",
        "plan",
        "coupon",
        "promotion_code",
        "customer_portal",
        "webhook",
        "tax_settings",
    ];
    let writing = writing.map(|kind| format!("{kind}_write"));
    let denied: Vec<&str> = writing.iter().map(String::as_str).chain(["account_read"]).collect();
    operator.stripe.deny(key, &denied);
    let plan = operator.run(&["plan", "--test"]).await?.with(0)?;
    ensure!(plan.printed.starts_with("account unknown"), "{plan:#?}");
    operator.run(&["inspect", "--test"]).await?.with(0)?;
    let denied = operator.run(&["apply", "--test"]).await?.with(1)?;
    ensure!(
        denied
            .stderr
            .contains("create    product prod_basic (after 0 of 27 writes"),
        "{denied:#?}"
    );
    ensure!(
        denied.stderr.contains("'rak_product_write'") && operator.stripe.objects("products").is_empty(),
        "{denied:#?}"
    );
    operator.obeys()
}
