//! Checks the parts of a catalog that only provision uses: products, coupons, promotion
//! codes, portal, webhook endpoint and tax.

use super::{
    account::{Portal, Tax, Webhook},
    contents::Catalog,
    offer::{Coupon, CouponDuration, Promotion},
    place::FilePlace,
    rules::{Checked, check_currency, check_no_repeat, check_text, ensure, known_names, unique},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Most products that customers can switch between (Stripe's API reference, "Create a portal
/// configuration").
const PORTAL_PRODUCTS_MAX: usize = 10;
// Most characters of Stripe's texts (API reference, at each object's "Create").
const HEADLINE_CHARS_MAX: usize = 60;
const COUPON_NAME_CHARS_MAX: usize = 40;
const CODE_CHARS_MAX: usize = 500;
const TEXT_CHARS_MAX: usize = 5_000;
const DESCRIPTION_CHARS_MAX: usize = 40_000;

pub(super) fn check_account(catalog: &Catalog) -> Checked<'_> {
    unique("coupon", "id", catalog.coupons.iter().map(|c| Some(c.id.clone())))?;
    let codes = catalog.promotions.iter().map(|p| Some(p.code.to_ascii_uppercase()));
    unique("promotion", "code", codes)?;
    for (index, coupon) in catalog.coupons.iter().enumerate() {
        check_coupon(catalog, coupon, &FilePlace::nth("coupon", index))?;
    }
    for (index, promotion) in catalog.promotions.iter().enumerate() {
        check_promotion(catalog, promotion, &FilePlace::nth("promotion", index))?;
    }
    if let Some(portal) = &catalog.portal {
        check_portal(catalog, portal)?;
    }
    if let Some(webhook) = &catalog.webhook {
        check_webhook(webhook)?;
    }
    if let Some(tax) = &catalog.tax {
        check_tax(tax)?;
    }
    Ok(())
}

pub(super) fn check_products(catalog: &Catalog) -> Checked<'_> {
    unique("product", "id", catalog.products.iter().map(|p| Some(p.id.clone())))?;
    let account_code = catalog.tax.as_ref().and_then(|tax| tax.tax_code.as_deref());
    for (index, product) in catalog.products.iter().enumerate() {
        let (name, at) = (format!("product {}", product.id), FilePlace::nth("product", index));
        ensure(is_id(&product.id), &at.key("id"), || {
            format!("{name}: an id may have only letters, digits, _ and -")
        })?;
        ensure(!product.name.is_empty(), &at.key("name"), || {
            format!("{name}: the name is empty")
        })?;
        check_text(&name, Some(&product.name), TEXT_CHARS_MAX, &at.key("name"))?;
        check_text(
            &name,
            product.description.as_deref(),
            DESCRIPTION_CHARS_MAX,
            &at.key("description"),
        )?;
        check_tax_code(&name, product.tax_code.as_deref(), &at)?;
        let has_code = product.tax_code.is_some() || account_code.is_some();
        ensure(has_code || !catalog.managed_payments, &at.key("tax_code"), || {
            format!("{name}: there is no tax_code, here or in [tax]; managed_payments needs an eligible one")
        })?;
    }
    Ok(())
}

fn check_coupon<'a>(catalog: &Catalog, coupon: &'a Coupon, at: &FilePlace<'a>) -> Checked<'a> {
    let name = format!("coupon {}", coupon.id);
    ensure(is_id(&coupon.id), &at.key("id"), || {
        format!("{name}: an id may have only letters, digits, _ and -")
    })?;
    check_text(&name, coupon.name.as_deref(), COUPON_NAME_CHARS_MAX, &at.key("name"))?;
    match (coupon.amount_off, coupon.percent_off, &coupon.currency) {
        (Some(amount), None, Some(currency)) => {
            ensure(amount > 0, &at.key("amount_off"), || {
                format!("{name}: amount_off must be above zero")
            })?;
            check_currency(&name, currency, &at.key("currency"))?;
        }
        (None, Some(percent), None) => {
            ensure((1..=100).contains(&percent), &at.key("percent_off"), || {
                format!("{name}: percent_off is {percent}; allowed is 1 to 100")
            })?;
        }
        _ => ensure(false, at, || {
            format!("{name}: write either amount_off and currency, or percent_off")
        })?,
    }
    let repeating = coupon.duration == CouponDuration::Repeating;
    let months = coupon.duration_in_months;
    let right = months.is_some() == repeating && months.is_none_or(|m| m > 0);
    ensure(right, &at.key("duration_in_months"), || {
        format!("{name}: duration_in_months, above zero, is for duration = \"repeating\" and for no other")
    })?;
    check_redemptions(&name, coupon.max_redemptions, at)?;
    let products: Vec<&str> = coupon.applies_to.iter().map(String::as_str).collect();
    check_no_repeat(&name, &products, &at.key("applies_to"))?;
    let unknown = coupon
        .applies_to
        .iter()
        .find(|id| !catalog.products.iter().any(|p| p.id == **id));
    ensure(unknown.is_none(), &at.key("applies_to"), || {
        let id = unknown.map_or("", String::as_str);
        let known = known_names(catalog.products.iter().map(|p| &p.id));
        format!("{name}: there is no [[product]] with the id {id}; {known}")
    })
}

