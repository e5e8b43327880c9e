//! Settings from the environment, read once at start. Every error names the
//! variable, what is wrong with it and what to write instead.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive, path::PathBuf, str::FromStr, time::Duration};

/// A setting that is missing or that cannot be used. Never holds the value of
/// a secret.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    name: String,
    problem: String,
}

impl SettingError {
    /// An error about the variable `name`; `problem` says what is wrong and
    /// what to do.
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

/// A value that must not appear in logs: its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself; the name makes uses easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// The environment of the process, or a map that stands for it in tests.
#[derive(Debug)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// The environment of this process; a variable that is not UTF-8 counts as
    /// not set.
    #[must_use]
    pub fn from_process() -> Self {
        Self(
            std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
        )
    }

    /// Settings given as pairs.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }

    /// The text of a variable; an empty one counts as not set.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|v| v.trim()).filter(|v| !v.is_empty())
    }

    /// A secret: the variable itself, or the content of the file that
    /// `NAME_FILE` points to. Both at once are refused.
    pub fn secret(&self, name: &str) -> Result<Option<Secret>, SettingError> {
        let file_name = format!("{name}_FILE");
        match (self.text(name), self.text(&file_name)) {
            (Some(_), Some(_)) => Err(SettingError::new(
                name,
                format!("is set, and {file_name} too; keep one of them"),
            )),
            (Some(value), None) => Ok(Some(Secret::new(value))),
            (None, None) => Ok(None),
            (None, Some(path)) => {
                let content = std::fs::read_to_string(path)
                    .map_err(|e| SettingError::new(&file_name, format!("cannot read {path}: {e}")))?;
                match content.trim() {
                    "" => Err(SettingError::new(&file_name, format!("{path} is empty"))),
                    value => Ok(Some(Secret::new(value))),
                }
            }
        }
    }

    /// A secret that must be there; `hint` says what it looks like.
    pub fn required_secret(&self, name: &str, hint: &str) -> Result<Secret, SettingError> {
        self.secret(name)?.ok_or_else(|| {
            SettingError::new(
                name,
                format!("is not set; {hint} (or {name}_FILE, the path of a file that holds it)"),
            )
        })
    }

    /// A value of any type that parses from text, or its default.
    pub fn parse<T>(&self, name: &str, default: T) -> Result<T, SettingError>
    where
        T: FromStr,
        T::Err: fmt::Display,
    {
        match self.text(name) {
            None => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|e| SettingError::new(name, format!("'{text}' cannot be used: {e}"))),
        }
    }

    /// A whole number within `range`, or its default.
    pub fn number(&self, name: &str, default: u32, range: RangeInclusive<u32>) -> Result<u32, SettingError> {
        let value = self.parse(name, default)?;
        if range.contains(&value) {
            Ok(value)
        } else {
            Err(SettingError::new(
                name,
                format!(
                    "{value} is out of range; allowed is {} to {}",
                    range.start(),
                    range.end()
                ),
            ))
        }
    }

    /// A length of time such as `500ms`, `20s`, `5m` or `2h`, or its default.
    pub fn duration(&self, name: &str, default: Duration) -> Result<Duration, SettingError> {
        match self.text(name) {
            None => Ok(default),
            Some(text) => parse_duration(text).map_err(|problem| SettingError::new(name, problem)),
        }
    }

    /// A path, or its default.
    #[must_use]
    pub fn path(&self, name: &str, default: &str) -> PathBuf {
        PathBuf::from(self.text(name).unwrap_or(default))
    }
}

const MOST_MS: u64 = 30 * 24 * 3_600_000;

/// Reads `500ms`, `20s`, `5m`, `2h`; more than zero, at most 30 days.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("'{text}' is not a length of time; write a whole number and a unit, such as 500ms, 20s, 5m or 2h");
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit_ms) {
        Some(ms @ 1..=MOST_MS) => Ok(Duration::from_millis(ms)),
        _ => Err(format!("'{text}' is out of range; allowed is 1ms to 720h")),
    }
}

/// Writes a length of time as [`parse_duration`] reads it, in its largest whole
/// unit: 90,000 ms is `90s`, 120,000 ms is `2m`.
#[must_use]
pub fn format_duration(length: Duration) -> String {
    let ms = length.as_millis();
    match ms {
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        _ if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_in_their_largest_unit() {
        for (text, ms, written) in [
            ("500ms", 500, "500ms"),
            ("20s", 20_000, "20s"),
            ("90s", 90_000, "90s"),
            ("120s", 120_000, "2m"),
            ("2h", 7_200_000, "2h"),
        ] {
            let length = parse_duration(text).expect(text);
            assert_eq!(length, Duration::from_millis(ms));
            assert_eq!(format_duration(length), written);
        }
        for bad in ["", "5", "s", "-1s", "1.5s", "0s", "1d", "721h", "99999999999999999999s"] {
            assert!(parse_duration(bad).is_err(), "{bad:?} must be refused");
        }
    }

    #[test]
    fn an_error_names_the_variable_and_never_a_secret() {
        let settings = Settings::from_pairs(&[("LANES", "0"), ("TOKEN", "hush"), ("TOKEN_FILE", "/nowhere")]);
        assert_eq!(
            settings.number("LANES", 4, 1..=64).expect_err("0 lanes").to_string(),
            "LANES: 0 is out of range; allowed is 1 to 64"
        );
        let both = settings.secret("TOKEN").expect_err("both set").to_string();
        assert!(both.contains("TOKEN_FILE") && !both.contains("hush"), "{both}");
        let missing = settings
            .required_secret("DATABASE_URL", "a PostgreSQL URL")
            .expect_err("missing")
            .to_string();
        assert!(
            missing.starts_with("DATABASE_URL: is not set; a PostgreSQL URL"),
            "{missing}"
        );
        assert_eq!(format!("{:?}", Secret::new("hush")), "[secret]");
    }
}
