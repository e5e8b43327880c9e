//! What a form or a query holds. Names may repeat, as those of check boxes do.

/// The fields, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded`; what is not UTF-8 is replaced, and
    /// so is what PostgreSQL takes in no text.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let pairs = form_urlencoded::parse(bytes).into_owned();
        Self(
            pairs
                .map(|(name, value)| (name, value.replace('\0', "\u{fffd}")))
                .collect(),
        )
    }

    /// The first field of a name, without the space around it; an empty one counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).map(str::trim).find(|value| !value.is_empty())
    }

    /// All fields of a name but empty ones, as they are.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let named = self.0.iter().filter(move |(own, _)| own == name);
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }
}

/// A path with a query.
pub(super) fn link<K: AsRef<str>, V: AsRef<str>>(path: &str, query: impl IntoIterator<Item = (K, V)>) -> String {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(query)
        .finish();
    if query.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{query}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_order_and_empty_ones_are_none() {
        let fields = Fields::read(b"id=a%2Fb&type=&id=+c%26d+&x&=y&reason=%ff%00");
        assert_eq!(fields.all("id").collect::<Vec<_>>(), ["a/b", " c&d "]);
        assert_eq!(fields.get("id"), Some("a/b"));
        assert_eq!(
            (fields.get("type"), fields.get("x"), fields.get("none")),
            (None, None, None)
        );
        assert_eq!(fields.get("reason"), Some("\u{fffd}\u{fffd}"));
        assert_eq!(link("/p", [("id", "a/b")]), "/p?id=a%2Fb");
        assert_eq!(link("/p", [("", ""); 0]), "/p");
    }
}