fn check_promotion<'a>(catalog: &Catalog, promotion: &'a Promotion, at: &FilePlace<'a>) -> Checked<'a> {
    let name = format!("promotion {}", promotion.code);
    let right = promotion.code.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    ensure(right, &at.key("code"), || {
        format!("{name}: a code may have only letters, digits and -")
    })?;
    check_text(&name, Some(&promotion.code), CODE_CHARS_MAX, &at.key("code"))?;
    check_redemptions(&name, promotion.max_redemptions, at)?;
    let Some(coupon) = catalog.coupons.iter().find(|c| c.id == promotion.coupon) else {
        return ensure(false, &at.key("coupon"), || {
            let known = known_names(catalog.coupons.iter().map(|c| &c.id));
            format!(
                "{name}: there is no [[coupon]] with the id {}; {known}",
                promotion.coupon
            )
        });
    };
    for (key, own, coupon_key, coupon_max) in [
        (
            "max_redemptions",
            promotion.max_redemptions,
            "max_redemptions",
            coupon.max_redemptions,
        ),
        ("expires_at", promotion.expires_at, "redeem_by", coupon.redeem_by),
    ] {
        let within = own.zip(coupon_max).is_none_or(|(own, max)| own <= max);
        ensure(within, &at.key(key), || {
            format!("{name}: {key} is greater than {coupon_key} of its coupon {}", coupon.id)
        })?;
    }
    match (&promotion.minimum_amount, &promotion.minimum_amount_currency) {
        (None, None) => Ok(()),
        (Some(amount), Some(currency)) if *amount > 0 => {
            check_currency(&name, currency, &at.key("minimum_amount_currency"))
        }
        _ => ensure(false, &at.key("minimum_amount"), || {
            format!("{name}: write minimum_amount, above zero, and minimum_amount_currency together")
        }),
    }
}

fn check_redemptions<'a>(name: &str, count: Option<i64>, at: &FilePlace<'a>) -> Checked<'a> {
    ensure(count.is_none_or(|n| n > 0), &at.key("max_redemptions"), || {
        format!("{name}: max_redemptions must be above zero")
    })
}

fn check_portal<'a>(catalog: &'a Catalog, portal: &'a Portal) -> Checked<'a> {
    let at = FilePlace::table("portal");
    check_text(
        "portal",
        portal.headline.as_deref(),
        HEADLINE_CHARS_MAX,
        &at.key("headline"),
    )?;
    let fields: Vec<&str> = portal.features.customer_update.iter().map(|f| f.as_str()).collect();
    check_no_repeat("portal", &fields, &at.key("features").key("customer_update"))?;
    for (key, url) in [
        ("privacy_policy_url", &portal.privacy_policy_url),
        ("terms_of_service_url", &portal.terms_of_service_url),
        ("default_return_url", &portal.default_return_url),
    ] {
        check_url("portal", key, url.as_deref(), &at)?;
    }
    if !portal.features.switch {
        return Ok(());
    }
    let sold = |tier: &str| catalog.prices.iter().any(|p| p.tier == tier);
    let products = catalog.tiers.iter().filter(|t| sold(&t.name)).count();
    ensure((1..=PORTAL_PRODUCTS_MAX).contains(&products), &at, || {
        format!(
            "portal: Stripe allows switches between 1 to {PORTAL_PRODUCTS_MAX} products, but {products} have prices; set features.switch = false"
        )
    })
}

fn check_webhook(webhook: &Webhook) -> Checked<'_> {
    let at = FilePlace::table("webhook");
    check_url("webhook", "url", Some(&webhook.url), &at)?;
    check_text(
        "webhook",
        webhook.description.as_deref(),
        TEXT_CHARS_MAX,
        &at.key("description"),
    )?;
    let version = &webhook.api_version;
    ensure(is_version(version), &at.key("api_version"), || {
        format!("webhook: api_version is '{version}'; write one of Stripe's, such as 2026-05-27.dahlia")
    })
}

fn check_tax(tax: &Tax) -> Checked<'_> {
    let at = FilePlace::table("tax");
    check_tax_code("tax", tax.tax_code.as_deref(), &at)?;
    let country = tax.head_office.as_ref().map(|office| office.country.as_str());
    let right = country.is_none_or(|c| c.len() == 2 && c.bytes().all(|b| b.is_ascii_uppercase()));
    ensure(right, &at.key("head_office").key("country"), || {
        "tax: the country of head_office must be two upper-case letters, such as DE".to_owned()
    })
}

/// Whether a text is an API version of Stripe: a date, and since 2024 also a name, such as
/// `2026-05-27.dahlia` (Stripe's page "Versioning").
fn is_version(version: &str) -> bool {
    let (date, name) = match version.split_once('.') {
        Some((date, name)) => (date, Some(name)),
        None => (version, None),
    };
    let is_name = |name: &str| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase());
    let midnight = format!("{date}T00:00:00Z");
    name.is_none_or(is_name) && OffsetDateTime::parse(&midnight, &Rfc3339).is_ok()
}

fn check_url<'a>(name: &str, key: &'a str, url: Option<&str>, at: &FilePlace<'a>) -> Checked<'a> {
    let right = url.is_none_or(|url| {
        let host = url.strip_prefix("https://").unwrap_or_default();
        !host.is_empty() && url.bytes().all(|b| b.is_ascii_graphic())
    });
    ensure(right, &at.key(key), || {
        format!("{name}: {key} is '{}'; write https://…", url.unwrap_or_default())
    })
}

fn check_tax_code<'a>(name: &str, code: Option<&str>, at: &FilePlace<'a>) -> Checked<'a> {
    let right = code.is_none_or(|code| code.strip_prefix("txcd_").is_some_and(is_id));
    ensure(right, &at.key("tax_code"), || {
        let code = code.unwrap_or_default();
        format!("{name}: tax_code is '{code}'; write one of Stripe's, such as txcd_10103000")
    })
}

/// Whether a text is safe in the path of a URL.
fn is_id(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}
