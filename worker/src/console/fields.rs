//! The fields of a form or a query. A name may repeat, as for check boxes.

/// The fields, in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FormFields(Vec<(String, String)>);

impl FormFields {
    /// Reads `application/x-www-form-urlencoded`. Replaces invalid UTF-8, and NUL
    /// characters, which PostgreSQL allows in no text.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).into_owned();
        Self(
            pairs
                .map(|(name, value)| (name, value.replace('\0', "\u{fffd}")))
                .collect(),
        )
    }

    /// The first field of a name, trimmed. An empty field counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// All fields of a name that are not empty, untrimmed.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(key, _)| key == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_empty_ones_are_absent() {
        let fields = FormFields::read(b"id=a%2Fb&type=&id=+c%26d+&x&=y&reason=%ff%00");
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["a/b", " c&d "]);
        assert_eq!(fields.get("id"), Some("a/b"));
        assert_eq!(
            (fields.get("type"), fields.get("x"), fields.get("none")),
            (None, None, None)
        );
        assert_eq!(fields.get("reason"), Some("\u{fffd}\u{fffd}"));
    }
}
