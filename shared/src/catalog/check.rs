//! Checks what types cannot say: unique names, known names, and bounds of numbers.

use super::{
    check_account,
    contents::{Catalog, FREE_TIER},
    place::FilePlace,
    rules::{CatalogFault, Checked, check_currency, check_no_repeat, check_text, ensure, known_names, unique},
    sold::{Limit, Limits, Pack, Price, Tier},
};

/// Most characters in a lookup key (Stripe's API reference, "Create a price").
const LOOKUP_KEY_CHARS_MAX: usize = 200;
/// Most days of trial (Stripe's API reference, "Create a subscription", `trial_period_days`).
const TRIAL_DAYS_MAX: i32 = 730;
/// Greatest amount, in the currency's minor unit: eight digits (Stripe's page "Supported currencies").
const PRICE_AMOUNT_MAX: i64 = 99_999_999;

/// The first fault of a catalog, if it has one.
pub(super) fn first_fault(catalog: &Catalog) -> Option<CatalogFault<'_>> {
    let checks = [check_account::check_products, check_sold, check_account::check_account];
    checks.into_iter().find_map(|check| check(catalog).err())
}

fn check_sold(catalog: &Catalog) -> Checked<'_> {
    check_ignored(catalog)?;
    unique("meter", "name", catalog.meters.iter().map(|m| Some(m.name.clone())))?;
    unique("tier", "name", catalog.tiers.iter().map(|t| Some(t.name.clone())))?;
    unique("tier", "rank", catalog.tiers.iter().map(|t| Some(t.rank.to_string())))?;
    unique("tier", "product", catalog.tiers.iter().map(|t| t.product.clone()))?;
    let (prices, packs) = (&catalog.prices, &catalog.packs);
    unique("price", "lookup_key", prices.iter().map(|p| Some(p.lookup_key.clone())))?;
    unique("pack", "name", packs.iter().map(|p| Some(p.name.clone())))?;
    for (index, meter) in catalog.meters.iter().enumerate() {
        let place = FilePlace::nth("meter", index);
        let (cap, mut weights) = (meter.rollover_cap.unwrap_or(0), meter.weights.values());
        ensure(cap >= 0 && weights.all(|w| *w >= 0), &place, || {
            format!("meter {}: a cap or weight is below zero; write 0 or more", meter.name)
        })?;
    }
    check_free_tier(catalog)?;
    for (index, tier) in catalog.tiers.iter().enumerate() {
        check_tier(catalog, tier, &FilePlace::nth("tier", index))?;
    }
    for (index, price) in prices.iter().enumerate() {
        check_price(catalog, price, &FilePlace::nth("price", index))?;
    }
    for (index, pack) in packs.iter().enumerate() {
        check_pack(catalog, pack, &FilePlace::nth("pack", index))?;
    }
    Ok(())
}

/// Checks that no product is both sold and ignored.
fn check_ignored(catalog: &Catalog) -> Checked<'_> {
    let ignored: Vec<&str> = catalog.ignored_products.iter().map(String::as_str).collect();
    let at = FilePlace::table("ignored_products");
    check_no_repeat("ignored_products", &ignored, &at)?;
    let sold = catalog.products.iter().find(|p| catalog.ignores_product(&p.id));
    ensure(sold.is_none(), &at, || {
        let id = sold.map_or("", |p| &p.id);
        format!("ignored_products: {id} is a [[product]] of this catalog; remove it from one of the two")
    })
}

fn check_free_tier(catalog: &Catalog) -> Checked<'_> {
    let lowest = catalog.tiers.iter().enumerate().min_by_key(|(_, tier)| tier.rank);
    let fine = |tier: &Tier| tier.name == FREE_TIER && tier.rank == 0 && tier.trial_days == 0;
    let place = lowest.map_or_else(FilePlace::default, |(index, _)| FilePlace::nth("tier", index));
    ensure(lowest.is_some_and(|(_, tier)| fine(tier)), &place, || {
        format!("the lowest tier must be named \"{FREE_TIER}\", with rank 0 and no trial")
    })
}

fn check_tier<'a>(catalog: &'a Catalog, tier: &'a Tier, at: &FilePlace<'a>) -> Checked<'a> {
    let name = format!("tier {}", tier.name);
    check_limits(catalog, &name, "limits", &tier.limits, at)?;
    check_limits(catalog, &name, "trial_limits", &tier.trial_limits, at)?;
    ensure(!tier.per_unit || tier.product.is_some(), &at.key("per_unit"), || {
        format!("{name}: per_unit is for a tier that is sold; this one has no product")
    })?;
    ensure(
        (0..=TRIAL_DAYS_MAX).contains(&tier.trial_days),
        &at.key("trial_days"),
        || {
            format!(
                "{name}: trial_days is {}; Stripe allows 0 to {TRIAL_DAYS_MAX}",
                tier.trial_days
            )
        },
    )?;
    let missing = catalog.meters.iter().find(|m| !tier.limits.contains_key(&m.name));
    ensure(missing.is_none(), &at.key("limits"), || {
        let missing = missing.map_or("", |m| &m.name);
        format!("{name}: limits lack the meter {missing}; write 0 if the tier does not include it")
    })?;
    check_product(catalog, &name, tier.product.as_deref(), at)
}

