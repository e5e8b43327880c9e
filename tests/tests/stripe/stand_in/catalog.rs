//! Products, prices, coupons, promotion codes, portals and endpoints.

use super::caller::{Caller, id, ids};
use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

#[tokio::test]
async fn a_field_that_is_not_sent_keeps_its_value_and_an_empty_one_is_cleared() -> Result<()> {
    let caller = Caller::new().await?;
    let form = "id=prod_a&name=A&description=Long&metadata[tier]=basic&metadata[rank]=1&images[]=https://a.b/c.png";
    caller.post("/v1/products", form).await?;
    let changed = caller
        .post("/v1/products/prod_a", "name=B&metadata[rank]=&metadata[new]=2")
        .await?;
    ensure!(changed["name"] == "B" && changed["description"] == "Long", "{changed}");
    ensure!(changed["metadata"] == json!({"tier": "basic", "new": "2"}), "{changed}");
    let emptied = caller
        .post("/v1/products/prod_a", "description=&images=&metadata=")
        .await?;
    ensure!(
        emptied["description"].is_null() && emptied["images"] == json!([]),
        "{emptied}"
    );
    ensure!(emptied["metadata"] == json!({}) && emptied["name"] == "B", "{emptied}");
    ensure!(caller.get("/v1/products/prod_a").await? == emptied);
    Ok(())
}

#[tokio::test]
async fn a_lookup_key_belongs_to_one_price_until_it_is_transferred() -> Result<()> {
    let caller = Caller::new().await?;
    let old = caller.plan("prod_a").await?;
    caller
        .post(&format!("/v1/prices/{old}"), "lookup_key=monthly&active=false")
        .await?;
    let new = caller
        .price("prod_a", "lookup_key=monthly&transfer_lookup_key=true")
        .await?;
    let list = caller
        .get("/v1/prices?lookup_keys[]=monthly&lookup_keys[]=yearly")
        .await?;
    ensure!(ids(&list) == (vec![new.as_str()], false), "{list}");
    ensure!(caller.get(&format!("/v1/prices/{old}")).await?["lookup_key"].is_null());
    let kept = caller.post(&format!("/v1/prices/{new}"), "lookup_key=monthly").await?;
    ensure!(kept["lookup_key"] == "monthly", "its own key is taken: {kept}");

    // The default changes before the old one is archived, and what is archived is no default.
    caller
        .post("/v1/products/prod_a", &format!("default_price={new}"))
        .await?;
    let (status, _, _, message) = caller
        .refused("POST /v1/products/prod_a", &format!("default_price={old}"))
        .await?;
    ensure!(status == 400 && message.contains("inactive"), "{message}");
    let list = caller
        .get("/v1/prices?active=false&product=prod_a&type=recurring")
        .await?;
    ensure!(ids(&list) == (vec![old.as_str()], false), "{list}");
    Ok(())
}

#[tokio::test]
async fn a_price_shows_the_fields_that_follow_from_the_request() -> Result<()> {
    let caller = Caller::new().await?;
    let form =
        "id=prod_a&name=A&default_price_data[currency]=EUR&default_price_data[unit_amount]=5&expand[]=default_price";
    let product = caller.post("/v1/products", form).await?;
    let price = &product["default_price"];
    ensure!(price["currency"] == "eur" && price["product"] == "prod_a", "{product}");
    ensure!(
        price["type"] == "one_time" && price["unit_amount_decimal"] == "5",
        "{product}"
    );
    ensure!(price.get("currency_options").is_none(), "not asked for: {price}");
    let yearly = caller.price("prod_a", "recurring[interval]=year").await?;
    let yearly = caller
        .get(&format!(
            "/v1/prices/{yearly}?expand[]=product&expand[]=currency_options"
        ))
        .await?;
    let recurring = json!({"interval": "year", "interval_count": 1, "meter": null, "usage_type": "licensed"});
    ensure!(
        yearly["recurring"] == recurring && yearly["product"]["name"] == "A",
        "{yearly}"
    );
    ensure!(yearly["currency_options"]["eur"]["unit_amount"] == 1000, "{yearly}");
    Ok(())
}

