//! Which account and mode is meant: stated by the operator, checked against the
//! key before any call, and said before anything else.

use serde::Deserialize;
use shared::settings::{SettingError, Settings};
use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
};
use stripe_api::{Api, ApiError, Form, KeyMode};

const KEY: &str = "STRIPE_SECRET_KEY";

/// Wrong usage that clap cannot see: exit code 2.
#[derive(Debug)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// For people and in `--json`.
#[must_use]
pub fn word(mode: KeyMode) -> &'static str {
    match mode {
        KeyMode::Test => "test",
        KeyMode::Live => "live",
    }
}

/// A client, if the key is of the mode that was stated. Calls nobody.
///
/// # Errors
/// When there is no key, or one of the other mode.
pub fn client(settings: &Settings, stated: KeyMode) -> Result<Api, SettingError> {
    client_of(settings, stated, &format!("--{} was stated", word(stated)))
}

/// A client for test clocks, if the key is of test mode. Calls nobody.
///
/// # Errors
/// When there is no key, or one of live mode.
pub fn test_client(settings: &Settings) -> Result<Api, SettingError> {
    client_of(settings, KeyMode::Test, "test clocks are in test mode alone")
}

fn client_of(settings: &Settings, mode: KeyMode, because: &str) -> Result<Api, SettingError> {
    let Some(api) = Api::from_settings(settings)? else {
        let what = format!(
            "is not set; write a secret key sk_{0}_… or a restricted one rk_{0}_… (or {KEY}_FILE, the path of a file that holds it)",
            word(mode)
        );
        return Err(SettingError::new(KEY, what));
    };
    let wrong = |of: &str| SettingError::new(KEY, format!("is {of}, but {because}; nothing was asked of Stripe"));
    match api.key_mode() {
        Some(of) if of == mode => Ok(api),
        Some(of) => Err(wrong(&format!("a key of {} mode", word(of)))),
        None => Err(wrong("a key that does not say its mode, as sk_test_… does")),
    }
}

/// The account that the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `acct_…`; none if the key may not read it.
    pub id: Option<String>,
    /// As stated, and as the key says.
    pub mode: KeyMode,
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("unknown (the key may not read it)");
        write!(f, "account {id}, {} mode", word(self.mode))
    }
}

/// Asks whose key it is.
///
/// # Errors
/// What Stripe said; a restricted key that may not read the account is no error.
pub async fn account(api: &Api, mode: KeyMode) -> Result<Account, ApiError> {
    #[derive(Deserialize)]
    struct Read {
        id: String,
    }
    let id = match api.get("/account", &Form::new()).await {
        Ok(answer) => Some(answer.json::<Read>()?.id),
        Err(ApiError::Denied { status: 403, .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(Account { id, mode })
}

/// Whether somebody who can be asked is there, or need not be.
///
/// # Errors
/// When live mode would have to be confirmed, and nobody can be asked.
pub fn can_confirm(mode: KeyMode, yes: bool) -> Result<(), Usage> {
    if mode == KeyMode::Test || yes || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(Usage(
        "--live asks for confirmation on the terminal; where there is none, write --yes".to_owned(),
    ))
}

/// Asks on the terminal, if money moves and `--yes` was not written.
///
/// # Errors
/// When the terminal is gone.
pub fn confirm(account: &Account, yes: bool) -> io::Result<bool> {
    if account.mode == KeyMode::Test || yes {
        return Ok(true);
    }
    let mut terminal = io::stderr();
    write!(terminal, "Apply this to {account}? Type yes: ")?;
    terminal.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_of_another_mode_than_stated_is_refused_and_not_shown() {
        for (key, stated, problem) in [
            ("sk_test_hush", KeyMode::Test, None),
            ("rk_live_hush", KeyMode::Live, None),
            (
                "sk_live_hush",
                KeyMode::Test,
                Some("is a key of live mode, but --test was stated"),
            ),
            (
                "rk_test_hush",
                KeyMode::Live,
                Some("is a key of test mode, but --live was stated"),
            ),
            ("sk_hush", KeyMode::Test, Some("is a key that does not say its mode")),
            ("", KeyMode::Live, Some("is not set; write a secret key sk_live_")),
        ] {
            let error = client(&Settings::from_pairs(&[(KEY, key)]), stated)
                .err()
                .map(|e| e.to_string());
            match (problem, error) {
                (None, None) => {}
                (Some(problem), Some(error)) => {
                    assert!(error.contains(problem) && !error.contains("hush"), "{error}");
                }
                (problem, error) => panic!("{key} {stated:?}: {problem:?}, {error:?}"),
            }
        }
    }
}
