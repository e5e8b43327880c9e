//! Pages of lists (Stripe: API reference, Pagination): newest first, from a cursor that is an id.

use super::refusal::Refusal;
use super::resource::{Filter, Resource};
use super::table::{Place, Row, Table};
use serde_json::{Map, Value};

const LIMIT: i64 = 10;
const LIMIT_MOST: i64 = 100;
const PAGING: [&str; 4] = ["limit", "starting_after", "ending_before", "expand"];

/// What the document says in words alone: a collection, its parameter, and how many it may name.
const NAMED_MOST: [(&str, &str, usize); 2] = [("events", "types", 20), ("prices", "lookup_keys", 10)];
/// And parameters of which there may be one.
const EXCLUSIVE: [(&str, [&str; 2]); 4] = [
    ("events", ["type", "types"]),
    ("products", ["ids", "ending_before"]),
    ("products", ["ids", "starting_after"]),
    ("promotion_codes", ["customer", "customer_account"]),
];

/// A page, and whether there is more in the direction in which it was asked for.
pub(super) type Page<T> = (Vec<T>, bool);

/// How many are asked for.
pub(super) fn limit(params: &Map<String, Value>) -> Result<usize, Refusal> {
    let limit = params.get("limit").and_then(Value::as_i64).unwrap_or(LIMIT);
    let bound = match limit {
        ..1 => "greater than or equal to 1".to_owned(),
        1..=LIMIT_MOST => return Ok(usize::try_from(limit).unwrap_or_default()),
        _ => format!("less than or equal to {LIMIT_MOST}"),
    };
    let message = format!("This value must be {bound} (it currently is '{limit}').");
    Err(Refusal::of("limit", message).code("parameter_invalid_integer"))
}

/// Refuses what cannot be asked of a list.
fn check(collection: &str, params: &Map<String, Value>) -> Result<(), Refusal> {
    for (_, name, most) in NAMED_MOST.iter().filter(|(of, ..)| *of == collection) {
        let named = params.get(*name).and_then(Value::as_array).map_or(0, Vec::len);
        if named > *most {
            let message = format!("You can only specify up to {most} {name}.");
            return Err(Refusal::of(name, message).violation());
        }
    }
    for (_, names) in EXCLUSIVE.iter().filter(|(of, _)| *of == collection) {
        if names.iter().all(|name| params.contains_key(*name)) {
            let message = format!("You may only specify one of these parameters: {}.", names.join(", "));
            return Err(Refusal::of(names[0], message).code("parameters_exclusive").violation());
        }
    }
    Ok(())
}

/// The page of `table` that is asked for.
pub(super) fn page<'a>(table: &'a Table, params: &Map<String, Value>, now: i64) -> Result<Page<&'a Row>, Refusal> {
    let (resource, limit) = (table.resource, limit(params)?);
    check(resource.collection, params)?;
    let text = |name: &str| params.get(name).and_then(Value::as_str);
    let cursor = |name: &str| match text(name) {
        None => Ok(None),
        Some(id) => {
            let place = table.place(id).map(Some);
            place.ok_or_else(|| Refusal::unheard_of(name, resource.object, id))
        }
    };
    let (mut low, mut high) = created(params);
    let (after, before) = (cursor("starting_after")?, cursor("ending_before")?);
    if after.is_some() && before.is_some() {
        let message = "You can only provide one of `starting_after` or `ending_before`.";
        return Err(Refusal::of("starting_after", message));
    }
    if let Some((created, arrival)) = after {
        high = high.min((created, arrival - 1));
    }
    if let Some((created, arrival)) = before {
        low = low.max((created, arrival + 1));
    }
    let filters = filters(resource, params)?;
    let indexed = filters.iter().find_map(|(filter, wish)| match filter {
        Filter::Is(pointer) if resource.indexed.contains(pointer) => Some((*pointer, *wish)),
        _ => None,
    });
    let rows = match indexed {
        Some(column) => table.range_of(column, low..=high),
        None => table.range(low..=high),
    };
    let fits = |row: &&Row| {
        let fits = |(filter, wish): &(&Filter, &Value)| filter.takes(resource, row, wish);
        filters.iter().all(fits) && (resource.shows)(resource, row, params, now)
    };
    // One more than asked for, to know whether there is more.
    let mut found: Vec<&Row> = match before {
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

/// The places that `created` leaves.
fn created(params: &Map<String, Value>) -> (Place, Place) {
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

/// What is asked for beside the page. A wish that the stand-in cannot fulfil is no wish ignored.
fn filters<'a>(
    resource: &'static Resource,
    params: &'a Map<String, Value>,
) -> Result<Vec<(&'static Filter, &'a Value)>, Refusal> {
    let wishes = params
        .iter()
        .filter(|(name, _)| !PAGING.contains(&name.as_str()) && *name != "created");
    let mut filters = Vec::new();
    for (name, wish) in wishes {
        let mut known = resource
            .filters
            .iter()
            .filter(|(parameter, _)| parameter == name)
            .peekable();
        if known.peek().is_none() {
            return Err(Refusal::not_played(&format!(
                "filter {} by {name}",
                resource.collection
            )));
        }
        filters.extend(known.map(|(_, filter)| (filter, wish)));
    }
    Ok(filters)
}

/// A page of objects that are already in the order of their list, such as the lines of a session.
pub(super) fn page_of<'a>(objects: &'a [Value], params: &Map<String, Value>) -> Result<Page<&'a Value>, Refusal> {
    let limit = limit(params)?;
    let cursor = |name: &str| match params.get(name).and_then(Value::as_str) {
        None => Ok(None),
        Some(id) => {
            let place = objects.iter().position(|object| object["id"] == id).map(Some);
            place.ok_or_else(|| Refusal::unheard_of(name, "item", id))
        }
    };
    if let Some(before) = cursor("ending_before")? {
        let first = before.saturating_sub(limit);
        return Ok((objects[first..before].iter().collect(), first > 0));
    }
    let rest = &objects[cursor("starting_after")?.map_or(0, |after| after + 1)..];
    Ok((rest.iter().take(limit).collect(), rest.len() > limit))
}
