//! Structured logs on standard error. They have ids, types, counts, times and reasons.
//! They never have payloads, secrets or signature headers.

use crate::settings::{Fallback, Group, Parsed, Setting, SettingError, Settings, Text};
use tracing_subscriber::EnvFilter;

/// How log lines are written.
pub static LOG_FORMAT: Setting<Parsed<LogFormat>> = Setting {
    name: "LOG_FORMAT",
    group: Group::Logs,
    form: Parsed {
        read: log_format,
        allowed: "text, json",
    },
    default: Fallback::Value("text"),
    meaning: "How log lines are written: text for people, json for machines.",
};
/// Which log lines are written.
pub static RUST_LOG: Setting<Text> = Setting {
    name: "RUST_LOG",
    group: Group::Logs,
    form: Text,
    default: Fallback::Value("info"),
    meaning: "Which log lines are written: a level, or a filter such as warn,worker=debug. Lines of lapin and \
              async-stripe are always off, since they may hold payloads.",
};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        other => Err(format!("'{other}' is not known; write text or json")),
    }
}

/// Starts logging by [`LOG_FORMAT`] and [`RUST_LOG`].
///
/// # Errors
/// If one of them cannot be used.
pub fn init(settings: &Settings) -> Result<(), SettingError> {
    // lapin logs a returned message with its payload; the supervisor logs lost connections
    // with their role. The caller of async-stripe (crate `stripe`) logs a failed request
    // with its event.
    let filter = format!("{},lapin=off,stripe=off", settings.get(&RUST_LOG)?);
    let filter = EnvFilter::try_new(filter).map_err(|e| RUST_LOG.error(format!("is not a filter: {e}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match settings.get(&LOG_FORMAT)? {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}
