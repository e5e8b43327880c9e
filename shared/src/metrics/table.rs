//! A table of metrics: its rows, and the metric that each row makes.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
};
use std::{fmt, ops::Deref, sync::OnceLock};

/// Declares metrics as statics, and the list of them all. A row is
/// `STATIC: Kind = "name", "meaning", labels: …, buckets: …, start: …;`, where
/// the fields of [`Row`] that keep their default are left out. A
/// [`Kind`] is a type of the `prometheus` crate.
#[macro_export]
macro_rules! metrics {
    (
        $vis:vis static $table:ident;
        $( $metric:ident : $kind:ty = $name:literal, $meaning:literal $(, $field:ident : $value:expr )* ; )*
    ) => {
        $(
            #[doc = $meaning]
            $vis static $metric: $crate::metrics::Metric<$kind> = $crate::metrics::Metric::new(
                $crate::metrics::Row { $( $field: $value, )* ..$crate::metrics::Row::new($name, $meaning) },
            );
        )*
        /// All of this table, in its order.
        $vis static $table: &[&dyn $crate::metrics::Described] = &[ $( &$metric ),* ];
    };
}

/// What a table says of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name in Prometheus.
    pub name: &'static str,
    /// What it counts or measures: one or two plain sentences.
    pub meaning: &'static str,
    /// Its labels.
    pub labels: &'static [Label],
    /// Upper bounds, of a histogram alone.
    pub buckets: &'static [f64],
    /// When its series appear.
    pub start: Start,
}

impl Row {
    /// A row without labels and buckets, of a metric that starts at 0.
    #[must_use]
    pub const fn new(name: &'static str, meaning: &'static str) -> Self {
        Self {
            name,
            meaning,
            labels: &[],
            buckets: &[],
            start: Start::Zero,
        }
    }

    fn label_names(&self) -> Vec<&'static str> {
        self.labels.iter().map(|label| label.name).collect()
    }

    /// All combinations of label values that are known at the start.
    fn combinations(&self) -> Vec<Vec<&'static str>> {
        let extend = |rows: Vec<Vec<&'static str>>, label: &Label| {
            let longer = |row: &Vec<&'static str>| {
                let with = |value: &&'static str| row.iter().copied().chain([*value]).collect::<Vec<_>>();
                label.values.iter().map(with).collect::<Vec<_>>()
            };
            rows.iter().flat_map(longer).collect()
        };
        self.labels.iter().fold(vec![Vec::new()], extend)
    }
}

/// When the series of a metric appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the start of the process, as 0.
    Zero,
    /// With the first value: until then it is not known, which is not 0.
    Known,
}

/// A label of a metric.
#[derive(Debug, Clone, Copy)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its values, if all are known to the code; else empty.
    pub values: &'static [&'static str],
}

impl Label {
    /// A label with these values and no others.
    #[must_use]
    pub const fn of(name: &'static str, values: &'static [&'static str]) -> Self {
        Self { name, values }
    }

    /// A label whose values are known only at run time.
    #[must_use]
    pub const fn open(name: &'static str) -> Self {
        Self { name, values: &[] }
    }
}

/// A metric that is registered when it is first used.
pub struct Metric<K> {
    row: Row,
    made: OnceLock<K>,
}

impl<K> fmt::Debug for Metric<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Metric").field(&self.row.name).finish()
    }
}

impl<K> Metric<K> {
    /// A metric of this row.
    #[must_use]
    pub const fn new(row: Row) -> Self {
        Self {
            row,
            made: OnceLock::new(),
        }
    }

    /// The metric, if it was used before: until then it has no series.
    pub fn used(&self) -> Option<&K> {
        self.made.get()
    }
}

impl<K: Kind> Deref for Metric<K> {
    type Target = K;

    /// # Panics
    /// When the name is taken or not a metric's name: a mistake in the code.
    fn deref(&self) -> &K {
        self.made.get_or_init(|| {
            let metric = K::make(&self.row).expect("a metric's name and labels");
            prometheus::register(Box::new(metric.clone())).expect("a metric's name is used once");
            metric
        })
    }
}