#[tokio::test]
async fn applies_to_of_a_coupon_is_shown_only_if_expanded() -> Result<()> {
    let caller = Caller::new().await?;
    caller.plan("prod_a").await?;
    let form = "id=TEN&percent_off=10.5&duration=repeating&duration_in_months=3&applies_to[products][]=prod_a";
    let made = caller.post("/v1/coupons", form).await?;
    ensure!(
        made.get("applies_to").is_none() && made["percent_off"] == 10.5,
        "{made}"
    );
    let products = json!({"products": ["prod_a"]});
    let asked = caller.get("/v1/coupons/TEN?expand[]=applies_to").await?;
    ensure!(asked["applies_to"] == products, "{asked}");
    let listed = caller.get("/v1/coupons?expand[]=data.applies_to").await?;
    ensure!(listed["data"][0]["applies_to"] == products, "{listed}");
    let list = caller.get("/v1/coupons").await?;
    ensure!(list["data"][0].get("applies_to").is_none(), "{list}");
    let off = caller
        .post("/v1/coupons", "amount_off=500&currency=EUR&expand[]=currency_options")
        .await?;
    ensure!(off["currency_options"] == json!({"eur": {"amount_off": 500}}), "{off}");

    let form = "promotion[type]=coupon&promotion[coupon]=TEN&code=Hello&expand[]=promotion.coupon.applies_to";
    let promotion = caller.post("/v1/promotion_codes", form).await?;
    ensure!(
        promotion["promotion"]["coupon"]["applies_to"] == products,
        "{promotion}"
    );
    let promotion = id(&promotion)?;
    for (query, count) in [
        ("code=HELLO", 1),
        ("coupon=TEN&active=true", 1),
        ("active=false", 0),
        ("coupon=OFF", 0),
    ] {
        let list = caller.get(&format!("/v1/promotion_codes?{query}")).await?;
        ensure!(ids(&list).0.len() == count, "{query}: {list}");
    }
    // A code is one for all, and one for each customer.
    let customer = id(&caller.post("/v1/customers", "").await?)?;
    let form = format!("promotion[type]=coupon&promotion[coupon]=TEN&code=HELLO&customer={customer}");
    caller.post("/v1/promotion_codes", &form).await?;
    // An inactive code is free for another, and then cannot come back.
    let path = format!("/v1/promotion_codes/{promotion}");
    caller.post(&path, "active=false").await?;
    caller
        .post(
            "/v1/promotion_codes",
            "promotion[type]=coupon&promotion[coupon]=TEN&code=hello",
        )
        .await?;
    let (status, ..) = caller.refused(&format!("POST {path}"), "active=true").await?;
    ensure!(status == 400, "two are active");
    Ok(())
}

