//! What no type can say: names that must be unique or known, numbers within
//! bounds. Each fault has a place.

use super::{Catalog, FREE_TIER, Limit, Limits, Pack, Price, Tier, check_account, place::Place};
use std::collections::BTreeSet;

/// Stripe's own bound of a lookup key.
const LOOKUP_KEY_MOST: usize = 200;

/// What is wrong, and where.
#[derive(Debug)]
pub(super) struct Fault<'a> {
    pub(super) place: Place<'a>,
    pub(super) what: String,
}

/// Of one check: `Err` is the fault that it found.
pub(super) type Checked<'a> = Result<(), Fault<'a>>;

/// A fault, unless `holds`.
pub(super) fn ensure<'a>(holds: bool, place: &Place<'a>, what: impl FnOnce() -> String) -> Checked<'a> {
    if holds {
        return Ok(());
    }
    Err(Fault {
        place: place.clone(),
        what: what(),
    })
}

/// The first fault of a catalog, if there is one.
pub(super) fn fault(catalog: &Catalog) -> Option<Fault<'_>> {
    let checks = [check_account::check_products, check, check_account::check];
    checks.into_iter().find_map(|check| check(catalog).err())
}

fn check(catalog: &Catalog) -> Checked<'_> {
    unique("meter", "name", catalog.meters.iter().map(|m| Some(m.name.clone())))?;
    unique("tier", "name", catalog.tiers.iter().map(|t| Some(t.name.clone())))?;
    unique("tier", "rank", catalog.tiers.iter().map(|t| Some(t.rank.to_string())))?;
    unique("tier", "product", catalog.tiers.iter().map(|t| t.product.clone()))?;
    let (prices, packs) = (&catalog.prices, &catalog.packs);
    unique("price", "lookup_key", prices.iter().map(|p| Some(p.lookup_key.clone())))?;
    unique("pack", "name", packs.iter().map(|p| Some(p.name.clone())))?;
    for (index, meter) in catalog.meters.iter().enumerate() {
        let place = Place::nth("meter", index);
        let (cap, mut weights) = (meter.rollover_cap.unwrap_or(0), meter.weights.values());
        ensure(cap >= 0 && weights.all(|w| *w >= 0), &place, || {
            format!("meter {}: a cap or weight is below zero; write 0 or more", meter.name)
        })?;
    }
    free_is_lowest(catalog)?;
    for (index, tier) in catalog.tiers.iter().enumerate() {
        check_tier(catalog, tier, &Place::nth("tier", index))?;
    }
    for (index, price) in prices.iter().enumerate() {
        check_price(catalog, price, &Place::nth("price", index))?;
    }
    for (index, pack) in packs.iter().enumerate() {
        check_pack(catalog, pack, &Place::nth("pack", index))?;
    }
    Ok(())
}

fn free_is_lowest(catalog: &Catalog) -> Checked<'_> {
    let lowest = catalog.tiers.iter().enumerate().min_by_key(|(_, tier)| tier.rank);
    let fine = |tier: &Tier| tier.name == FREE_TIER && tier.rank == 0 && tier.trial_days == 0;
    let place = lowest.map_or_else(Place::default, |(index, _)| Place::nth("tier", index));
    ensure(lowest.is_some_and(|(_, tier)| fine(tier)), &place, || {
        format!("the lowest tier must be named \"{FREE_TIER}\", with rank 0 and no trial")
    })
}

fn check_tier<'a>(catalog: &'a Catalog, tier: &'a Tier, at: &Place<'a>) -> Checked<'a> {
    let name = format!("tier {}", tier.name);
    check_limits(catalog, &name, &tier.limits, at)?;
    ensure((0..=730).contains(&tier.trial_days), &at.key("trial_days"), || {
        format!("{name}: trial_days is {}; Stripe allows 0 to 730", tier.trial_days)
    })?;
    let missing = catalog.meters.iter().find(|m| !tier.limits.contains_key(&m.name));
    ensure(missing.is_none(), &at.key("limits"), || {
        let missing = missing.map_or("", |m| &m.name);
        format!("{name}: limits lack the meter {missing}; write 0 if it is not included")
    })?;
    check_product(catalog, &name, tier.product.as_deref(), at)
}

/// What is sold for money is a product of Stripe's.
fn check_product<'a>(catalog: &Catalog, name: &str, product: Option<&str>, at: &Place<'a>) -> Checked<'a> {
    let Some(id) = product else {
        return Ok(());
    };
    let known = catalog.products.iter().any(|p| p.id == id);
    ensure(known, &at.key("product"), || {
        let known = listed(catalog.products.iter().map(|p| &p.id));
        format!("{name}: there is no [[product]] with the id {id}; {known}")
    })
}

