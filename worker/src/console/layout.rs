//! The frame of every page, and its tables and lists.

use super::{
    format::{text, visible},
    visitor::Visitor,
};
use maud::{DOCTYPE, Markup, html};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

/// The style sheet of all pages.
pub(super) const STYLE: &str = include_str!("style.css");
/// The style sheet's address. It changes with the content, so browsers may cache it for ever.
static STYLE_HREF: LazyLock<String> = LazyLock::new(|| {
    let hash = hex::encode(Sha256::digest(STYLE));
    format!("/console/style.css?v={}", &hash[..12])
});

/// The navigation's items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NavItem {
    Overview,
    DeadLetters,
    Actions,
    /// The page is reached by a search or a link, and is no item of the navigation.
    None,
}

const NAV_ITEMS: [(NavItem, &str, &str); 3] = [
    (NavItem::Overview, "/console", "Overview"),
    (NavItem::DeadLetters, "/console/dead-letters", "Dead letters"),
    (NavItem::Actions, "/console/actions", "Actions"),
];

/// A page for an operator that is logged in.
pub(super) fn page(visitor: &Visitor, nav_item: NavItem, title: &str, content: &Markup) -> Markup {
    let body = html! {
        a.skip href="#content" { "Skip to the content" }
        header.top {
            p.brand { a href="/console" { "Tollbridge" } }
            nav aria-label="Pages" {
                ul {
                    @for (item, path, name) in NAV_ITEMS {
                        li { a href=(path) aria-current=[(item == nav_item).then_some("page")] { (name) } }
                    }
                }
            }
            form.search role="search" action="/console/search" method="get" {
                label.hidden for="q" { "User, customer, subscription or event id" }
                input #q type="search" name="q" placeholder="User, customer, subscription, event" required maxlength="600";
                button type="submit" { "Search" }
            }
            form.leave action="/console/logout" method="post" {
                (form_token(visitor))
                span.who { (text(&visitor.operator)) }
                button.quiet type="submit" { "Log out" }
            }
        }
        main #content tabindex="-1" { (content) }
    };
    document(title, &body)
}

/// A page without navigation, for a request without a session.
pub(super) fn bare(title: &str, content: &Markup) -> Markup {
    let body = html! {
        header.top { p.brand { "Tollbridge" } }
        main.narrow #content { (content) }
    };
    document(title, &body)
}

fn document(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="robots" content="noindex";
                title { (visible(title)) " · Tollbridge" }
                link rel="stylesheet" href=(*STYLE_HREF);
            }
            body { (body) }
        }
    }
}

/// The hidden field that proves that a form belongs to this session.
pub(super) fn form_token(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="form" value=(visitor.form_token); }
}

/// A table that becomes a list of cards on a narrow screen. `head` names the
/// columns. Each cell repeats the name of its column for the cards.
pub(super) fn table(caption: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scroll {
            table.cards {
                caption { (caption) }
                thead { tr { @for name in head {
                    @if name.is_empty() { td {} } @else { th scope="col" { (name) } }
                } } }
                tbody {
                    @for row in rows {
                        tr { @for (name, cell) in head.iter().zip(row) { td data-name=(if name.is_empty() { "Choose" } else { name }) { div { (cell) } } } }
                    }
                }
            }
        }
    }
}

/// A [`table`] whose first column is a check box.
pub(super) fn choices(caption: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! { div.choices { (table(caption, head, rows)) } }
}

/// A list of names and values.
pub(super) fn list(of: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in of { div { dt { (name) } dd { (value) } } } }
    }
}
