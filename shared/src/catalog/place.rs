//! Places in the file, so that an error found after parsing can name a line too.

use toml::de::{DeTable, DeValue};

/// One part of a path from the top of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PlaceStep<'a> {
    Key(&'a str),
    Index(usize),
}

/// The path to a value, such as the `rank` of the second `[[tier]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FilePlace<'a>(Vec<PlaceStep<'a>>);

impl<'a> FilePlace<'a> {
    /// The table `[name]`.
    pub(super) fn table(name: &'a str) -> Self {
        Self(vec![PlaceStep::Key(name)])
    }

    /// One of the tables `[[name]]`; `index` counts from 0.
    pub(super) fn nth(name: &'a str, index: usize) -> Self {
        Self(vec![PlaceStep::Key(name), PlaceStep::Index(index)])
    }

    /// A key inside this value.
    pub(super) fn key(&self, key: &'a str) -> Self {
        let mut steps = self.0.clone();
        steps.push(PlaceStep::Key(key));
        Self(steps)
    }

    /// The line of the value, from 1. If the text lacks the value, the line of its table.
    pub(super) fn line(&self, text: &str) -> usize {
        let Ok(file) = DeTable::parse(text) else {
            return 1;
        };
        let (mut at, mut here) = (0, DeValue::Table(file.into_inner()));
        for step in &self.0 {
            let next = match (step, here) {
                (PlaceStep::Key(key), DeValue::Table(table)) => table
                    .into_iter()
                    .find(|(name, _)| name.as_ref() == *key)
                    .map(|(name, value)| (name.span().start, value)),
                (PlaceStep::Index(index), DeValue::Array(array)) => {
                    array.into_iter().nth(*index).map(|value| (value.span().start, value))
                }
                _ => None,
            };
            let Some((start, value)) = next else {
                break;
            };
            (at, here) = (start, value.into_inner());
        }
        line_of(text, at)
    }
}

/// The line of the byte at the offset `at`, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

/// A parse error on one line. The parser itself draws the place over several lines.
pub(super) fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(1, |span| line_of(text, span.start));
    format!("line {line}: {}", error.message().replace('\n', ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
[[tier]]
name = \"free\"

[[tier]]
name = \"plus\"
limits = { tokens = 1,
  chars = 2 }

[portal]
headline = \"x\"
";

    #[test]
    fn a_place_has_the_line_of_its_value_or_else_the_line_of_its_table() {
        for (place, line) in [
            (FilePlace::nth("tier", 0), 1),
            (FilePlace::nth("tier", 1), 4),
            (FilePlace::nth("tier", 1).key("name"), 5),
            (FilePlace::nth("tier", 1).key("limits").key("chars"), 7),
            (FilePlace::nth("tier", 1).key("rank"), 4),
            (FilePlace::table("portal"), 9),
            (FilePlace::table("portal").key("headline"), 10),
            (FilePlace::table("webhook"), 1),
        ] {
            assert_eq!(place.line(TEXT), line, "{place:?}");
        }
    }
}
