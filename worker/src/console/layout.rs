//! What all pages have in common, and how ids, times and numbers are written.

use super::guard::Visitor;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::sync::LazyLock;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// The style sheet of all pages.
pub(super) const STYLE: &str = include_str!("style.css");
/// Its address changes with it, so that it may be kept for ever.
static STYLE_HREF: LazyLock<String> = LazyLock::new(|| {
    let hash = hex::encode(Sha256::digest(STYLE));
    format!("/console/style.css?v={}", &hash[..12])
});

/// What stays as it is in a part of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The pages that the navigation leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Overview,
    DeadLetters,
    Actions,
    /// A page that one gets to by searching or by a link.
    Elsewhere,
}

const PLACES: [(Place, &str, &str); 3] = [
    (Place::Overview, "/console", "Overview"),
    (Place::DeadLetters, "/console/dead-letters", "Dead letters"),
    (Place::Actions, "/console/actions", "Actions"),
];

/// A page for who is logged in.
pub(super) fn page(visitor: &Visitor, place: Place, title: &str, content: &Markup) -> Markup {
    let body = html! {
        a.skip href="#content" { "Skip to the content" }
        header.top {
            p.brand { a href="/console" { "Tollbridge" } }
            nav aria-label="Pages" {
                ul {
                    @for (of, path, name) in PLACES {
                        li { a href=(path) aria-current=[(of == place).then_some("page")] { (name) } }
                    }
                }
            }
            form.search role="search" action="/console/search" method="get" {
                label.hidden for="q" { "User, customer, subscription or event id" }
                input #q type="search" name="q" placeholder="User, customer, subscription, event" required maxlength="600";
                button type="submit" { "Search" }
            }
            form.leave action="/console/logout" method="post" {
                (hidden(visitor))
                span.who { (text(&visitor.operator)) }
                button.quiet type="submit" { "Log out" }
            }
        }
        main #content tabindex="-1" { (content) }
    };
    document(title, &body)
}

/// A page for who is not, or not yet.
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

/// What makes a form one of this session.
pub(super) fn hidden(visitor: &Visitor) -> Markup {
    html! { input type="hidden" name="form" value=(visitor.form); }
}

/// Any text, whoever wrote it: escaped, kept apart from the text around it, and
/// with its control characters, also those that change the direction, made visible.
pub(super) fn text(of: &str) -> Markup {
    html! { bdi { (visible(of)) } }
}

/// A text with its control characters made visible.
pub(super) fn visible(of: &str) -> String {
    let mut visible = String::with_capacity(of.len());
    for c in of.chars() {
        let steers = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if (c.is_control() && !matches!(c, '\n' | '\t')) || steers {
            visible.extend(c.escape_unicode());
        } else {
            visible.push(c);
        }
    }
    visible
}

/// An id, to be read and copied.
pub(super) fn id(of: &str) -> Markup {
    html! { code.id { (text(of)) } }
}

/// A type or a reason: a word of many parts, which may be broken between them
/// and not elsewhere, unless somebody made it up.
pub(super) fn word(of: &str) -> Markup {
    const PART_MOST: usize = 24;
    let mut parts = of.split_inclusive(['.', '_']);
    let is_word = |part: &str| part.len() <= PART_MOST && part.bytes().all(|b| b.is_ascii_graphic());
    if !parts.clone().all(is_word) {
        return html! { code { (text(of)) } };
    }
    let first = parts.next().unwrap_or_default();
    html! { code.word { (first) @for part in parts { wbr; (part) } } }
}

/// The pages that show one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thing {
    DeadLetter,
    Event,
    User,
}

impl Thing {
    /// The address of its page; none for a name that browsers take for a way up.
    pub(super) fn path(self, id: &str) -> Option<String> {
        let folder = match self {
            Self::DeadLetter => "dead-letters",
            Self::Event => "events",
            Self::User => "users",
        };
        let part = utf8_percent_encode(id, PART);
        (!matches!(id, "" | "." | "..")).then(|| format!("/console/{folder}/{part}"))
    }

    /// A link to its page, by its id.
    pub(super) fn link(self, of: &str) -> Markup {
        html! {
            @match self.path(of) {
                Some(path) => a href=(path) { (id(of)) },
                None => (id(of)),
            }
        }
    }
}

