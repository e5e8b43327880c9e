//! How texts, ids, times and numbers are written on a page.

use super::visitor::Visitor;
use maud::{Markup, PreEscaped, html};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A text of any origin. It is escaped, isolated from the direction of the text
/// around it, and its control characters are made visible.
pub(super) fn text(of: &str) -> Markup {
    html! { bdi { (visible(of)) } }
}

/// A text whose control characters are made visible, also those that change its
/// direction.
pub(super) fn visible(of: &str) -> String {
    let mut visible = String::with_capacity(of.len());
    for c in of.chars() {
        let is_format = matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
        if (c.is_control() && !matches!(c, '\n' | '\t')) || is_format {
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

/// A type or a reason. A line may break after its dots and underscores only,
/// unless a part is too long or not ASCII.
pub(super) fn word(of: &str) -> Markup {
    const PART_BYTES_MAX: usize = 24;
    let mut parts = of.split_inclusive(['.', '_']);
    let is_word = |part: &str| part.len() <= PART_BYTES_MAX && part.bytes().all(|b| b.is_ascii_graphic());
    if !parts.clone().all(is_word) {
        return html! { code { (text(of)) } };
    }
    let first = parts.next().unwrap_or_default();
    html! { code.word { (first) @for part in parts { wbr; (part) } } }
}

/// A time and its age.
pub(super) fn when(at: OffsetDateTime, visitor: &Visitor) -> Markup {
    when_seconds(at.unix_timestamp(), visitor)
}

/// A time, given in seconds since 1970, and its age.
pub(super) fn when_seconds(at: i64, visitor: &Visitor) -> Markup {
    let shown = rfc3339(at);
    html! { time datetime=(shown) { (shown) } " " span.age { (age(at, visitor.now_ms / 1_000)) } }
}

/// A time in seconds since 1970, as RFC 3339.
pub(super) fn rfc3339(at: i64) -> String {
    let time = OffsetDateTime::from_unix_timestamp(at).ok();
    time.and_then(|t| t.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{at} s after 1970"))
}

/// How long `at` is before or after `now`, both in seconds.
pub(super) fn age(at: i64, now: i64) -> String {
    match now.saturating_sub(at) {
        0 => "now".to_owned(),
        past @ 1.. => format!("{} ago", duration(past)),
        future => format!("in {}", duration(future.saturating_neg())),
    }
}

/// A duration in seconds, in the largest unit that gives two or more.
pub(super) fn duration(seconds: i64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.iter().find(|(length, _)| seconds >= 2 * length);
    unit.map_or(format!("{seconds} s"), |(length, name)| {
        format!("{} {name}", grouped(seconds / length))
    })
}

/// A number with a comma between thousands.
pub(super) fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut grouped = if number < 0 { "−".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A count and its noun: "1 event", "2,000 events".
pub(super) fn counted(count: i64, singular: &str, plural: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { singular } else { plural })
}

/// A text of the console's own.
pub(super) fn plain(of: &str) -> Markup {
    html! { (of) }
}

pub(super) fn nothing() -> Markup {
    PreEscaped(String::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_escaped_and_cannot_change_its_direction() {
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
    fn a_word_may_break_between_its_parts() {
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
    fn an_age_is_short() {
        for (seconds_ago, expected) in [
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
            assert_eq!(age(1_000_000_000 - seconds_ago, 1_000_000_000), expected);
        }
        assert_eq!(age(i64::MIN, i64::MAX), "106,751,991,167,300 d ago");
    }

    #[test]
    fn numbers_have_a_comma_between_thousands() {
        for (number, shown) in [(0, "0"), (999, "999"), (1_000, "1,000"), (-1_234_567, "−1,234,567")] {
            assert_eq!(grouped(number), shown);
        }
    }
}
