//! Links to the console's pages.

use super::format::id;
use crate::store::dead_letter_queries::DeadLetter;
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The bytes that a segment of a path escapes: all but RFC 3986's unreserved ones.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The pages that show one thing by its id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum DetailPage {
    DeadLetter,
    Event,
    User,
}

impl DetailPage {
    /// The address of the page. None if the id is empty, `.` or `..`: browsers
    /// resolve these to another path.
    pub(super) fn path(self, id: &str) -> Option<String> {
        if matches!(id, "" | "." | "..") {
            return None;
        }
        let folder = match self {
            Self::DeadLetter => "dead-letters",
            Self::Event => "events",
            Self::User => "users",
        };
        Some(format!("/console/{folder}/{}", utf8_percent_encode(id, SEGMENT)))
    }

    /// A link to the page, with the id as its text.
    pub(super) fn link(self, of: &str) -> Markup {
        html! {
            @match self.path(of) {
                Some(path) => a href=(path) { (id(of)) },
                None => (id(of)),
            }
        }
    }
}

/// A path with a query.
pub(super) fn with_query<K: AsRef<str>, V: AsRef<str>>(path: &str, query: impl IntoIterator<Item = (K, V)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

/// A link to the search for a Stripe customer.
pub(super) fn customer_link(customer: &str) -> Markup {
    html! { a href=(with_query("/console/search", [("q", customer)])) { (id(customer)) } }
}

/// A link to the owner of a dead letter: a user for a usage report, a Stripe
/// customer for any other event.
pub(super) fn owner_link(dead_letter: &DeadLetter, owner: &str) -> Markup {
    if dead_letter.source == "usage" {
        DetailPage::User.link(owner)
    } else {
        customer_link(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_any_letters_has_a_link_to_its_page() {
        for (id, path) in [
            ("evt_1", Some("/console/events/evt_1")),
            ("a/b?c#d", Some("/console/events/a%2Fb%3Fc%23d")),
            ("<é", Some("/console/events/%3C%C3%A9")),
            ("../x", Some("/console/events/..%2Fx")),
            ("..", None),
            (".", None),
        ] {
            assert_eq!(DetailPage::Event.path(id).as_deref(), path, "{id}");
        }
    }

    #[test]
    fn a_query_is_encoded_and_left_out_if_it_is_empty() {
        assert_eq!(with_query("/p", [("id", "a/b")]), "/p?id=a%2Fb");
        assert_eq!(with_query("/p", [("", ""); 0]), "/p");
    }
}