/// Checks that a product id is that of a `[[product]]`.
fn check_product<'a>(catalog: &Catalog, name: &str, product: Option<&str>, at: &FilePlace<'a>) -> Checked<'a> {
    let Some(id) = product else {
        return Ok(());
    };
    let known = catalog.products.iter().any(|p| p.id == id);
    ensure(known, &at.key("product"), || {
        let known = known_names(catalog.products.iter().map(|p| &p.id));
        format!("{name}: there is no [[product]] with the id {id}; {known}")
    })
}

fn check_price<'a>(catalog: &'a Catalog, price: &'a Price, at: &FilePlace<'a>) -> Checked<'a> {
    let name = format!("price {}", price.lookup_key);
    let Some(tier) = catalog.tier(&price.tier) else {
        return ensure(false, &at.key("tier"), || {
            let known = known_names(catalog.tiers.iter().map(|t| &t.name));
            format!("{name}: there is no tier {}; {known}", price.tier)
        });
    };
    ensure(tier.product.is_some(), &at.key("tier"), || {
        format!("{name}: the tier {} has no product, so it cannot be bought", tier.name)
    })?;
    check_text(
        &name,
        Some(&price.lookup_key),
        LOOKUP_KEY_CHARS_MAX,
        &at.key("lookup_key"),
    )?;
    check_amount(&name, price.amount, &price.currency, at)?;
    let (interval, count_max) = (price.interval.as_str(), price.interval.count_max());
    ensure(
        (1..=count_max).contains(&price.interval_count),
        &at.key("interval_count"),
        || {
            format!(
                "{name}: interval_count is {}; Stripe allows 1 to {count_max} for the interval {interval}",
                price.interval_count
            )
        },
    )?;
    check_limits(catalog, &name, "limits", &price.limits, at)
}

fn check_pack<'a>(catalog: &'a Catalog, pack: &'a Pack, at: &FilePlace<'a>) -> Checked<'a> {
    let name = format!("pack {}", pack.name);
    check_text(&name, Some(&pack.name), LOOKUP_KEY_CHARS_MAX, &at.key("name"))?;
    ensure(catalog.meter(&pack.meter).is_some(), &at.key("meter"), || {
        let known = known_names(catalog.meters.iter().map(|m| &m.name));
        format!("{name}: there is no meter {}; {known}", pack.meter)
    })?;
    ensure(pack.credits > 0, &at.key("credits"), || {
        format!("{name}: credits must be above zero")
    })?;
    let taken = catalog.prices.iter().any(|p| p.lookup_key == pack.name);
    ensure(!taken, &at.key("name"), || {
        format!("{name}: a [[price]] has this name as its lookup key; choose another name")
    })?;
    let of_tier = catalog.tiers.iter().any(|t| t.product.as_ref() == Some(&pack.product));
    ensure(!of_tier, &at.key("product"), || {
        format!("{name}: its product belongs to a tier; a customer who buys the pack would get the tier")
    })?;
    check_product(catalog, &name, Some(&pack.product), at)?;
    check_amount(&name, pack.amount, &pack.currency, at)
}

/// Checks the limits under `key`.
fn check_limits<'a>(
    catalog: &Catalog,
    name: &str,
    key: &'a str,
    limits: &'a Limits,
    at: &FilePlace<'a>,
) -> Checked<'a> {
    for (meter, limit) in limits {
        let place = at.key(key).key(meter);
        ensure(catalog.meter(meter).is_some(), &place, || {
            let known = known_names(catalog.meters.iter().map(|m| &m.name));
            format!("{name}: {key} name the meter {meter}, but there is no such meter; {known}")
        })?;
        let below = matches!(limit, Limit::Units(units) if *units < 0);
        ensure(!below, &place, || {
            format!("{name}: the limit of {meter} is below zero; write 0 or more, or \"unlimited\"")
        })?;
    }
    Ok(())
}

fn check_amount<'a>(name: &str, amount: i64, currency: &str, at: &FilePlace<'a>) -> Checked<'a> {
    ensure((0..=PRICE_AMOUNT_MAX).contains(&amount), &at.key("amount"), || {
        format!("{name}: the amount is {amount}; allowed is 0 to {PRICE_AMOUNT_MAX}, in the currency's minor unit")
    })?;
    check_currency(name, currency, &at.key("currency"))
}
