//! Where in the file something is: an error that is found after reading has a line too.

use toml::de::{DeTable, DeValue};

/// One step of the way from the file's top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Index(usize),
}

/// The way to a value, such as the `rank` of the second `[[tier]]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place<'a>(Vec<Step<'a>>);

impl<'a> Place<'a> {
    /// A table of the file, `[name]`.
    pub(super) fn table(name: &'a str) -> Self {
        Self(vec![Step::Key(name)])
    }

    /// One of several tables, `[[name]]`.
    pub(super) fn nth(name: &'a str, index: usize) -> Self {
        Self(vec![Step::Key(name), Step::Index(index)])
    }

    /// A key within it.
    pub(super) fn key(&self, key: &'a str) -> Self {
        let mut steps = self.0.clone();
        steps.push(Step::Key(key));
        Self(steps)
    }

    /// The line it is on; of what is not written, that of the table which lacks it.
    pub(super) fn line(&self, text: &str) -> usize {
        let Ok(file) = DeTable::parse(text) else {
            return 1;
        };
        let (mut at, mut here) = (0, DeValue::Table(file.into_inner()));
        for step in &self.0 {
            let next = match (step, here) {
                (Step::Key(key), DeValue::Table(table)) => table
                    .into_iter()
                    .find(|(name, _)| name.as_ref() == *key)
                    // An array of tables is where its table is.
                    .map(|(name, value)| (name.span().start, value)),
                (Step::Index(index), DeValue::Array(array)) => {
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

/// The line of a byte, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

/// The parser's own way of writing an error draws the place over several lines.
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
    fn a_place_has_the_line_it_is_written_on_or_that_of_the_table_which_lacks_it() {
        for (place, line) in [
            (Place::nth("tier", 0), 1),
            (Place::nth("tier", 1), 4),
            (Place::nth("tier", 1).key("name"), 5),
            (Place::nth("tier", 1).key("limits").key("chars"), 7),
            (Place::nth("tier", 1).key("rank"), 4),
            (Place::table("portal"), 9),
            (Place::table("portal").key("headline"), 10),
            (Place::table("webhook"), 1),
        ] {
            assert_eq!(place.line(TEXT), line, "{place:?}");
        }
    }
}
