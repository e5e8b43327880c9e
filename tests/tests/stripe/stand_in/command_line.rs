//! Stripe's own command line works with the stand-in.

use super::caller::{Caller, KEY, id, ids};
use anyhow::{Result, ensure};
use serde_json::Value;
use tests::stripe::cli;

#[tokio::test]
async fn stripes_command_line_lists_what_is_there() -> Result<()> {
    let caller = Caller::new().await?;
    let price = caller.plan("prod_cli").await?;
    caller.post("/v1/coupons", "id=TEN&percent_off=10").await?;
    let form = "promotion[type]=coupon&promotion[coupon]=TEN&code=HELLO";
    let promotion = id(&caller.post("/v1/promotion_codes", form).await?)?;
    let form = "url=https://example.com/hook&enabled_events[]=invoice.paid";
    let endpoint = id(&caller.post("/v1/webhook_endpoints", form).await?)?;
    for (arguments, id) in [
        (["products", "list"], "prod_cli"),
        (["prices", "list"], &price),
        (["coupons", "list"], "TEN"),
        (["promotion_codes", "list"], &promotion),
        (["webhook_endpoints", "list"], &endpoint),
    ] {
        let printed = cli(&caller.stripe, KEY, &arguments).await?;
        let list: Value = serde_json::from_str(&printed)?;
        ensure!(ids(&list) == (vec![id], false), "{arguments:?}: {printed}");
    }
    let made = cli(&caller.stripe, KEY, &["products", "create", "--name=Mine", "--confirm"]).await?;
    let made: Value = serde_json::from_str(&made)?;
    ensure!(made["name"] == "Mine", "{made}");
    ensure!(
        caller.stripe.violations().is_empty(),
        "{:?}",
        caller.stripe.violations()
    );
    Ok(())
}
