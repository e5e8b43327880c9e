//! Measured times, and text tables.

use std::time::Duration;

/// Measured times, shortest first.
#[derive(Clone, Debug, Default)]
pub struct Times(Vec<Duration>);

impl From<Vec<Duration>> for Times {
    fn from(mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Self(times)
    }
}

impl Times {
    /// The number of times.
    #[must_use]
    pub const fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that `percent` of all times do not exceed; zero without times.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Duration {
        let place = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(place - 1).copied().unwrap_or_default()
    }
}

/// `time` in milliseconds with two decimals, such as `12.34 ms`.
#[must_use]
pub fn millis(time: Duration) -> String {
    let hundredths = time.as_micros() / 10;
    format!("{}.{:02} ms", hundredths / 100, hundredths % 100)
}

/// `time` in seconds with two decimals, such as `1.23 s`.
#[must_use]
pub fn seconds(time: Duration) -> String {
    let hundredths = time.as_millis() / 10;
    format!("{}.{:02} s", hundredths / 100, hundredths % 100)
}

/// The rate per second of `count` things in `time`.
#[must_use]
pub fn per_second(count: usize, time: Duration) -> i64 {
    let micros = i64::try_from(time.as_micros()).unwrap_or(i64::MAX).max(1);
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    count.saturating_mul(1_000_000) / micros
}

/// `number` with separators, such as `12,345`.
#[must_use]
pub fn thousands(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// `rows` as lines, each column as wide as its widest cell, all indented by three.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        let cells: Vec<String> = cells.collect();
        format!("   {}", cells.join("  ").trim_end())
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Prints `line`. `cargo test` shows it if the test fails, or with `--nocapture`.
#[expect(clippy::print_stderr, reason = "the test harness captures it")]
pub fn note(line: &str) {
    eprintln!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let times = Times::from((1..=200).rev().map(Duration::from_millis).collect::<Vec<_>>());
        let percentiles = [50, 99, 100].map(|percent| times.percentile(percent).as_millis());
        assert_eq!(percentiles, [100, 198, 200]);
        assert_eq!(Times::default().percentile(50), Duration::ZERO);
    }

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(millis(Duration::from_micros(12_345)), "12.34 ms");
        assert_eq!(seconds(Duration::from_millis(12_345)), "12.34 s");
        assert_eq!(per_second(500, Duration::from_millis(250)), 2_000);
        assert_eq!(
            [0, 999, 1_000, -1_234_567].map(thousands),
            ["0", "999", "1,000", "-1,234,567"]
        );
        let rows = [["tier", "until"], ["max", "-"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "   tier  until\n   max   -");
    }
}
