//! Pages of Stripe's lists ("Pagination" in its API reference).

use serde::Deserialize;
use serde_json::value::RawValue;
use stripe_api::{Api, ApiAnswer, ApiError, Form};

/// Objects per page: the most that Stripe allows.
pub const OBJECTS_MAX: u8 = 100;

/// A page of a list, newest first.
#[derive(Debug, Deserialize)]
pub struct Page<'a> {
    /// The objects, as the JSON of the answer has them.
    #[serde(borrow)]
    pub data: Vec<&'a RawValue>,
    /// Whether more objects follow, in the direction of the request.
    pub has_more: bool,
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

impl<'a> Page<'a> {
    /// Reads the page in an answer.
    ///
    /// # Errors
    /// If the answer is no list.
    pub fn of(answer: &'a ApiAnswer) -> Result<Self, ApiError> {
        answer.json()
    }

    /// The id of the page's newest object.
    ///
    /// # Errors
    /// If that object has no id.
    pub fn first_id(&self) -> Result<Option<String>, ApiError> {
        self.data.first().map(|object| id(object)).transpose()
    }

    /// The id of the page's oldest object.
    ///
    /// # Errors
    /// If that object has no id.
    pub fn last_id(&self) -> Result<Option<String>, ApiError> {
        self.data.last().map(|object| id(object)).transpose()
    }
}

fn id(object: &RawValue) -> Result<String, ApiError> {
    let read = serde_json::from_str::<Identified>(object.get());
    read.map(|object| object.id)
        .map_err(|error| ApiError::Unavailable(format!("an object of its list: {error}")))
}

/// Asks for a page of the list at `path`. Retries as [`Api::get`] does.
///
/// # Errors
/// Stripe's.
pub async fn get(api: &Api, path: &str, filter: &Form) -> Result<ApiAnswer, ApiError> {
    api.get(path, &filter.clone().with("limit", &OBJECTS_MAX)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_has_a_first_and_a_last_id() {
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
