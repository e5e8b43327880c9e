//! Parameters in Stripe's notation: `a[b][0]=c`, percent-encoded.

/// The parameters of a request, in order. Keys are in Stripe's notation, such as
/// `items[0][price]`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// No parameters.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same parameters and one more.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: &(impl ToString + ?Sized)) -> Self {
        self.push(key, value);
        self
    }

    /// Adds a parameter.
    pub fn push(&mut self, key: impl Into<String>, value: &(impl ToString + ?Sized)) {
        self.0.push((key.into(), value.to_string()));
    }

    /// All parameters, not encoded.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// The parameters as `application/x-www-form-urlencoded`, for a query or a body. `None`
    /// if there are none.
    #[must_use]
    pub fn encoded(&self) -> Option<String> {
        if self.0.is_empty() {
            return None;
        }
        let mut encoded = form_urlencoded::Serializer::new(String::new());
        Some(encoded.extend_pairs(&self.0).finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_keep_their_order_and_are_encoded() {
        assert_eq!(Form::new().encoded(), None);
        let form = Form::new()
            .with("limit", &100)
            .with("created[gte]", &1)
            .with("name", "a b&c=d");
        assert_eq!(
            form.encoded().as_deref(),
            Some("limit=100&created%5Bgte%5D=1&name=a+b%26c%3Dd")
        );
        assert_eq!(form.pairs().len(), 3);
    }
}
