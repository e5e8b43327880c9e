//! The secret of a new endpoint, which Stripe shows once: printed, written to a file, or reported as
//! lost.

use super::operator::{Operator, Ran, SHIPPED};
use anyhow::{Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use tests::harness::eventually;
use tests::stripe::{Fault, When};

const ENDPOINTS: &str = "/v1/webhook_endpoints";
const MAY_BE: &str = "! https://billing.example.com/webhooks/stripe may have been created. Look in the Dashboard";

#[tokio::test]
async fn a_secret_is_shown_once_or_goes_to_a_file_that_only_its_owner_reads() -> Result<()> {
    let operator = Operator::new().await?;
    let path = operator.folder.join("secret");
    let place = path.display().to_string();
    fs::write(&path, "somebody's")?;
    let refused = operator
        .run(&["apply", "--test", "--secret-file", &place])
        .await?
        .with(1)?;
    ensure!(
        refused.stderr.contains("the file is not empty") && operator.stripe.writes().is_empty(),
        "{refused:#?}"
    );

    fs::remove_file(&path)?;
    let applied = operator
        .run(&["apply", "--test", "--secret-file", &place])
        .await?
        .with(0)?;
    let secret = fs::read_to_string(&path)?;
    ensure!(
        secret.starts_with("whsec_") && secret.lines().count() == 1,
        "no secret in the file"
    );
    ensure!(fs::metadata(&path)?.permissions().mode() & 0o777 == 0o600);
    let both = format!("{}{}", applied.printed, applied.stderr);
    ensure!(
        !both.contains("whsec_") && both.contains("is in the file"),
        "{applied:#?}"
    );
    // Never again, and never another.
    let again = operator.apply().await?;
    ensure!(
        !again.printed.contains("whsec_") && fs::read_to_string(&path)? == secret,
        "{again:#?}"
    );

    let other = Operator::new().await?;
    let shown = other.apply().await?;
    ensure!(
        shown.printed.matches("whsec_").count() == 1 && !shown.stderr.contains("whsec_"),
        "{shown:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_secret_that_did_not_come_is_reported() -> Result<()> {
    let operator = Operator::new().await?;
    operator.stripe.inject(Fault::FailsAfter, When::to("POST", ENDPOINTS));
    let applied = operator.apply().await?;
    is_lost(&operator, &applied)
}

/// What an attempt did, no later answer undoes.
#[tokio::test]
async fn a_lost_secret_is_reported_even_if_a_later_attempt_is_refused() -> Result<()> {
    let mut operator = Operator::new().await?;
    let key = "rk_test_tollbridge_restricted";
    operator.settings.insert("STRIPE_SECRET_KEY".into(), key.into());
    // Some attempts more, until the permission is gone.
    operator
        .stripe
        .inject(Fault::DropsAfter, When::to("POST", ENDPOINTS).times(4));
    let denied = eventually(Duration::from_secs(30), "the endpoint is there", async || {
        ensure!(!operator.stripe.objects("webhook_endpoints").is_empty());
        operator.stripe.deny(key, &["webhook_write"]);
        Ok(())
    });
    let (applied, ()) = tokio::join!(operator.apply(), denied);
    let applied = applied?;
    ensure!(
        applied.stderr.contains("an attempt before that may have taken effect"),
        "{applied:#?}"
    );
    is_lost(&operator, &applied)
}

fn is_lost(operator: &Operator, applied: &Ran) -> Result<()> {
    ensure!(
        applied
            .printed
            .contains("Stripe's answer with its secret did not arrive")
            && !applied.printed.contains(MAY_BE),
        "{applied:#?}"
    );
    ensure!(operator.census() == SHIPPED, "{:?}", operator.census());
    operator.obeys()
}

#[tokio::test]
async fn an_endpoint_that_may_have_been_made_is_reported_however_the_apply_ends() -> Result<()> {
    let operator = Operator::new().await?;
    operator.stripe.inject(Fault::FailsAfter, When::to("POST", ENDPOINTS));
    // The first look is well, reading back is not.
    let second = When::to("GET", "/v1/products").after(1);
    operator.stripe.inject(Fault::FailsBefore(401), second);
    let failed = operator.run(&["apply", "--test"]).await?.with(1)?;
    ensure!(failed.printed.contains(MAY_BE), "{failed:#?}");
    ensure!(failed.stderr.contains("cannot read back"), "{failed:#?}");

    // Always the same doubt, until there is no patience left.
    let other = Operator::new().await?;
    other
        .stripe
        .inject(Fault::FailsBefore(500), When::to("POST", ENDPOINTS));
    let failed = other.run(&["apply", "--test"]).await?.with(1)?;
    ensure!(failed.printed.contains(MAY_BE), "{failed:#?}");
    ensure!(failed.stderr.contains("apply again later"), "{failed:#?}");
    Ok(())
}

#[tokio::test]
async fn an_unused_secret_file_is_reported() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let path = operator.folder.join("secret");
    let place = path.display().to_string();
    for (held, expected, changes) in [
        (None, "no file is created", false),
        (Some(""), "the file stays empty", false),
        (Some("old"), "the file keeps its old content", false),
        (Some(""), "the file stays empty", true),
    ] {
        if let Some(held) = held {
            fs::write(&path, held)?;
        }
        if changes {
            operator.write(&[("name = \"Basic\"", "name = \"Starter\"")])?;
        }
        let applied = operator
            .run(&["apply", "--test", "--secret-file", &place])
            .await?
            .with(0)?;
        let expected =
            format!("! --secret-file {place}: the plan creates no endpoint, so there is no secret, and {expected}");
        ensure!(applied.printed.contains(&expected), "{applied:#?}");
        ensure!(applied.printed.contains("Nothing to do.") != changes, "{applied:#?}");
        ensure!(
            path.exists() == held.is_some()
                && fs::read_to_string(&path).unwrap_or_default() == held.unwrap_or_default()
        );
    }
    Ok(())
}
