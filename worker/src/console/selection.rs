//! The dead letters that a query selects.

use super::{fields::FormFields, format::rfc3339, page_error::PageError};
use crate::{
    dead_letters::selection::Selection,
    failure::Permanent,
    store::dead_letter_queries::{DeadLetter, DeadLetterFilter},
};
use shared::settings::parse_duration;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// The filter fields of the list's form. `older` and `newer` are ages such as `2h`.
pub(super) const FILTERS: [&str; 5] = ["type", "reason", "customer", "older", "newer"];

/// The filter of a query. `before` and `since` are times. `older` and `newer` are
/// ages at `now_ms`.
pub(super) fn filter(fields: &FormFields, now_ms: i64) -> Result<DeadLetterFilter, PageError> {
    let reason = fields.get("reason").map(str::to_owned);
    let is_known = |reason: &str| Permanent::ALL.iter().any(|known| known.as_str() == reason);
    if let Some(reason) = reason.as_deref()
        && !is_known(reason)
    {
        return Err(PageError::Invalid(format!("there is no reason '{reason}'")));
    }
    let text = |name: &str| fields.get(name).map(str::to_owned);
    Ok(DeadLetterFilter {
        kind: text("type"),
        reason,
        customer: text("customer"),
        before: moment(fields, "before", "older", now_ms)?,
        since: moment(fields, "since", "newer", now_ms)?,
        after: after(fields)?,
        limit: None,
    })
}

fn moment(fields: &FormFields, time: &str, age: &str, now_ms: i64) -> Result<Option<OffsetDateTime>, PageError> {
    if let Some(given) = fields.get(time) {
        let parsed = OffsetDateTime::parse(given, &Rfc3339);
        // In UTC, the first and the last day may be outside the years that RFC 3339 allows.
        return parsed
            .ok()
            .and_then(|at| at.checked_to_offset(UtcOffset::UTC))
            .map(Some)
            .ok_or_else(|| PageError::Invalid(format!("'{given}' is not a time such as 2026-11-23T15:00:00Z")));
    }
    let Some(given) = fields.get(age) else { return Ok(None) };
    let age = parse_duration(given).map_err(PageError::Invalid)?;
    let now = i128::from(now_ms) * 1_000_000;
    let at = i128::try_from(age.as_nanos()).ok().map(|age| now - age);
    Ok(at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at).ok()))
}

/// The last dead letter of the previous page.
fn after(fields: &FormFields) -> Result<Option<(OffsetDateTime, String)>, PageError> {
    let (Some(at), Some(id)) = (fields.get("after"), fields.all("after_id").next()) else {
        return Ok(None);
    };
    let micros = at.parse::<i64>().ok().map(|at| i128::from(at) * 1_000);
    let at = micros.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at).ok());
    let at = at.ok_or_else(|| PageError::Invalid("the address of this page is not valid".to_owned()))?;
    Ok(Some((at, id.to_owned())))
}

/// The fields that let the next page begin after this dead letter.
pub(super) fn after_fields(last: &DeadLetter) -> [(&'static str, String); 2] {
    let micros = last.first_failed.unix_timestamp_nanos() / 1_000;
    [("after", micros.to_string()), ("after_id", last.id.clone())]
}

/// The selection for an action: the given ids, or with `all` the dead letters that
/// match the filter now. A dead letter that first fails later is not selected.
pub(super) fn selection(fields: &FormFields, now_ms: i64) -> Result<Selection, PageError> {
    let mut ids: Vec<String> = fields.all("id").map(str::to_owned).collect();
    ids.sort_unstable();
    ids.dedup();
    if !ids.is_empty() {
        return Ok(Selection::Ids(ids));
    }
    if fields.get("all").is_none() {
        return Err(PageError::Invalid("choose at least one dead letter".to_owned()));
    }
    let mut filter = filter(fields, now_ms)?;
    filter.after = None;
    if filter.before.is_none() {
        filter.before = OffsetDateTime::from_unix_timestamp(now_ms / 1_000 + 1).ok();
    }
    Ok(Selection::Matching(filter))
}

/// The fields that select the same dead letters again later: ages become times.
pub(super) fn fixed_fields(selection: &Selection) -> Vec<(&'static str, String)> {
    let filter = match selection {
        Selection::Ids(ids) => return ids.iter().map(|id| ("id", id.clone())).collect(),
        Selection::Matching(filter) | Selection::Seen(filter, _) => filter,
    };
    let time =
        |at: Option<OffsetDateTime>| at.map(|at| at.format(&Rfc3339).unwrap_or_else(|_| rfc3339(at.unix_timestamp())));
    let fields = [
        ("all", Some("1".to_owned())),
        ("type", filter.kind.clone()),
        ("reason", filter.reason.clone()),
        ("customer", filter.customer.clone()),
        ("before", time(filter.before)),
        ("since", time(filter.since)),
    ];
    fields
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::links::with_query;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn fields(query: &str) -> FormFields {
        FormFields::read(query.as_bytes())
    }

    #[test]
    fn ages_become_times_and_invalid_filters_are_refused() {
        let read = |query: &str| filter(&fields(query), NOW_MS);
        let found = read("type=invoice.paid&older=2h&newer=3h&customer=cus_1&reason=malformed").expect("a filter");
        let at = |seconds: i64| OffsetDateTime::from_unix_timestamp(seconds).ok();
        assert_eq!(found.before, at(NOW_MS / 1_000 - 7_200));
        assert_eq!(found.since, at(NOW_MS / 1_000 - 10_800));
        assert_eq!(found.kind.as_deref(), Some("invoice.paid"));
        for wrong in [
            "older=2",
            "older=soon",
            "reason=boredom",
            "before=today",
            "after=x&after_id=y",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(read("type=&older=&x=y").expect("none"), DeadLetterFilter::default());
    }

    #[test]
    fn an_action_takes_the_dead_letters_that_were_shown() {
        for query in [
            "id=b&id=a%2F%26&id=b",
            "all=1&reason=malformed&older=2h&newer=30h",
            "all=1",
        ] {
            let seen = selection(&fields(query), NOW_MS).expect("a selection");
            let again = with_query("", fixed_fields(&seen));
            let later = selection(&fields(&again[1..]), NOW_MS + 86_400_000).expect("the same");
            assert_eq!(seen, later, "{query} as {again}");
        }
        assert!(selection(&fields("type=x"), NOW_MS).is_err(), "all must be asked for");
    }

    #[test]
    fn a_page_begins_where_the_previous_one_ended() {
        let last = DeadLetter {
            id: "a/b".to_owned(),
            kind: String::new(),
            reason: String::new(),
            detail: String::new(),
            attempts: 1,
            first_failed: time::macros::datetime!(2026-11-23 3:00:00.123_456 UTC),
            last_failed: time::macros::datetime!(2026-11-23 3:00:01 UTC),
            source: String::new(),
            customer: None,
            queued: true,
            resolved_at: None,
            resolution: None,
        };
        let next = with_query("", after_fields(&last));
        let filter = filter(&fields(&next[1..]), NOW_MS).expect("a filter");
        assert_eq!(filter.after, Some((last.first_failed, last.id)));
    }
}
