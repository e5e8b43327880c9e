//! Reading the Prometheus text format.

use std::collections::BTreeMap;

/// The samples of one scrape, by `name{label="value",…}` as printed.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, i64>);

impl Metrics {
    /// Parses `text`. Values lose their fraction: counts have none, sums of seconds are rounded down.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let samples = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            let whole = value.split('.').next()?.parse().ok()?;
            Some((name.to_owned(), whole))
        });
        Self(samples.collect())
    }

    /// The value of `series`, written exactly like this; 0 if there is none.
    #[must_use]
    pub fn get(&self, series: &str) -> i64 {
        self.0.get(series).copied().unwrap_or_default()
    }

    /// The sum of all samples of `name` whose labels contain each of `labels` (`key="value"`).
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[&str]) -> i64 {
        let samples = self.0.iter().filter(|(series, _)| {
            let (own_name, own_labels) = series.split_once('{').unwrap_or((series, ""));
            own_name == name && labels.iter().all(|label| own_labels.contains(label))
        });
        samples.map(|(_, value)| value).sum()
    }

    /// All samples in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(series, value)| (series.as_str(), *value))
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    #[test]
    fn samples_are_found_by_name_and_summed_over_labels() {
        let text = "# HELP hits Requests.\n# TYPE hits counter\n\
                    hits{status=\"200\",path=\"/\"} 3\nhits{status=\"503\",path=\"/\"} 4\n\
                    hits_total 9\nseconds_sum 1.75\n";
        let metrics = Metrics::parse(text);
        assert_eq!(metrics.get("hits_total"), 9);
        assert_eq!(metrics.get("seconds_sum"), 1);
        assert_eq!(metrics.get("never_counted"), 0);
        assert_eq!(metrics.sum("hits", &[]), 7);
        assert_eq!(metrics.sum("hits", &["status=\"503\""]), 4);
    }
}
