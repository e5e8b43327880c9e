//! Text that commands print.

/// Replaces control characters, so that text from a payload cannot control the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
