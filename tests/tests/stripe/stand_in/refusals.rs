//! Refused requests, and the words of the refusals.

use super::caller::Caller;
use anyhow::{Context, Result, ensure};
use tests::stripe::Stripe;

/// What Stripe's document does not know: request and form | status, code and param | words of the
/// message. `LONG` is a text of 41 letters, `MANY` are 21 types, `-` is nothing.
const UNKNOWN: &str = "
GET /v1/produce | 404 - - | Unrecognized request URL (GET: /v1/produce)
DELETE /v1/prices/price_1 | 404 - - | Unrecognized request URL (DELETE
POST /v1/products name=x&nome=y | 400 parameter_unknown nome | Received unknown parameter: nome
POST /v1/products name=x&b=y&c=z | 400 parameter_unknown b | Received unknown parameters: b, c
POST /v1/products | 400 parameter_missing name | Missing required param: name.
POST /v1/products name= | 400 parameter_invalid_empty name | 'name' cannot be unset
POST /v1/products name=x&active=yes | 400 - active | Invalid boolean: yes
POST /v1/products name[a]=x | 400 - name | Invalid string
POST /v1/products name=x&images=y | 400 - images | Invalid array
POST /v1/products name=x&metadata=y | 400 - metadata | Invalid object
POST /v1/products name=x&metadata[LONG]=y | 400 - metadata[LONG] | up to 40 characters
POST /v1/coupons percent_off=10&name=LONG | 400 parameter_invalid_string_length name | at most 40 characters
POST /v1/coupons percent_off=x | 400 - percent_off | Invalid decimal: x
POST /v1/coupons amount_off=1.5 | 400 parameter_invalid_integer amount_off | Invalid integer: 1.5
POST /v1/prices currency=eur&product=p&recurring[interval]=hour | 400 - recurring[interval] | one of day, month, week, or year
POST /v1/prices currency=eur&product=p&recurring[interval_count]=1 | 400 parameter_missing recurring[interval] | Missing
POST /v1/prices/price_1 unit_amount=1 | 400 parameter_unknown unit_amount | unit_amount
POST /v1/coupons/c percent_off=1 | 400 parameter_unknown percent_off | percent_off
POST /v1/promotion_codes/p code=x | 400 parameter_unknown code | code
POST /v1/promotion_codes coupon=TEN | 400 parameter_unknown coupon | coupon
POST /v1/webhook_endpoints/we_1 api_version=2020-08-27 | 400 parameter_unknown api_version | api_version
POST /v1/webhook_endpoints url=https://a.b&enabled_events[]=made.up | 400 - enabled_events[0] | must be one of
POST /v1/billing_portal/configurations features[subscription_update][products][0][prices][]=p&features[subscription_update][enabled]=true | 400 parameter_missing features[subscription_update][products][0][product] | Missing
POST /v1/billing_portal/configurations features[subscription_update][nope]=1 | 400 parameter_unknown features[subscription_update][nope] | unknown
POST /v1/billing_portal/configurations features[subscription_update][enabled]=true&features[subscription_update][schedule_at_period_end][conditions][0][type]=x | 400 - features[subscription_update][schedule_at_period_end][conditions][0][type] | must be one of
GET /v1/products?limit=0 | 400 parameter_invalid_integer limit | greater than or equal to 1
GET /v1/products?limit=101 | 400 parameter_invalid_integer limit | less than or equal to 100
GET /v1/products?lookup_keys[]=x | 400 parameter_unknown lookup_keys | lookup_keys
GET /v1/products?ids[]=a&starting_after=b | 400 parameters_exclusive ids | ids, starting_after
GET /v1/events?type=a&types[]=b | 400 parameters_exclusive type | type, types
GET /v1/events?MANY | 400 - types | up to 20 types
GET /v1/events?created[after]=1 | 400 parameter_unknown created[after] | created[after]
GET /v1/products/x?expand[]=name | 400 - expand | This property cannot be expanded (name).
GET /v1/products?expand[]=default_price | 400 - expand | (default_price). You may want to try expanding 'data.default_price' instead.
GET /v1/prices?expand[]=data.product.default_price.product.x | 400 - expand | more than 4 levels
GET /v1/payouts | 501 - - | the stand-in for Stripe does not serve get /v1/payouts
GET /v1/subscriptions?current_period_end=1 | 501 - - | does not filter subscriptions by current_period_end
";

/// What stands against what is there. `PRICE` is the default price of `prod_a`, `OTHER` one of `prod_b`.
const CONFLICTS: &str = "
GET /v1/products/prod_z | 404 resource_missing id | No such product: 'prod_z'
POST /v1/coupons/NONE name=x | 404 resource_missing id | No such coupon: 'NONE'
GET /v1/events/evt_0 | 404 resource_missing id | No such event: 'evt_0'
GET /v1/products?starting_after=prod_z | 400 resource_missing starting_after | No such product: 'prod_z'
GET /v1/events?ending_before=evt_0 | 400 resource_missing ending_before | No such event: 'evt_0'
POST /v1/products id=prod_a&name=x | 400 resource_already_exists id | Product already exists.
POST /v1/coupons id=TEN&percent_off=10 | 400 resource_already_exists id | Coupon already exists.
POST /v1/products name=x&tax_code=books | 400 resource_missing tax_code | No such tax code: 'books'
POST /v1/products/prod_a default_price=OTHER | 400 - default_price | does not belong to this product
POST /v1/prices product=prod_a&currency=eur | 400 - - | require an `unit_amount`
POST /v1/prices product=prod_a&currency=eur&unit_amount=-1 | 400 parameter_invalid_integer unit_amount | non-negative
POST /v1/prices product=prod_a&currency=eur&unit_amount=1&unit_amount_decimal=1 | 400 parameters_exclusive unit_amount | only specify one
POST /v1/prices product=prod_a&currency=euro&unit_amount=1 | 400 - currency | Invalid currency: euro
POST /v1/prices product=prod_z&currency=eur&unit_amount=1 | 400 resource_missing product | No such product: 'prod_z'
POST /v1/prices product=prod_a&currency=eur&unit_amount=1&lookup_key=taken | 400 - lookup_key | A price (`PRICE`) already uses that lookup key.
POST /v1/prices/PRICE active=false | 400 - - | This price cannot be archived because it is the default price of its product.
POST /v1/prices/PRICE tax_behavior=exclusive | 400 - tax_behavior | cannot be changed
POST /v1/coupons duration=once | 400 - - | percent_off or amount_off
POST /v1/coupons amount_off=5&percent_off=5&currency=eur | 400 parameters_exclusive amount_off | only specify one
POST /v1/coupons amount_off=5 | 400 parameter_missing currency | Missing
POST /v1/coupons amount_off=0&currency=eur | 400 parameter_invalid_integer amount_off | positive
POST /v1/coupons percent_off=1&redeem_by=1 | 400 - redeem_by | five years
POST /v1/coupons percent_off=1&currency_options[eur][amount_off]=1 | 400 - currency_options | with amount_off
POST /v1/coupons percent_off=101 | 400 - percent_off | up to 100
POST /v1/coupons percent_off=5&duration=repeating | 400 parameter_missing duration_in_months | Missing
POST /v1/coupons percent_off=5&applies_to[products][]=prod_z | 400 resource_missing applies_to[products][0] | No such product
POST /v1/promotion_codes promotion[type]=coupon&promotion[coupon]=TEN&code=HELLO | 400 - code | An active promotion code with `code: HELLO` already exists.
POST /v1/promotion_codes promotion[type]=coupon&promotion[coupon]=TEN&code=a_b | 400 - code | letters, digits and dashes
POST /v1/promotion_codes promotion[type]=coupon&promotion[coupon]=TEN&max_redemptions=6 | 400 - max_redemptions | the coupon's max_redemptions
POST /v1/promotion_codes promotion[type]=coupon | 400 parameter_missing promotion[coupon] | Missing
POST /v1/promotion_codes promotion[type]=coupon&promotion[coupon]=NONE | 400 resource_missing promotion[coupon] | No such coupon: 'NONE'
POST /v1/billing_portal/configurations UPDATE | 400 parameter_missing features[subscription_update][products] | Missing
POST /v1/billing_portal/configurations UPDATE&PRODUCT[product]=prod_z&PRODUCT[prices][]=PRICE | 400 resource_missing PRODUCT[product] | No such product
POST /v1/billing_portal/configurations UPDATE&PRODUCT[product]=prod_a&PRODUCT[prices][]=price_0 | 400 resource_missing PRODUCT[prices][0] | No such price
POST /v1/billing_portal/configurations UPDATE&PRODUCT[product]=prod_a&PRODUCT[prices][]=OTHER | 400 - PRODUCT[prices][0] | does not belong to the product prod_a
POST /v1/billing_portal/configurations UPDATE&PRODUCT[product]=prod_a&PRODUCT[prices][]=PRICE&PRODUCT[prices][]=PRICE | 400 - PRODUCT[prices][1] | unique billing intervals
POST /v1/webhook_endpoints url=here&enabled_events[]=* | 400 url_invalid url | Invalid URL
POST /v1/subscriptions customer=cus_0&items[0][price]=PRICE | 400 resource_missing customer | No such customer: 'cus_0'
DELETE /v1/products/prod_a | 400 - - | one or more user-created prices
";

/// Asks for each line, and checks its refusal, and whether it counts as a violation.
async fn check(caller: &Caller, lines: &str, are_violations: bool) -> Result<()> {
    for line in lines.trim().lines() {
        let mut columns = line.split(" | ");
        let (asked, refusal, words) = (columns.next(), columns.next(), columns.next().context("words")?);
        let mut asked = asked.context("a request")?.splitn(3, ' ');
        let request = [asked.next().unwrap_or_default(), asked.next().unwrap_or_default()].join(" ");
        let before = caller.stripe.violations().len();
        let (status, code, param, message) = caller.refused(&request, asked.next().unwrap_or_default()).await?;
        let named = |name: String| if name.is_empty() { "-".to_owned() } else { name };
        let was = format!("{status} {} {}", named(code), named(param));
        ensure!(
            Some(was.as_str()) == refusal && message.contains(words),
            "{line}: {was} {message}"
        );
        let noted = caller.stripe.violations().len() - before;
        ensure!(noted == usize::from(are_violations), "{line}: {noted} violations");
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_stripes_document_does_not_allow_is_refused_and_noted() -> Result<()> {
    let lines = UNKNOWN.replace("LONG", &"a".repeat(41));
    let lines = lines.replace("MANY", &["types[]=a"; 21].join("&"));
    check(&Caller::new().await?, &lines, true).await
}

#[tokio::test]
async fn a_request_that_conflicts_with_existing_objects_is_refused_and_no_violation() -> Result<()> {
    let caller = Caller::new().await?;
    let price = caller.plan("prod_a").await?;
    let form = "lookup_key=taken&tax_behavior=inclusive";
    caller.post(&format!("/v1/prices/{price}"), form).await?;
    let form = format!("default_price={price}");
    caller.post("/v1/products/prod_a", &form).await?;
    let other = caller.plan("prod_b").await?;
    caller
        .post("/v1/coupons", "id=TEN&percent_off=10&max_redemptions=5")
        .await?;
    let form = "promotion[type]=coupon&promotion[coupon]=TEN&code=Hello";
    caller.post("/v1/promotion_codes", form).await?;
    let update = "features[subscription_update]";
    let names = [
        (
            "UPDATE",
            format!("{update}[enabled]=true&{update}[default_allowed_updates][]=price"),
        ),
        ("PRODUCT", format!("{update}[products][0]")),
        ("PRICE", price),
        ("OTHER", other),
    ];
    let lines = names
        .iter()
        .fold(CONFLICTS.to_owned(), |lines, (name, text)| lines.replace(name, text));
    check(&caller, &lines, false).await
}

#[tokio::test]
async fn a_key_works_in_its_own_mode_and_within_its_permissions() -> Result<()> {
    let mut caller = Caller::new().await?;
    caller.post("/v1/products", "id=prod_a&name=A").await?;
    for (key, status, words) in [
        ("", 401, "You did not provide an API key"),
        (
            "pk_test_0123456789",
            401,
            "Invalid API Key provided: pk_test_******6789",
        ),
        ("sk_live_0123456789", 404, "No such product: 'prod_a'"),
    ] {
        caller.key = key;
        let refusal = caller.refused("GET /v1/products/prod_a", "").await?;
        ensure!(refusal.0 == status && refusal.3.contains(words), "{key}: {refusal:?}");
    }
    caller.post("/v1/products", "id=prod_a&name=A").await?;
    let live: Vec<bool> = caller
        .stripe
        .objects("products")
        .iter()
        .map(|p| p["livemode"] == true)
        .collect();
    ensure!(live == [false, true], "{live:?}");

    caller.key = "rk_test_0123456789";
    caller.stripe.deny(caller.key, &["product_write", "plan_read"]);
    caller.get("/v1/products").await?;
    for (request, permission) in [
        ("POST /v1/products/prod_a", "rak_product_write"),
        ("GET /v1/prices", "rak_plan_read"),
        ("POST /v1/prices/price_1", "rak_plan_write"),
    ] {
        let (status, _, _, message) = caller.refused(request, "").await?;
        ensure!(
            status == 403 && message.contains(permission),
            "{request}: {status} {message}"
        );
        ensure!(
            message.contains(Stripe::ACCOUNT_ID) && message.contains("rk_test_******6789"),
            "{message}"
        );
    }
    ensure!(
        caller.stripe.violations().is_empty(),
        "{:?}",
        caller.stripe.violations()
    );
    Ok(())
}
