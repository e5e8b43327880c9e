//! Keeps a command away from the wrong account. The operator states the mode. Before any
//! request, the key must be of that mode. Live mode needs a confirmation.

use serde::Deserialize;
use shared::settings::{SettingError, Settings};
use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
};
use stripe_api::{Api, ApiError, Form, KeyMode};

const KEY: &str = "STRIPE_SECRET_KEY";

/// Wrong arguments that clap cannot detect. Exit code 2.
#[derive(Debug)]
pub struct ArgumentError(pub String);

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ArgumentError {}

/// The mode in text output and in `--json`.
#[must_use]
pub fn mode_name(mode: KeyMode) -> &'static str {
    match mode {
        KeyMode::Test => "test",
        KeyMode::Live => "live",
    }
}

/// Creates a client of Stripe's API if the key is of the stated mode. Sends no request.
///
/// # Errors
/// If there is no key, or the key is of the other mode.
pub fn client(settings: &Settings, stated: KeyMode) -> Result<Api, SettingError> {
    client_of(settings, stated, &format!("the command has --{}", mode_name(stated)))
}

/// Creates a client for test clocks if the key is of test mode. Sends no request.
///
/// # Errors
/// If there is no key, or the key is of live mode.
pub fn test_client(settings: &Settings) -> Result<Api, SettingError> {
    client_of(settings, KeyMode::Test, "test clocks exist only in test mode")
}

fn client_of(settings: &Settings, mode: KeyMode, because: &str) -> Result<Api, SettingError> {
    let Some(api) = Api::from_settings(settings)? else {
        let what = format!(
            "is not set; write a secret key sk_{0}_… or a restricted one rk_{0}_… (or {KEY}_FILE, the path of a file with the key)",
            mode_name(mode)
        );
        return Err(SettingError::new(KEY, what));
    };
    let wrong = |of: &str| SettingError::new(KEY, format!("is {of}, but {because}; no request was sent to Stripe"));
    match api.key_mode() {
        Some(of) if of == mode => Ok(api),
        Some(of) => Err(wrong(&format!("a key of {} mode", mode_name(of)))),
        None => Err(wrong("a key that does not say its mode, as sk_test_… does")),
    }
}

/// The Stripe account that the key belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeAccount {
    /// `acct_…`; `None` if the key may not read the account.
    pub id: Option<String>,
    /// The mode, which the operator stated and the key confirms.
    pub mode: KeyMode,
}

impl fmt::Display for StripeAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.as_deref().unwrap_or("unknown (the key may not read it)");
        write!(f, "account {id}, {} mode", mode_name(self.mode))
    }
}

/// Asks Stripe which account the key belongs to.
///
/// # Errors
/// Stripe's answer, if the request fails. A restricted key that may not read the account is no error.
pub async fn account(api: &Api, mode: KeyMode) -> Result<StripeAccount, ApiError> {
    #[derive(Deserialize)]
    struct AccountId {
        id: String,
    }
    let id = match api.get("/account", &Form::new()).await {
        Ok(answer) => Some(answer.json::<AccountId>()?.id),
        Err(ApiError::Denied { status: 403, .. }) => None,
        Err(error) => return Err(error),
    };
    Ok(StripeAccount { id, mode })
}

/// Checks that live mode can be confirmed: by `--yes` or on a terminal.
///
/// # Errors
/// If neither is there.
pub fn can_confirm(mode: KeyMode, yes: bool) -> Result<(), ArgumentError> {
    if mode == KeyMode::Test || yes || io::stdin().is_terminal() {
        return Ok(());
    }
    Err(ArgumentError(
        "--live asks for confirmation on the terminal; without a terminal, write --yes".to_owned(),
    ))
}

/// Asks on the terminal whether to apply. Test mode and `--yes` need no question.
///
/// # Errors
/// If the terminal cannot be read or written.
pub fn confirm(account: &StripeAccount, yes: bool) -> io::Result<bool> {
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
    fn a_key_of_the_other_mode_is_refused_and_not_shown() {
        for (key, stated, problem) in [
            ("sk_test_hush", KeyMode::Test, None),
            ("rk_live_hush", KeyMode::Live, None),
            (
                "sk_live_hush",
                KeyMode::Test,
                Some("is a key of live mode, but the command has --test"),
            ),
            (
                "rk_test_hush",
                KeyMode::Live,
                Some("is a key of test mode, but the command has --live"),
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
