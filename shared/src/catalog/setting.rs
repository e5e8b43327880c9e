//! Where the catalog is.

use super::{contents::Catalog, load::CatalogError};
use crate::settings::{Fallback, Group, Setting, Settings, Text};
use std::path::Path;

/// The catalog's file.
pub static CATALOG_FILE: Setting<Text> = Setting {
    name: "CATALOG_FILE",
    group: Group::Stripe,
    form: Text,
    default: Fallback::Value("deploy/catalog.toml"),
    meaning: "The path of the catalog: what is sold, what it gives, and how the Stripe account is set up. A worker \
              reads it at its start.",
};

impl Catalog {
    /// Reads and checks the file that [`CATALOG_FILE`] names.
    ///
    /// # Errors
    /// When the file cannot be read or the catalog cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, CatalogError> {
        let path = settings.get(&CATALOG_FILE).map_err(|error| CatalogError {
            path: String::new(),
            problem: error.to_string(),
        })?;
        Self::load(Path::new(&path))
    }
}
