//! Lists of Stripe's, page by page: its API reference, "Pagination".

use serde::Deserialize;
use stripe_api::{Answer, Api, ApiError, Form};

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    has_more: bool,
}

/// All of a list, in Stripe's order, and the last answer's time. `id` says an object's id.
///
/// # Errors
/// What Stripe said.
pub(crate) async fn all<T: for<'de> Deserialize<'de>>(
    api: &Api,
    path: &str,
    query: &Form,
    id: impl Fn(&T) -> Option<String>,
) -> Result<(Vec<T>, i64), ApiError> {
    let mut all = Vec::new();
    let first = query.clone().with("limit", &100);
    let mut query = first.clone();
    loop {
        let answer: Answer = api.get(path, &query).await?;
        let page: List<T> = answer.json()?;
        let last = page.data.last().and_then(&id);
        all.extend(page.data);
        match last.filter(|_| page.has_more) {
            Some(last) => query = first.clone().with("starting_after", &last),
            None => return Ok((all, answer.at)),
        }
    }
}
