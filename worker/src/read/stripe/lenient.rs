//! Mends a JSON text that `serde_json` refuses although it follows JSON's grammar (RFC 8259):
//! half a surrogate pair in a text, and numbers beyond the range of a float. Stripe passes
//! on what people write into names and notes, and we do not read those.

/// The length of an escape such as `\ud800`.
const ESCAPE: usize = 6;

/// The text with each half surrogate pair as `\u0000`, and each number too great for a
/// float as one that is not whole. All other bytes keep their places. `None` if there is
/// nothing to mend.
pub(super) fn mended(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = bytes.to_vec();
    let mut has_changed = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at = match byte {
            b'"' => mend_text(&mut text, at + 1, &mut has_changed),
            b'-' | b'0'..=b'9' => mend_number(&mut text, at, &mut has_changed),
            _ => at + 1,
        };
    }
    has_changed.then_some(text)
}

/// Mends the text that begins at `at`. Returns the place after it.
fn mend_text(text: &mut [u8], mut at: usize, has_changed: &mut bool) -> usize {
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => match escaped_unit(text, at) {
                None => at += 2,
                Some(0xD800..0xDC00) if matches!(escaped_unit(text, at + ESCAPE), Some(0xDC00..0xE000)) => {
                    at += 2 * ESCAPE;
                }
                Some(0xD800..0xE000) => {
                    text[at + 2..at + ESCAPE].fill(b'0');
                    *has_changed = true;
                    at += ESCAPE;
                }
                Some(_) => at += ESCAPE,
            },
            _ => at += 1,
        }
    }
    at
}

/// The UTF-16 unit of the escape at `at`, if there is one.
fn escaped_unit(text: &[u8], at: usize) -> Option<u16> {
    let digits = text.get(at..at + ESCAPE)?.strip_prefix(b"\\u")?;
    let digits = std::str::from_utf8(digits).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// Mends the number that begins at `at`. Returns the place after it.
fn mend_number(text: &mut [u8], at: usize, has_changed: &mut bool) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
    let end = text[at..]
        .iter()
        .position(|b| !is_part(b))
        .map_or(text.len(), |n| at + n);
    let number = std::str::from_utf8(&text[at..end]).ok();
    let is_infinite = number.and_then(|n| n.parse::<f64>().ok()).is_some_and(f64::is_infinite);
    if is_infinite {
        // Every number beyond a float's range has at least five characters.
        text[at..end].fill(b' ');
        text[at..at + 3].copy_from_slice(b"0.5");
        *has_changed = true;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let mended = mended(text.as_bytes());
        let mended = mended.as_deref().map(|m| std::str::from_utf8(m).expect("UTF-8"));
        assert_eq!(mended, expected, "{text}");
    }

    #[test]
    fn only_what_rust_cannot_hold_is_changed() {
        for fine in [
            r#"{"a":"\ud83d\ude00","b":1.5e300,"c":"1e400","d":-0}"#,
            r#"["\\ud800", "\"1e999", ""]"#,
            "",
            "not JSON",
            r#"{"a":"open"#,
            r#"{"a":"\ud8"#,
            r#"{"a":"\"#,
        ] {
            check(fine, None);
        }
        for (text, expected) in [
            (r#"{"a":"\ud800"}"#, r#"{"a":"\u0000"}"#),
            (r#"["x\uDC00y",1]"#, r#"["x\u0000y",1]"#),
            (r#"["\ud83d\ud83d\ude00"]"#, r#"["\u0000\ud83d\ude00"]"#),
            (r#"["\ud83dA\ude00"]"#, r#"["\u0000A\u0000"]"#),
            (r#"{"\ud800":1}"#, r#"{"\u0000":1}"#),
            ("[1e400,2]", "[0.5  ,2]"),
            ("[-1E+999]", "[0.5    ]"),
        ] {
            check(text, Some(expected));
        }
    }
}