/// A time, and how long ago that is.
pub(super) fn when(at: OffsetDateTime, visitor: &Visitor) -> Markup {
    when_seconds(at.unix_timestamp(), visitor)
}

/// The same, of a time in seconds.
pub(super) fn when_seconds(at: i64, visitor: &Visitor) -> Markup {
    let shown = rfc3339(at);
    html! { time datetime=(shown) { (shown) } " " span.age { (age(at, visitor.now_ms / 1_000)) } }
}

/// A time in seconds, as RFC 3339.
pub(super) fn rfc3339(at: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at).ok();
    time.and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{at} s after 1970"))
}

/// How long before `now` something was, or how long after.
pub(super) fn age(at: i64, now: i64) -> String {
    match now.saturating_sub(at) {
        0 => "now".to_owned(),
        past @ 1.. => format!("{} ago", span(past)),
        to_come => format!("in {}", span(to_come.saturating_neg())),
    }
}

/// A length of time in seconds, in its largest unit that gives two or more.
pub(super) fn span(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or(format!("{seconds} s"), |(length, name)| {
        format!("{} {name}", grouped(seconds / length))
    })
}

/// A number with its thousands set apart.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "−".to_owned() } else { String::new() };
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A table that becomes a list of cards where there is no room: `head` names the
/// columns, and each cell repeats its name for that.
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

/// A [`table`] whose first column is a box to choose the row by.
pub(super) fn choices(caption: &str, head: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! { div.choices { (table(caption, head, rows)) } }
}

/// Names and values, one below the other.
pub(super) fn list(of: &[(&str, Markup)]) -> Markup {
    html! {
        dl.facts { @for (name, value) in of { div { dt { (name) } dd { (value) } } } }
    }
}

/// Text that is ours.
pub(super) fn plain(of: &str) -> Markup {
    html! { (of) }
}

/// Nothing.
pub(super) fn nothing() -> Markup {
    PreEscaped(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_and_cannot_steer() {
        for (given, shown) in [
            ("<script>", "<bdi>&lt;script&gt;</bdi>"),
            ("\"><img onerror=\"x", "<bdi>&quot;&gt;&lt;img onerror=&quot;x</bdi>"),
            ("a\u{202e}b", "<bdi>a\\u{202e}b</bdi>"),
            ("a\u{0}\u{1b}b\nc", "<bdi>a\\u{0}\\u{1b}b\nc</bdi>"),
            ("Größe 漢字", "<bdi>Größe 漢字</bdi>"),
        ] {
            assert_eq!(text(given).into_string(), shown, "{given:?}");
        }
    }

    #[test]
    fn a_word_is_broken_between_its_parts() {
        for (given, shown) in [
            ("invoice.paid", "<code class=\"word\">invoice.<wbr>paid</code>"),
            ("unknown_price", "<code class=\"word\">unknown_<wbr>price</code>"),
            ("", "<code class=\"word\"></code>"),
            ("<b>.x", "<code class=\"word\">&lt;b&gt;.<wbr>x</code>"),
            ("a b", "<code><bdi>a b</bdi></code>"),
            ("\u{202e}x", "<code><bdi>\\u{202e}x</bdi></code>"),
        ] {
            assert_eq!(word(given).into_string(), shown);
        }
    }

    #[test]
    fn an_id_of_any_letters_has_a_link_that_leads_to_it() {
        for (id, path) in [
            ("evt_1", Some("/console/events/evt_1")),
            ("a/b?c#d", Some("/console/events/a%2Fb%3Fc%23d")),
            ("<é", Some("/console/events/%3C%C3%A9")),
            ("../x", Some("/console/events/..%2Fx")),
            ("..", None),
            (".", None),
        ] {
            assert_eq!(Thing::Event.path(id).as_deref(), path, "{id}");
        }
    }

    #[test]
    fn an_age_is_short() {
        for (seconds_ago, said) in [
            (0, "now"),
            (1, "1 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_199, "119 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 d ago"),
            (-30, "in 30 s"),
            (-400_000_000, "in 4,629 d"),
        ] {
            assert_eq!(age(1_000_000_000 - seconds_ago, 1_000_000_000), said);
        }
        assert_eq!(age(i64::MIN, i64::MAX), "106,751,991,167,300 d ago");
    }

    #[test]
    fn numbers_are_set_in_thousands() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "−1,234,567")] {
            assert_eq!(grouped(number), shown);
        }
    }
}