#[tokio::test]
async fn products_of_a_portal_are_shown_only_if_expanded_and_kept_unless_sent() -> Result<()> {
    let caller = Caller::new().await?;
    let price = caller.plan("prod_a").await?;
    let update = "features[subscription_update]";
    let conditions = format!("{update}[schedule_at_period_end][conditions]");
    let form = format!(
        "metadata[by]=us&features[invoice_history][enabled]=true&{update}[enabled]=true\
         &{update}[default_allowed_updates][]=price&{update}[products][0][product]=prod_a\
         &{update}[products][0][prices][0]={price}&{conditions}[0][type]=decreasing_item_amount\
         &{update}[trial_update_behavior]=end_trial&{update}[billing_cycle_anchor]=unchanged"
    );
    let made = caller.post("/v1/billing_portal/configurations", &form).await?;
    ensure!(
        made["features"]["subscription_update"].get("products").is_none(),
        "{made}"
    );
    ensure!(
        made["features"]["subscription_update"]["trial_update_behavior"] == "end_trial",
        "{made}"
    );
    let path = format!("/v1/billing_portal/configurations/{}", id(&made)?);
    let whole = format!("{path}?expand[]=features.subscription_update.products");
    let expected = json!([{
        "adjustable_quantity": {"enabled": false, "maximum": null, "minimum": 1},
        "prices": [price], "product": "prod_a"
    }]);
    let products = |portal: &Value| portal["features"]["subscription_update"]["products"].clone();
    ensure!(products(&caller.get(&whole).await?) == expected);
    let form = format!("business_profile[headline]=Hi&{update}[proration_behavior]=none&metadata[by]=them");
    caller.post(&path, &form).await?;
    let kept = caller.get(&whole).await?;
    ensure!(
        products(&kept) == expected && kept["business_profile"]["headline"] == "Hi",
        "{kept}"
    );
    let kept = &kept["features"]["subscription_update"]["schedule_at_period_end"]["conditions"];
    ensure!(*kept == json!([{"type": "decreasing_item_amount"}]), "{kept}");
    caller.post(&path, "default_return_url=https://a.b").await?;
    let form = format!("{conditions}=&{update}[enabled]=false&{update}[products]=");
    caller.post(&path, &form).await?;
    let list = "/v1/billing_portal/configurations?is_default=false&active=true";
    let list = caller
        .get(&format!("{list}&expand[]=data.features.subscription_update.products"))
        .await?;
    let emptied = &list["data"][0];
    ensure!(products(emptied) == json!([]), "{emptied}");
    let conditions = &emptied["features"]["subscription_update"]["schedule_at_period_end"]["conditions"];
    ensure!(*conditions == json!([]), "{emptied}");
    Ok(())
}

#[tokio::test]
async fn the_secret_of_an_endpoint_is_shown_once() -> Result<()> {
    let caller = Caller::new().await?;
    let form = "url=https://a.b/c&enabled_events[]=invoice.paid&enabled_events[]=charge.refunded&api_version=2026-05-27.dahlia";
    let made = caller.post("/v1/webhook_endpoints", form).await?;
    let secret = made["secret"].as_str().context("no secret")?;
    ensure!(secret.starts_with("whsec_") && made["status"] == "enabled", "{made}");
    let path = format!("/v1/webhook_endpoints/{}", id(&made)?);
    let form = "disabled=true&enabled_events[]=invoice.paid&description=Ours";
    let changed = caller.post(&path, form).await?;
    ensure!(
        changed["status"] == "disabled" && changed["enabled_events"] == json!(["invoice.paid"]),
        "{changed}"
    );
    for answer in [
        changed,
        caller.get(&path).await?,
        caller.get("/v1/webhook_endpoints").await?,
    ] {
        ensure!(!answer.to_string().contains("secret"), "{answer}");
    }
    let gone = caller.done(&format!("DELETE {path}"), "").await?;
    ensure!(
        gone["deleted"] == true && caller.stripe.objects("webhook_endpoints").is_empty(),
        "{gone}"
    );
    Ok(())
}

#[tokio::test]
async fn an_account_has_one_self_and_one_set_of_tax_settings() -> Result<()> {
    let caller = Caller::new().await?;
    let account = caller.get("/v1/account").await?;
    ensure!(account["id"] == tests::stripe::Stripe::ACCOUNT_ID, "{account}");
    ensure!(caller.get("/v1/tax/settings").await?["status"] == "pending");
    let form = "defaults[tax_code]=txcd_10103001&defaults[tax_behavior]=inclusive&head_office[address][country]=AT";
    let settings = caller.post("/v1/tax/settings", form).await?;
    ensure!(
        settings["status"] == "active" && settings["defaults"]["tax_behavior"] == "inclusive",
        "{settings}"
    );
    ensure!(caller.get("/v1/tax/settings").await? == settings);
    Ok(())
}
