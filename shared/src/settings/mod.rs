//! Settings: environment variables, read once at start.
//!
//! A [`Setting`] is one row of the table: its name, its default, what it allows
//! and what it means. It stands beside the code that reads it. A [`Program`] lists
//! its rows; `--help` and `docs/configure.md` are printed from that list. Nothing
//! is read without a row, and in a debug build not without a row in the program's
//! list, so no setting is left out of the documents.

mod form;
mod help;
mod length;

pub use form::{Form, Length, Number, Parsed, SecretText, Text};
pub use length::{LENGTH_MAX, format_duration, parse_duration};

use std::{collections::BTreeMap, fmt};

/// A setting that is missing or that cannot be used. Never holds the value of
/// a secret.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct SettingError {
    name: String,
    problem: String,
}

impl SettingError {
    /// An error about the variable `name`; `problem` says what is wrong and
    /// what to do.
    pub fn new(name: &str, problem: impl Into<String>) -> Self {
        Self {
            name: name.to_owned(),
            problem: problem.into(),
        }
    }
}

/// A value that must not appear in logs: its `Debug` shows no content.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The secret itself; the name makes uses easy to find.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A setting: a row of the table. `F` says how its text is read.
#[derive(Debug)]
pub struct Setting<F> {
    /// The environment variable.
    pub name: &'static str,
    /// Where it stands in `--help` and in the page.
    pub group: Group,
    /// What its text may be.
    pub form: F,
    /// What holds without it.
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

/// What holds if a setting is not set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The program does not start.
    Required,
    /// There is no such value, and what needs it is off.
    None,
    /// The same as this text.
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
pub trait Described: fmt::Debug + Sync {
    /// The environment variable.
    fn name(&self) -> &'static str;
    /// What it is about.
    fn group(&self) -> Group;
    /// What holds without it.
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

impl<F: Form + fmt::Debug + Sync> Described for Setting<F> {
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

/// A program and every setting that it reads.
#[derive(Debug)]
pub struct Program {
    /// The name of its binary.
    pub name: &'static str,
    /// Its settings; within a group, in the order in which they are printed.
    pub settings: &'static [&'static dyn Described],
    /// Further lines for the end of `--help`.
    pub notes: &'static str,
}

/// The environment of the process, or a map that stands for it in tests.
#[derive(Debug)]
pub struct Settings {
    values: BTreeMap<String, String>,
    program: Option<&'static Program>,
}

impl Settings {
    /// The environment of this process, from which `program` reads what it lists.
    #[must_use]
    pub fn of(program: &'static Program) -> Self {
        Self {
            program: Some(program),
            ..Self::from_process()
        }
    }

    /// The environment of this process; a variable that is not UTF-8 counts as
    /// not set.
    #[must_use]
    pub fn from_process() -> Self {
        Self {
            values: std::env::vars_os()
                .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
                .collect(),
            program: None,
        }
    }

    /// Settings given as pairs.
    #[must_use]
    pub fn from_pairs(pairs: &[(&str, &str)]) -> Self {
        Self {
            values: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            program: None,
        }
    }

    /// The value of a setting, or its default.
    ///
    /// # Errors
    /// When the value is not allowed, or when there is neither a value nor a default.
    pub fn get<F: Form>(&self, setting: &Setting<F>) -> Result<F::Value, SettingError> {
        match (self.find(setting)?, setting.default) {
            (Some(value), _) => Ok(value),
            (None, Fallback::Value(text)) => setting.form.read(text).map_err(|problem| setting.error(problem)),
            (None, _) => {
                let file = if F::IS_SECRET {
                    format!(" (or {}_FILE, the path of a file that holds it)", setting.name)
                } else {
                    String::new()
                };
                Err(setting.error(format!("is not set; write {}{file}", setting.form.allowed())))
            }
        }
    }

    /// The value of a setting, if it is set; its default does not count.
    ///
    /// # Errors
    /// When the value is not allowed.
    pub fn find<F: Form>(&self, setting: &Setting<F>) -> Result<Option<F::Value>, SettingError> {
        debug_assert!(
            self.program.is_none_or(|program| program.lists(setting.name)),
            "{} is not in the program's list of settings",
            setting.name
        );
        let read = |text: &str| setting.form.read(text).map_err(|problem| setting.error(problem));
        if F::IS_SECRET {
            self.secret(setting.name)?.map(|text| read(&text)).transpose()
        } else {
            self.variable(setting.name).map(read).transpose()
        }
    }

    /// A variable that is not a setting of ours, such as `USER` or `TEST_SEED`:
    /// a setting is read by its row. An empty variable counts as not set.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        let text = self.values.get(name)?.trim();
        (!text.is_empty()).then_some(text)
    }

    /// The variable itself, or the content of the file that `NAME_FILE` points
    /// to. Both at once are refused.
    fn secret(&self, name: &str) -> Result<Option<String>, SettingError> {
        let file_name = format!("{name}_FILE");
        match (self.variable(name), self.variable(&file_name)) {
            (Some(_), Some(_)) => Err(SettingError::new(
                name,
                format!("is set, and {file_name} too; keep one of them"),
            )),
            (Some(value), None) => Ok(Some(value.to_owned())),
            (None, None) => Ok(None),
            (None, Some(path)) => {
                let content = std::fs::read_to_string(path)
                    .map_err(|e| SettingError::new(&file_name, format!("cannot read {path}: {e}")))?;
                match content.trim() {
                    "" => Err(SettingError::new(&file_name, format!("{path} is empty"))),
                    value => Ok(Some(value.to_owned())),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static LANES: Setting<Number> = Setting {
        name: "LANES",
        group: Group::Work,
        form: Number { min: 1, max: 64 },
        default: Fallback::Value("4"),
        meaning: "Batches side by side.",
    };
    static TOKEN: Setting<SecretText> = Setting {
        name: "TOKEN",
        group: Group::Listeners,
        form: SecretText("a token such as abc"),
        default: Fallback::Required,
        meaning: "A token.",
    };

    #[test]
    fn a_setting_is_its_text_or_its_default() {
        assert_eq!(Settings::from_pairs(&[]).get(&LANES).expect("a default"), 4);
        assert_eq!(Settings::from_pairs(&[("LANES", " 8 ")]).get(&LANES).expect("8"), 8);
        let empty = Settings::from_pairs(&[("LANES", "")]);
        assert_eq!(empty.find(&LANES).expect("an empty one counts as not set"), None);
    }

    #[test]
    fn an_error_names_the_variable_and_never_a_secret() {
        let settings = Settings::from_pairs(&[("LANES", "0"), ("TOKEN", "hush"), ("TOKEN_FILE", "/nowhere")]);
        assert_eq!(
            settings.get(&LANES).expect_err("0 lanes").to_string(),
            "LANES: 0 is out of range; allowed is 1 to 64"
        );
        let both = settings.get(&TOKEN).expect_err("both set").to_string();
        assert!(both.contains("TOKEN_FILE") && !both.contains("hush"), "{both}");
        let missing = Settings::from_pairs(&[]).get(&TOKEN).expect_err("missing").to_string();
        assert_eq!(
            missing,
            "TOKEN: is not set; write a token such as abc (or TOKEN_FILE, the path of a file that holds it)"
        );
        assert_eq!(format!("{:?}", Secret::new("hush")), "[secret]");
    }
}
