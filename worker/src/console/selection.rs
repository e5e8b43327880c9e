//! Which dead letters a page is about: a query and what it means.

use super::{fields::Fields, layout::rfc3339, problem::Problem};
use crate::{
    dead_letters::Selection,
    failure::Permanent,
    store::dead_letter_queries::{DeadLetter, DeadLetterFilter},
};
use shared::settings::parse_duration;
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

/// The filters of the list, as a form has them: ages such as `2h`.
pub(super) const FILTERS: [&str; 5] = ["type", "reason", "customer", "older", "newer"];

/// The filter that a query asks for. `before` and `since` are times; `older` and
/// `newer` are ages, as of now.
pub(super) fn filter(fields: &Fields, now_ms: i64) -> Result<DeadLetterFilter, Problem> {
    let reason = fields.get("reason").map(str::to_owned);
    let known = |word: &str| Permanent::ALL.iter().any(|r| r.as_str() == word);
    if let Some(unknown) = reason.as_deref().filter(|r| !known(r)) {
        return Err(Problem::Wrong(format!("there is no reason '{unknown}'")));
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

fn moment(fields: &Fields, time: &str, age: &str, now_ms: i64) -> Result<Option<OffsetDateTime>, Problem> {
    if let Some(given) = fields.get(time) {
        let parsed = OffsetDateTime::parse(given, &Rfc3339);
        // The first and the last day that can be written may leave these years in UTC.
        return parsed
            .ok()
            .and_then(|at| at.checked_to_offset(UtcOffset::UTC))
            .map(Some)
            .ok_or_else(|| Problem::Wrong(format!("'{given}' is not a time such as 2026-11-23T15:00:00Z")));
    }
    let Some(given) = fields.get(age) else { return Ok(None) };
    let age = parse_duration(given).map_err(Problem::Wrong)?;
    let now = i128::from(now_ms) * 1_000_000;
    let at = i128::try_from(age.as_nanos()).ok().map(|age| now - age);
    Ok(at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at).ok()))
}

/// Where the page before ended.
fn after(fields: &Fields) -> Result<Option<(OffsetDateTime, String)>, Problem> {
    let (Some(at), Some(id)) = (fields.get("after"), fields.all("after_id").next()) else {
        return Ok(None);
    };
    let micros = at.parse::<i64>().ok().map(|at| i128::from(at) * 1_000);
    let at = micros.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(at).ok());
    let at = at.ok_or_else(|| Problem::Wrong("this page's address is not one of ours".to_owned()))?;
    Ok(Some((at, id.to_owned())))
}

/// Where a page ends, for the link to the next one.
pub(super) fn end(letter: &DeadLetter) -> [(&'static str, String); 2] {
    let micros = letter.first_failed.unix_timestamp_nanos() / 1_000;
    [("after", micros.to_string()), ("after_id", letter.id.clone())]
}

/// What an action is to be about: the ids, or with `all` what the filter lets
/// through, but nothing that fails only after it was looked at.
pub(super) fn selection(fields: &Fields, now_ms: i64) -> Result<Selection, Problem> {
    let mut ids: Vec<String> = fields.all("id").map(str::to_owned).collect();
    ids.sort_unstable();
    ids.dedup();
    if !ids.is_empty() {
        return Ok(Selection::Ids(ids));
    }
    if fields.get("all").is_none() {
        return Err(Problem::Wrong("choose at least one dead letter".to_owned()));
    }
    let mut filter = filter(fields, now_ms)?;
    filter.after = None;
    if filter.before.is_none() {
        filter.before = OffsetDateTime::from_unix_timestamp(now_ms / 1_000 + 1).ok();
    }
    Ok(Selection::Matching(filter))
}

/// The fields that mean the same selection, whenever they are read.
pub(super) fn fixed(selection: &Selection) -> Vec<(&'static str, String)> {
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
    use crate::console::fields::link;

    const NOW_MS: i64 = 1_800_000_000_000;

    fn fields(query: &str) -> Fields {
        Fields::read(query.as_bytes())
    }

    #[test]
    fn ages_become_times_and_nonsense_is_refused() {
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
    fn what_was_looked_at_is_what_is_acted_upon() {
        for query in [
            "id=b&id=a%2F%26&id=b",
            "all=1&reason=malformed&older=2h&newer=30h",
            "all=1",
        ] {
            let seen = selection(&fields(query), NOW_MS).expect("a selection");
            let again = link("", fixed(&seen));
            let later = selection(&fields(&again[1..]), NOW_MS + 86_400_000).expect("the same");
            assert_eq!(seen, later, "{query} as {again}");
        }
        assert!(
            selection(&fields("type=x"), NOW_MS).is_err(),
            "nobody means all without saying so"
        );
    }

    #[test]
    fn a_page_begins_where_the_one_before_ended() {
        let letter = DeadLetter {
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
        let next = link("", end(&letter));
        let filter = filter(&fields(&next[1..]), NOW_MS).expect("a filter");
        assert_eq!(filter.after, Some((letter.first_failed, letter.id)));
    }
}
