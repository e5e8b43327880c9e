//! A setting: one row of the table.

use super::{error::SettingError, form::SettingForm};
use std::fmt;

/// A setting: a row of the table. `F` says how its text is read.
#[derive(Debug)]
pub struct Setting<F> {
    /// The environment variable.
    pub name: &'static str,
    /// Where it stands in `--help` and in the page.
    pub group: Group,
    /// What its text may be.
    pub form: F,
    /// Its default.
    pub default: Fallback,
    /// What it means, with its unit, in plain sentences.
    pub meaning: &'static str,
}

impl<F> Setting<F> {
    /// An error about this setting; `problem` says what is wrong and what to do.
    pub fn error(&self, problem: impl Into<String>) -> SettingError {
        SettingError::new(self.name, problem)
    }
}

/// The default of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The program does not start.
    Required,
    /// There is no value, and the function that needs it is off.
    None,
    /// The value of this text.
    Value(&'static str),
    /// A value that the program computes, in words.
    Computed(&'static str),
}

/// What a setting is about, in the order of `--help`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// The broker and its queues.
    RabbitMq,
    /// The database.
    PostgreSql,
    /// Stripe's API, its webhooks, and the catalog.
    Stripe,
    /// The HTTP listeners.
    Listeners,
    /// How a worker gathers and applies deliveries, and how a process stops.
    Work,
    /// What a worker fetches from Stripe by itself.
    Recovery,
    /// Logs and traces.
    Logs,
}

impl Group {
    /// All groups, in order.
    pub const ALL: [Self; 7] = [
        Self::RabbitMq,
        Self::PostgreSql,
        Self::Stripe,
        Self::Listeners,
        Self::Work,
        Self::Recovery,
        Self::Logs,
    ];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::RabbitMq => "RabbitMQ",
            Self::PostgreSql => "PostgreSQL",
            Self::Stripe => "Stripe and the catalog",
            Self::Listeners => "Listeners",
            Self::Work => "Batches, lanes and the end of a process",
            Self::Recovery => "Recovery of missed events",
            Self::Logs => "Logs and traces",
        }
    }
}

/// A setting of any form, as a row to print.
pub trait DescribedSetting: fmt::Debug + Sync {
    /// The environment variable.
    fn name(&self) -> &'static str;
    /// What it is about.
    fn group(&self) -> Group;
    /// Its default.
    fn default(&self) -> Fallback;
    /// What it means.
    fn meaning(&self) -> &'static str;
    /// What is allowed, in words; empty for any text.
    fn allowed(&self) -> String;
    /// Whether it is a secret, which may also come from the file that `NAME_FILE` names.
    fn is_secret(&self) -> bool;
    /// Whether its default is a value that it allows.
    ///
    /// # Errors
    /// With what is wrong with the default: a mistake in the code.
    fn check_default(&self) -> Result<(), String>;
}

impl<F: SettingForm + fmt::Debug + Sync> DescribedSetting for Setting<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn group(&self) -> Group {
        self.group
    }

    fn default(&self) -> Fallback {
        self.default
    }

    fn meaning(&self) -> &'static str {
        self.meaning
    }

    fn allowed(&self) -> String {
        self.form.allowed()
    }

    fn is_secret(&self) -> bool {
        F::IS_SECRET
    }

    fn check_default(&self) -> Result<(), String> {
        match self.default {
            Fallback::Value(text) => self.form.read(text).map(drop),
            _ => Ok(()),
        }
    }
}
