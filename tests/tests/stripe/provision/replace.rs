//! A price that must change: a new one takes its lookup key, the old one is archived.

use super::operator::Operator;
use anyhow::{Result, ensure};
use serde_json::{Value, json};

const DEARER: [(&str, &str); 1] = [("amount = 1000", "amount = 1200")];

fn replaced(operator: &Operator, old: &Value) -> Result<()> {
    let new = operator.find("prices", "lookup_key", "basic_monthly")?;
    ensure!(
        new["unit_amount"] == 1200 && new["active"] == true && new["id"] != old["id"],
        "{new:#}"
    );
    let id = old["id"].as_str().unwrap_or_default();
    let archived = operator.find("prices", "id", id)?;
    ensure!(
        archived["active"] == false && archived["lookup_key"].is_null(),
        "{archived:#}"
    );
    ensure!(
        archived["metadata"]["tier"] == "basic",
        "the worker knows it by this: {archived:#}"
    );
    ensure!(operator.find("products", "id", "prod_basic")?["default_price"] == new["id"]);
    let portal = operator
        .stripe
        .objects("billing_portal/configurations")
        .remove(0)
        .to_string();
    ensure!(
        portal.contains(new["id"].as_str().unwrap_or_default()) && !portal.contains(id),
        "{portal}"
    );
    ensure!(operator.stripe.objects("prices").len() == 9);
    Ok(())
}

#[tokio::test]
async fn a_price_is_replaced_when_it_is_asked_for() -> Result<()> {
    let operator = Operator::new().await?;
    operator.apply().await?;
    let mut old = operator.find("prices", "lookup_key", "basic_monthly")?;
    // As if it had been made by hand.
    old["metadata"] = json!({});
    operator.stripe.put("prices", &old);
    operator.write(&DEARER)?;
    operator.run(&["apply", "--test"]).await?.with(1)?;
    let replace = ["--test", "--replace", "basic_monthly"];
    let plan = operator.run(&[&["plan"][..], &replace].concat()).await?.with(0)?;
    ensure!(
        plan.lines('+') == ["create price basic_monthly"] && plan.lines('-').len() == 1,
        "{plan:#?}"
    );
    operator.run(&[&["apply"][..], &replace].concat()).await?.with(0)?;
    replaced(&operator, &old)?;
    operator.settled().await?;
    let unknown = operator
        .run(&["apply", "--test", "--replace", "basic_weekly"])
        .await?
        .with(2)?;
    ensure!(
        unknown.stderr.contains("the catalog has no price with this lookup key"),
        "{unknown:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_replacement_that_is_killed_is_finished_by_the_next_apply() -> Result<()> {
    for writes in 0..4 {
        let operator = Operator::new().await?;
        operator.apply().await?;
        let old = operator.find("prices", "lookup_key", "basic_monthly")?;
        operator.write(&DEARER)?;
        let replace = ["apply", "--test", "--replace", "basic_monthly"];
        operator.run_and_kill(&replace, writes).await?;
        // The new price is there, so the second apply needs no --replace.
        operator.apply().await?;
        replaced(&operator, &old)?;
        operator.settled().await?;
    }
    Ok(())
}
