//! Structured logs on standard error. What they may hold: ids, types, counts,
//! times, reasons. Never: payloads, secrets, signature headers.

use crate::settings::{SettingError, Settings};
use tracing_subscriber::EnvFilter;

/// Starts logging as `LOG_FORMAT` (`text` or `json`) and `RUST_LOG` say.
pub fn init(settings: &Settings) -> Result<(), SettingError> {
    // lapin writes a returned message whole, with its payload; and what it says of lost
    // connections the supervisor says too, with the role. What async-stripe (its crate is `stripe`)
    // says of a failed request, who asked says too, with the event.
    let filter = EnvFilter::try_new(format!(
        "{},lapin=off,stripe=off",
        settings.text("RUST_LOG").unwrap_or("info")
    ))
    .map_err(|e| SettingError::new("RUST_LOG", format!("is not a filter: {e}")))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false);
    match settings.text("LOG_FORMAT").unwrap_or("text") {
        "text" => builder.init(),
        "json" => builder.json().flatten_event(true).init(),
        other => {
            return Err(SettingError::new(
                "LOG_FORMAT",
                format!("'{other}' is not known; use text or json"),
            ));
        }
    }
    Ok(())
}
