//! Helpers of the checks: a broken rule returns a fault with its place.

use super::place::FilePlace;
use std::collections::BTreeSet;

/// A rule that a catalog breaks, and the place in the file.
#[derive(Debug)]
pub(super) struct CatalogFault<'a> {
    pub(super) place: FilePlace<'a>,
    pub(super) problem: String,
}

/// The result of a check.
pub(super) type Checked<'a> = Result<(), CatalogFault<'a>>;

/// Returns a fault unless `holds` is true.
pub(super) fn ensure<'a>(holds: bool, place: &FilePlace<'a>, problem: impl FnOnce() -> String) -> Checked<'a> {
    if holds {
        return Ok(());
    }
    Err(CatalogFault {
        place: place.clone(),
        problem: problem(),
    })
}

/// The names that the catalog has, for an error about an unknown name.
pub(super) fn known_names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    if names.is_empty() {
        return "there is none".to_owned();
    }
    format!("there are {}", names.join(", "))
}

/// Checks the length of a text, and that it has no white space at its ends. Stripe removes
/// such white space, so the text would differ from the catalog at every plan.
pub(super) fn check_text<'a>(name: &str, text: Option<&str>, chars_max: usize, at: &FilePlace<'a>) -> Checked<'a> {
    let text = text.unwrap_or_default();
    ensure(text.trim() == text, at, || {
        format!("{name}: '{text}' begins or ends with white space")
    })?;
    ensure(text.chars().count() <= chars_max, at, || {
        format!("{name}: '{text}' is longer than Stripe's limit of {chars_max} characters")
    })
}

/// Checks that a list has no element twice.
pub(super) fn check_no_repeat<'a>(name: &str, list: &[&str], at: &FilePlace<'a>) -> Checked<'a> {
    let twice = (1..list.len()).find(|index| list[..*index].contains(&list[*index]));
    ensure(twice.is_none(), at, || {
        format!(
            "{name}: {} is in the list twice; write it once",
            twice.map_or("", |index| list[index])
        )
    })
}

/// Checks a currency: three lower-case letters, as Stripe writes it.
pub(super) fn check_currency<'a>(name: &str, currency: &str, at: &FilePlace<'a>) -> Checked<'a> {
    let right = currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_lowercase());
    ensure(right, at, || {
        format!("{name}: currency is '{currency}'; write three lower-case letters, such as eur")
    })
}

/// Checks that `key` is different in each `[[table]]`, and never empty.
pub(super) fn unique<'a>(table: &'a str, key: &'a str, values: impl Iterator<Item = Option<String>>) -> Checked<'a> {
    let mut seen = BTreeSet::new();
    for (index, value) in values.enumerate() {
        let Some(value) = value else {
            continue;
        };
        let place = FilePlace::nth(table, index).key(key);
        ensure(!value.is_empty(), &place, || format!("a {table} has an empty {key}"))?;
        ensure(seen.insert(value.clone()), &place, || {
            format!("two of [[{table}]] have the {key} {value}; each needs its own")
        })?;
    }
    Ok(())
}
