//! Why a setting cannot be used.

/// A setting that is missing or that cannot be used. Never has the value of a secret.
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