/// A kind of metric: a type of the `prometheus` crate.
pub trait Kind: Collector + Clone + 'static {
    /// Prometheus's word for it.
    const TYPE: &'static str;

    /// Makes the metric of a row.
    ///
    /// # Errors
    /// When the row's names are not those of a metric.
    fn make(row: &Row) -> prometheus::Result<Self>;

    /// Shows the series with these values of its labels.
    fn show(&self, values: &[&str]);
}

/// A metric of any kind, for what goes through a table.
pub trait Described: Sync {
    /// What the table says of it.
    fn row(&self) -> &Row;
    /// Prometheus's word for its kind.
    fn kind(&self) -> &'static str;
    /// Shows the series that start at 0, as far as the values of its labels are known.
    fn start(&self);
}

impl<K: Kind + Sync + Send> Described for Metric<K> {
    fn row(&self) -> &Row {
        &self.row
    }

    fn kind(&self) -> &'static str {
        K::TYPE
    }

    fn start(&self) {
        if self.row.start == Start::Zero {
            for values in self.row.combinations() {
                self.show(&values);
            }
        }
    }
}

fn options(row: &Row) -> Opts {
    Opts::new(row.name, row.meaning)
}

fn histogram_options(row: &Row) -> HistogramOpts {
    HistogramOpts::new(row.name, row.meaning).buckets(row.buckets.to_vec())
}

impl Kind for IntCounter {
    const TYPE: &'static str = "counter";

    fn make(row: &Row) -> prometheus::Result<Self> {
        Self::with_opts(options(row))
    }

    fn show(&self, _values: &[&str]) {}
}

impl Kind for IntCounterVec {
    const TYPE: &'static str = "counter";

    fn make(row: &Row) -> prometheus::Result<Self> {
        Self::new(options(row), &row.label_names())
    }

    fn show(&self, values: &[&str]) {
        let _ = self.with_label_values(values);
    }
}

impl Kind for IntGauge {
    const TYPE: &'static str = "gauge";

    fn make(row: &Row) -> prometheus::Result<Self> {
        Self::with_opts(options(row))
    }

    fn show(&self, _values: &[&str]) {}
}

impl Kind for IntGaugeVec {
    const TYPE: &'static str = "gauge";

    fn make(row: &Row) -> prometheus::Result<Self> {
        Self::new(options(row), &row.label_names())
    }

    fn show(&self, values: &[&str]) {
        let _ = self.with_label_values(values);
    }
}

impl Kind for Histogram {
    const TYPE: &'static str = "histogram";

    fn make(row: &Row) -> prometheus::Result<Self> {
        Self::with_opts(histogram_options(row))
    }

    fn show(&self, _values: &[&str]) {}
}

impl Kind for HistogramVec {
    const TYPE: &'static str = "histogram";

    fn make(row: &Row) -> prometheus::Result<Self> {
        Self::new(histogram_options(row), &row.label_names())
    }

    fn show(&self, values: &[&str]) {
        let _ = self.with_label_values(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::metrics! {
        static TABLE;

        TRIES: IntCounterVec = "table_tries_total", "Tries.",
            labels: &[Label::of("kind", &["a", "b"]), Label::of("outcome", &["good", "bad"])];

        BY_NAME: IntCounterVec = "table_by_name_total", "By a name that only run time knows.",
            labels: &[Label::open("name")];

        WAITING: IntGauge = "table_waiting", "What waits.", start: Start::Known;

        WORK_SECONDS: Histogram = "table_work_seconds", "Seconds of work.", buckets: &[0.1, 1.0];
    }

    #[test]
    fn a_table_starts_at_zero_where_its_values_are_known() {
        for metric in TABLE {
            metric.start();
        }
        let text = crate::metrics::render();
        for line in [
            "# HELP table_tries_total Tries.",
            r#"table_tries_total{kind="a",outcome="bad"} 0"#,
            r#"table_tries_total{kind="b",outcome="good"} 0"#,
            r#"table_work_seconds_bucket{le="0.1"} 0"#,
        ] {
            assert!(text.lines().any(|l| l == line), "no `{line}` in\n{text}");
        }
        assert!(!text.contains("table_by_name_total") && !text.contains("table_waiting"));
        assert!(WAITING.used().is_none(), "not known yet");
        WAITING.set(3);
        assert_eq!(WAITING.used().map(IntGauge::get), Some(3));
    }
}
