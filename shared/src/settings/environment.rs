//! The environment, from which settings are read.

use super::{
    error::SettingError,
    form::SettingForm,
    program::Program,
    setting::{Fallback, Setting},
};
use std::collections::BTreeMap;

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
    pub fn get<F: SettingForm>(&self, setting: &Setting<F>) -> Result<F::Value, SettingError> {
        match (self.find(setting)?, setting.default) {
            (Some(value), _) => Ok(value),
            (None, Fallback::Value(text)) => setting.form.read(text).map_err(|problem| setting.error(problem)),
            (None, _) => {
                let file = if F::IS_SECRET {
                    format!(" (or {}_FILE, the path of a file with it)", setting.name)
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
    pub fn find<F: SettingForm>(&self, setting: &Setting<F>) -> Result<Option<F::Value>, SettingError> {
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

    /// A variable that is not a setting, such as `USER` or `TEST_SEED`. A setting is read by its
    /// row. An empty variable counts as not set.
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
    use crate::settings::{Group, Number, Secret, SecretText};

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
            "TOKEN: is not set; write a token such as abc (or TOKEN_FILE, the path of a file with it)"
        );
        assert_eq!(format!("{:?}", Secret::new("hush")), "[secret]");
    }
}
