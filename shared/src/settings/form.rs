//! How the text of a setting is read, and what it may be.

use super::{
    length::{format_duration, parse_up_to},
    secret::Secret,
};
use std::{fmt, time::Duration};

/// How the text of a setting is read.
pub trait SettingForm {
    /// What the text becomes.
    type Value;

    /// Whether the value is a secret. Then it may come from a file too, and an
    /// error must not repeat it.
    const IS_SECRET: bool = false;

    /// Reads the text.
    ///
    /// # Errors
    /// With what is wrong and what to write instead.
    fn read(&self, text: &str) -> Result<Self::Value, String>;

    /// What is allowed, in words; empty for any text.
    fn allowed(&self) -> String;
}

/// Any text.
#[derive(Debug, Clone, Copy)]
pub struct Text;

impl SettingForm for Text {
    type Value = String;

    fn read(&self, text: &str) -> Result<String, String> {
        Ok(text.to_owned())
    }

    fn allowed(&self) -> String {
        String::new()
    }
}

/// A secret; with what it looks like, such as `a PostgreSQL URL`.
#[derive(Debug, Clone, Copy)]
pub struct SecretText(pub &'static str);

impl SettingForm for SecretText {
    type Value = Secret;

    const IS_SECRET: bool = true;

    fn read(&self, text: &str) -> Result<Secret, String> {
        Ok(Secret::new(text))
    }

    fn allowed(&self) -> String {
        self.0.to_owned()
    }
}

/// A whole number from `min` to `max`.
#[derive(Debug, Clone, Copy)]
pub struct Number {
    /// The least that is allowed.
    pub min: u32,
    /// The most that is allowed.
    pub max: u32,
}

impl Number {
    /// Whether `value` is allowed.
    ///
    /// # Errors
    /// With what is allowed.
    pub fn check(&self, value: u32) -> Result<u32, String> {
        if (self.min..=self.max).contains(&value) {
            Ok(value)
        } else {
            Err(format!("{value} is out of range; allowed is {}", self.allowed()))
        }
    }
}

impl SettingForm for Number {
    type Value = u32;

    fn read(&self, text: &str) -> Result<u32, String> {
        self.check(text.parse().map_err(|e| format!("'{text}' cannot be used: {e}"))?)
    }

    fn allowed(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}

/// A length of time such as `500ms`, `20s`, `5m` or `2h`: 1 ms to `max`.
#[derive(Debug, Clone, Copy)]
pub struct Length {
    /// The longest that is allowed; [`LENGTH_MAX`](super::LENGTH_MAX) where nothing speaks for another one.
    pub max: Duration,
}

impl SettingForm for Length {
    type Value = Duration;

    fn read(&self, text: &str) -> Result<Duration, String> {
        parse_up_to(text, self.max)
    }

    fn allowed(&self) -> String {
        format!("1ms to {}", format_duration(self.max))
    }
}

/// A value that `read` makes of the text.
#[derive(Clone, Copy)]
pub struct Parsed<T> {
    /// Reads the text; its error says what is wrong and what to write instead.
    pub read: fn(&str) -> Result<T, String>,
    /// What is allowed, in words.
    pub allowed: &'static str,
}

impl<T> fmt::Debug for Parsed<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parsed").field(&self.allowed).finish()
    }
}

impl<T> SettingForm for Parsed<T> {
    type Value = T;

    fn read(&self, text: &str) -> Result<T, String> {
        (self.read)(text)
    }

    fn allowed(&self) -> String {
        self.allowed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_out_of_range_is_refused_with_what_is_allowed() {
        let number = Number { min: 2, max: 16 };
        assert_eq!(number.read("16"), Ok(16));
        assert_eq!(
            number.read("1"),
            Err("1 is out of range; allowed is 2 to 16".to_owned())
        );
        assert!(number.read("-1").is_err() && number.read("many").is_err());
        let length = Length {
            max: Duration::from_millis(2_500),
        };
        assert_eq!(length.read("2500ms"), Ok(Duration::from_millis(2_500)));
        assert_eq!(
            length.read("3s"),
            Err("'3s' is out of range; allowed is 1ms to 2500ms".to_owned())
        );
    }
}
