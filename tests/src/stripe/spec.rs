//! Stripe's own OpenAPI document, as `deploy/local/stripe_document.py` writes it: the operations with the
//! schemas of their parameters and answers.

use crate::harness::installed;
use anyhow::{Result, anyhow};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The document. A line is parsed at its first use.
#[derive(Debug)]
pub(super) struct Spec {
    /// The JSON of each line by its key, such as `get /v1/products` or `schema product`.
    lines: HashMap<&'static str, &'static str>,
    parsed: Mutex<HashMap<&'static str, &'static Value>>,
    paths: Vec<&'static str>,
}

/// A path of the document that matches the path of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MatchedPath {
    /// The path in the document, such as `/v1/products/{id}`.
    pub(super) template: &'static str,
    /// The values of its placeholders, in order.
    pub(super) captured: Vec<String>,
}

impl Spec {
    /// The document; each process reads it once.
    ///
    /// # Errors
    /// When it is not installed: a test without the document fails, it is not skipped.
    pub(super) fn get() -> Result<&'static Self> {
        static SPEC: OnceLock<Result<Spec, String>> = OnceLock::new();
        let spec = SPEC.get_or_init(|| Self::load().map_err(|error| format!("{error:#}")));
        spec.as_ref()
            .map_err(|error| anyhow!("no OpenAPI document of Stripe's: {error}"))
    }

    fn load() -> Result<Self> {
        let [path] = installed("stripe-document")?;
        // The text and everything parsed from it live as long as the process.
        let text: &'static str = Box::leak(std::fs::read_to_string(path)?.into_boxed_str());
        let lines: HashMap<_, _> = text.lines().filter_map(|line| line.split_once('\t')).collect();
        let mut paths: Vec<_> = lines.keys().filter_map(|key| key.split_once(' ')).collect();
        paths.retain(|(kind, _)| *kind != "schema");
        let mut paths: Vec<_> = paths.into_iter().map(|(_, path)| path).collect();
        // If two paths match, the one with fewer placeholders counts: `search` before `{id}`.
        paths.sort_by_key(|path| (path.matches('{').count(), *path));
        paths.dedup();
        Ok(Self {
            lines,
            parsed: Mutex::default(),
            paths,
        })
    }

    fn line(&self, key: &str) -> Option<&'static Value> {
        let (key, json) = self.lines.get_key_value(key)?;
        let mut parsed = self.parsed.lock().unwrap_or_else(PoisonError::into_inner);
        let parse = || -> &'static Value { Box::leak(Box::new(serde_json::from_str(json).unwrap_or_default())) };
        Some(parsed.entry(*key).or_insert_with(parse))
    }

    /// The path of the document that matches `path`.
    pub(super) fn find(&self, path: &str) -> Option<MatchedPath> {
        let asked: Vec<&str> = path.split('/').collect();
        self.paths.iter().find_map(|template| {
            let parts: Vec<&str> = template.split('/').collect();
            let is_place = |part: &str| part.starts_with('{');
            let fits = |(part, asked): (&&str, &&str)| part == asked || (is_place(part) && !asked.is_empty());
            let is_it = parts.len() == asked.len() && parts.iter().zip(&asked).all(fits);
            let places = parts.iter().zip(&asked).filter(|(part, _)| is_place(part));
            is_it.then(|| MatchedPath {
                template,
                captured: places.map(|(_, asked)| decoded(asked)).collect(),
            })
        })
    }

    /// The schema of the parameters of `method` (in lower case) at `template`. Its key `answer` has the
    /// schema of the answer.
    pub(super) fn operation(&self, method: &str, template: &str) -> Option<&'static Value> {
        self.line(&format!("{method} {template}"))
    }

    /// Follows a `$ref` of `schema`.
    pub(super) fn resolve(&self, schema: &'static Value) -> &'static Value {
        let name = schema["$ref"]
            .as_str()
            .and_then(|path| path.strip_prefix("#/components/schemas/"));
        name.and_then(|name| self.line(&format!("schema {name}")))
            .unwrap_or(schema)
    }
}

/// Decodes the percent signs in a segment of a path.
fn decoded(segment: &str) -> String {
    let text = segment.replace('+', "%2B");
    let mut pairs = form_urlencoded::parse(text.as_bytes());
    pairs.next().map_or_else(String::new, |(key, _)| key.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;

    #[test]
    fn a_path_is_found_with_the_values_of_its_placeholders() -> Result<()> {
        let spec = Spec::get()?;
        for (path, template, captured) in [
            ("/v1/products", "/v1/products", &[][..]),
            ("/v1/products/search", "/v1/products/search", &[]),
            ("/v1/products/prod%2F1", "/v1/products/{id}", &["prod/1"]),
            (
                "/v1/checkout/sessions/cs_1/line_items",
                "/v1/checkout/sessions/{session}/line_items",
                &["cs_1"],
            ),
        ] {
            let found = spec.find(path).ok_or_else(|| anyhow!("{path}"))?;
            ensure!(found.template == template && found.captured == captured, "{found:?}");
        }
        for path in ["/v1/products/", "/v1/nothing", "/products", "/v1/products/a/b/c"] {
            ensure!(spec.find(path).is_none(), "{path}");
        }
        ensure!(spec.operation("post", "/v1/products").is_some());
        ensure!(spec.operation("delete", "/v1/prices/{price}").is_none());
        Ok(())
    }
}
