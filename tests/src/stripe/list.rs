//! Pages of lists, newest object first. The cursor is an id (Stripe: API reference, Pagination).

use super::object_kind::{ListFilter, ObjectKind};
use super::object_table::{ListPosition, ObjectTable, StoredObject};
use super::stripe_error::StripeError;
use serde_json::{Map, Value};

const LIMIT: i64 = 10;
const LIMIT_MAX: i64 = 100;
const PAGING: [&str; 4] = ["limit", "starting_after", "ending_before", "expand"];

/// Limits that Stripe's document states only in prose: collection, parameter, and most values.
const NAMED_MAX: [(&str, &str, usize); 2] = [("events", "types", 20), ("prices", "lookup_keys", 10)];
/// Pairs of parameters that exclude each other, by collection.
const EXCLUSIVE: [(&str, [&str; 2]); 4] = [
    ("events", ["type", "types"]),
    ("products", ["ids", "ending_before"]),
    ("products", ["ids", "starting_after"]),
    ("promotion_codes", ["customer", "customer_account"]),
];

/// A page, and whether more objects follow in the requested direction.
pub(super) type ListPage<T> = (Vec<T>, bool);

/// The requested size of a page.
pub(super) fn limit(params: &Map<String, Value>) -> Result<usize, StripeError> {
    let limit = params.get("limit").and_then(Value::as_i64).unwrap_or(LIMIT);
    let bound = match limit {
        ..1 => "greater than or equal to 1".to_owned(),
        1..=LIMIT_MAX => return Ok(usize::try_from(limit).unwrap_or_default()),
        _ => format!("less than or equal to {LIMIT_MAX}"),
    };
    let message = format!("This value must be {bound} (it currently is '{limit}').");
    Err(StripeError::of("limit", message).code("parameter_invalid_integer"))
}

/// Refuses parameters that a list cannot have.
fn check(collection: &str, params: &Map<String, Value>) -> Result<(), StripeError> {
    for (_, name, most) in NAMED_MAX.iter().filter(|(of, ..)| *of == collection) {
        let named = params.get(*name).and_then(Value::as_array).map_or(0, Vec::len);
        if named > *most {
            let message = format!("You can only specify up to {most} {name}.");
            return Err(StripeError::of(name, message).violation());
        }
    }
    for (_, names) in EXCLUSIVE.iter().filter(|(of, _)| *of == collection) {
        if names.iter().all(|name| params.contains_key(*name)) {
            let message = format!("You may only specify one of these parameters: {}.", names.join(", "));
            return Err(StripeError::of(names[0], message)
                .code("parameters_exclusive")
                .violation());
        }
    }
    Ok(())
}

/// The requested page of `table`, whose objects are of `kind`, at `now` (Unix time).
pub(super) fn page<'a>(
    kind: &'static ObjectKind,
    table: &'a ObjectTable,
    params: &Map<String, Value>,
    now: i64,
) -> Result<ListPage<&'a StoredObject>, StripeError> {
    let limit = limit(params)?;
    check(kind.collection, params)?;
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let cursor = |name: &str| match text(name) {
        None => Ok(None),
        Some(id) => {
            let place = table.place(id).map(Some);
            place.ok_or_else(|| StripeError::no_such(name, kind.object, id))
        }
    };
    let (mut low, mut high) = created(params);
    let (after, before) = (cursor("starting_after")?, cursor("ending_before")?);
    if after.is_some() && before.is_some() {
        let message = "You can only provide one of `starting_after` or `ending_before`.";
        return Err(StripeError::of("starting_after", message));
    }
    if let Some((created, arrival)) = after {
        high = high.min((created, arrival - 1));
    }
    if let Some((created, arrival)) = before {
        low = low.max((created, arrival + 1));
    }
    let filters = filters(kind, params)?;
    let indexed = filters.iter().find_map(|(filter, wish)| match filter {
        ListFilter::Is(pointer) if kind.indexed.contains(pointer) => Some((*pointer, *wish)),
        _ => None,
    });
    let rows = match indexed {
        Some(column) => table.range_of(column, low..=high),
        None => table.range(low..=high),
    };
    let fits = |row: &&StoredObject| {
        let fits = |(filter, wish): &(&ListFilter, &Value)| filter.selects(kind, row, wish);
        filters.iter().all(fits) && (kind.shows)(kind, row, params, now)
    };
    // One more than the limit shows whether more follow.
    let mut found: Vec<&StoredObject> = match before {
        Some(_) => rows.filter(fits).take(limit + 1).collect(),
        None => rows.rev().filter(fits).take(limit + 1).collect(),
    };
    let has_more = found.len() > limit;
    found.truncate(limit);
    if before.is_some() {
        found.reverse();
    }
    Ok((found, has_more))
}

/// The range of positions that the filter `created` leaves.
fn created(params: &Map<String, Value>) -> (ListPosition, ListPosition) {
    let bound = |name: &str| params.get("created").and_then(|created| created[name].as_i64());
    let at = params.get("created").and_then(Value::as_i64);
    let least = [at, bound("gte"), bound("gt").map(|after| after + 1)]
        .into_iter()
        .flatten()
        .max();
    let most = [at, bound("lte"), bound("lt").map(|before| before - 1)]
        .into_iter()
        .flatten()
        .min();
    ((least.unwrap_or(i64::MIN), 0), (most.unwrap_or(i64::MAX), u64::MAX))
}

/// The filters of a request. The stand-in refuses an unknown filter instead of ignoring it.
fn filters<'a>(
    kind: &'static ObjectKind,
    params: &'a Map<String, Value>,
) -> Result<Vec<(&'static ListFilter, &'a Value)>, StripeError> {
    let wishes = params
        .iter()
        .filter(|(name, _)| !PAGING.contains(&name.as_str()) && *name != "created");
    let mut filters = Vec::new();
    for (name, wish) in wishes {
        let mut known = kind
            .filters
            .iter()
            .filter(|(parameter, _)| parameter == name)
            .peekable();
        if known.peek().is_none() {
            return Err(StripeError::not_supported(&format!(
                "filter {} by {name}",
                kind.collection
            )));
        }
        filters.extend(known.map(|(_, filter)| (filter, wish)));
    }
    Ok(filters)
}

/// A page of objects that are already in order, such as the line items of a session.
pub(super) fn page_of<'a>(
    objects: &'a [Value],
    params: &Map<String, Value>,
) -> Result<ListPage<&'a Value>, StripeError> {
    let limit = limit(params)?;
    let cursor = |name: &str| match params.get(name).and_then(Value::as_str) {
        None => Ok(None),
        Some(id) => {
            let place = objects.iter().position(|object| object["id"] == id).map(Some);
            place.ok_or_else(|| StripeError::no_such(name, "item", id))
        }
    };
    if let Some(before) = cursor("ending_before")? {
        let first = before.saturating_sub(limit);
        return Ok((objects[first..before].iter().collect(), first > 0));
    }
    let rest = &objects[cursor("starting_after")?.map_or(0, |after| after + 1)..];
    Ok((rest.iter().take(limit).collect(), rest.len() > limit))
}
