//! Reads Stripe's lists page by page (Stripe's API reference, "Pagination").

use serde::Deserialize;
use stripe_api::{Api, ApiAnswer, ApiError, Form};

/// Most objects on one page.
const PAGE_OBJECTS_MAX: i64 = 100;

#[derive(Deserialize)]
struct ListPage<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

/// All objects of a list, in Stripe's order, and Stripe's time at the last page, in seconds
/// since 1970. `id` returns an object's id.
///
/// # Errors
/// Stripe's answer, if a request fails.
pub(crate) async fn list_all<T: for<'de> Deserialize<'de>>(
    api: &Api,
    path: &str,
    query: &Form,
    id: impl Fn(&T) -> Option<String>,
) -> Result<(Vec<T>, i64), ApiError> {
    let mut all = Vec::new();
    let first = query.clone().with("limit", &PAGE_OBJECTS_MAX);
    let mut query = first.clone();
    loop {
        let answer: ApiAnswer = api.get(path, &query).await?;
        let page: ListPage<T> = answer.json()?;
        let last = page.data.last().and_then(&id);
        all.extend(page.data);
        match last {
            Some(last) if page.has_more => query = first.clone().with("starting_after", &last),
            _ => return Ok((all, answer.at)),
        }
    }
}
