//! Reads and checks a catalog.

use super::{check::first_fault, contents::Catalog, place};
use std::path::Path;

/// A catalog that cannot be used: the file, the line and the reason.
#[derive(Debug, thiserror::Error)]
#[error("CATALOG_FILE: {path}: {problem}")]
pub struct CatalogError {
    pub(super) path: String,
    pub(super) problem: String,
}

impl Catalog {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// If the file cannot be read, or its text is no valid catalog.
    pub fn load(path: &Path) -> Result<Self, CatalogError> {
        let error = |problem: String| CatalogError {
            path: path.display().to_string(),
            problem,
        };
        let text = std::fs::read_to_string(path).map_err(|e| error(format!("cannot read the file: {e}")))?;
        Self::parse(&text).map_err(error)
    }

    /// Reads and checks a catalog's text.
    ///
    /// # Errors
    /// The first problem in the text, on one line, such as `line 12: unknown field …`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let catalog: Self = toml::from_str(text).map_err(|e| place::in_one_line(&e, text))?;
        match first_fault(&catalog) {
            Some(fault) => Err(format!("line {}: {}", fault.place.line(text), fault.problem)),
            None => Ok(catalog),
        }
    }
}