fn check_price<'a>(catalog: &'a Catalog, price: &'a Price, at: &Place<'a>) -> Checked<'a> {
    let name = format!("price {}", price.lookup_key);
    let Some(tier) = catalog.tier(&price.tier) else {
        return ensure(false, &at.key("tier"), || {
            let known = listed(catalog.tiers.iter().map(|t| &t.name));
            format!("{name}: there is no tier {}; {known}", price.tier)
        });
    };
    ensure(tier.product.is_some(), &at.key("tier"), || {
        format!("{name}: the tier {} has no product, so it cannot be bought", tier.name)
    })?;
    check_text(&name, Some(&price.lookup_key), LOOKUP_KEY_MOST, &at.key("lookup_key"))?;
    check_amount(&name, price.amount, &price.currency, at)?;
    check_limits(catalog, &name, &price.limits, at)
}

fn check_pack<'a>(catalog: &'a Catalog, pack: &'a Pack, at: &Place<'a>) -> Checked<'a> {
    let name = format!("pack {}", pack.name);
    check_text(&name, Some(&pack.name), LOOKUP_KEY_MOST, &at.key("name"))?;
    ensure(catalog.meter(&pack.meter).is_some(), &at.key("meter"), || {
        let known = listed(catalog.meters.iter().map(|m| &m.name));
        format!("{name}: there is no meter {}; {known}", pack.meter)
    })?;
    ensure(pack.credits > 0, &at.key("credits"), || {
        format!("{name}: credits must be above zero")
    })?;
    let taken = catalog.prices.iter().any(|p| p.lookup_key == pack.name);
    ensure(!taken, &at.key("name"), || {
        format!("{name}: its name is the lookup key of a [[price]] too")
    })?;
    let of_tier = catalog.tiers.iter().any(|t| t.product.as_ref() == Some(&pack.product));
    ensure(!of_tier, &at.key("product"), || {
        format!("{name}: its product is that of a tier; whoever bought the pack would have the tier")
    })?;
    check_product(catalog, &name, Some(&pack.product), at)?;
    check_amount(&name, pack.amount, &pack.currency, at)
}

fn check_limits<'a>(catalog: &Catalog, name: &str, limits: &'a Limits, at: &Place<'a>) -> Checked<'a> {
    for (meter, limit) in limits {
        let place = at.key("limits").key(meter);
        ensure(catalog.meter(meter).is_some(), &place, || {
            let known = listed(catalog.meters.iter().map(|m| &m.name));
            format!("{name}: limits name the meter {meter}, which does not exist; {known}")
        })?;
        let below = matches!(limit, Limit::Units(units) if *units < 0);
        ensure(!below, &place, || {
            format!("{name}: the limit of {meter} is below zero; write 0 or more, or \"unlimited\"")
        })?;
    }
    Ok(())
}

/// What is there to be named.
pub(super) fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        return "there is none".to_owned();
    }
    format!("there are {}", names.join(", "))
}

/// No longer than Stripe takes it, and without white space at its ends, which Stripe takes
/// off: it would differ for ever.
pub(super) fn check_text<'a>(name: &str, text: Option<&str>, characters_most: usize, at: &Place<'a>) -> Checked<'a> {
    let text = text.unwrap_or_default();
    ensure(text.trim() == text, at, || {
        format!("{name}: '{text}' begins or ends with white space")
    })?;
    ensure(text.chars().count() <= characters_most, at, || {
        format!("{name}: '{text}' is longer than Stripe's {characters_most} characters")
    })
}

/// Nothing is in a list twice.
pub(super) fn check_once<'a>(name: &str, list: &[&str], at: &Place<'a>) -> Checked<'a> {
    let twice = (1..list.len()).find(|index| list[..*index].contains(&list[*index]));
    ensure(twice.is_none(), at, || {
        format!(
            "{name}: {} is there twice; write it once",
            twice.map_or("", |index| list[index])
        )
    })
}

/// Stripe takes at most eight digits.
pub(super) fn check_amount<'a>(name: &str, amount: i64, currency: &str, at: &Place<'a>) -> Checked<'a> {
    ensure((0..=99_999_999).contains(&amount), &at.key("amount"), || {
        format!("{name}: the amount is {amount}; allowed is 0 to 99999999, in the currency's smallest unit")
    })?;
    check_currency(name, currency, &at.key("currency"))
}

pub(super) fn check_currency<'a>(name: &str, currency: &str, at: &Place<'a>) -> Checked<'a> {
    let right = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_lowercase());
    ensure(right, at, || {
        format!("{name}: currency is '{currency}'; write three lower-case letters, such as eur")
    })
}

/// No two of a table's `key` are the same, and none is empty.
pub(super) fn unique<'a>(table: &'a str, key: &'a str, values: impl Iterator<Item = Option<String>>) -> Checked<'a> {
    let mut seen = BTreeSet::new();
    for (index, value) in values.enumerate() {
        let Some(value) = value else {
            continue;
        };
        let place = Place::nth(table, index).key(key);
        ensure(!value.is_empty(), &place, || format!("a {table} has an empty {key}"))?;
        ensure(seen.insert(value.clone()), &place, || {
            format!("two of [[{table}]] have the {key} {value}; each has its own")
        })?;
    }
    Ok(())
}
