//! Pages of Stripe's lists: its API reference, "Pagination".

use serde::Deserialize;
use serde_json::value::RawValue;
use stripe_api::{Api, ApiAnswer, ApiError, Form};

/// Objects of a page; Stripe's most.
pub const LIMIT: u8 = 100;

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    /// The objects, as they stand in the answer.
    #[serde(borrow)]
    pub data: Vec<&'a RawValue>,
    /// Whether more of them follow in the direction in which it was asked.
    pub has_more: bool,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl<'a> Page<'a> {
    /// The page in an answer.
    ///
    /// # Errors
    /// When it is no list.
    pub fn of(answer: &'a ApiAnswer) -> Result<Self, ApiError> {
        answer.json()
    }

    /// The id of its newest object.
    ///
    /// # Errors
    /// When that has none.
    pub fn first_id(&self) -> Result<Option<String>, ApiError> {
        self.data.first().map(|object| id(object)).transpose()
    }

    /// The id of its oldest object.
    ///
    /// # Errors
    /// When that has none.
    pub fn last_id(&self) -> Result<Option<String>, ApiError> {
        self.data.last().map(|object| id(object)).transpose()
    }
}

fn id(object: &RawValue) -> Result<String, ApiError> {
    let read = serde_json::from_str::<Identified>(object.get());
    read.map(|object| object.id)
        .map_err(|error| ApiError::Unavailable(format!("an object of its list: {error}")))
}

/// Asks for a page of the list at `path`, whatever it takes.
///
/// # Errors
/// Stripe's.
pub async fn get(api: &Api, path: &str, filter: &Form) -> Result<ApiAnswer, ApiError> {
    api.get(path, &filter.clone().with("limit", &LIMIT)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_where_it_begins_and_ends() {
        let answer = |body: &'static str| ApiAnswer {
            body: body.as_bytes().into(),
            at: 0,
        };
        let page = answer(r#"{"object":"list","has_more":true,"data":[{"id":"b","x":[1]},{"id":"a"}],"url":"/v1/x"}"#);
        let page = Page::of(&page).expect("a list");
        let ends = (page.first_id().expect("an id"), page.last_id().expect("an id"));
        assert_eq!(ends, (Some("b".to_owned()), Some("a".to_owned())));
        assert_eq!(page.data[0].get(), r#"{"id":"b","x":[1]}"#);
        let empty = answer(r#"{"has_more":false,"data":[]}"#);
        assert_eq!(Page::of(&empty).expect("a list").first_id().expect("none"), None);
        assert!(Page::of(&answer("[]")).is_err());
        let odd = answer(r#"{"has_more":false,"data":[7]}"#);
        assert!(Page::of(&odd).expect("a list").last_id().is_err());
    }
}
