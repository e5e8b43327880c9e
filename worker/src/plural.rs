//! Counts in words.

use std::fmt::Display;

/// A count and its noun: "1 message", "2 messages".
pub(crate) fn counted<N: Copy + Display + PartialEq + From<u8>>(count: N, singular: &str, plural: &str) -> String {
    let noun = if count == N::from(1) { singular } else { plural };
    format!("{count} {noun}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(counted(1_u64, "message", "messages"), "1 message");
        assert_eq!(counted(0_usize, "message", "messages"), "0 messages");
    }
}
