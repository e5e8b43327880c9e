//! Settings: environment variables, read once at start.
//!
//! A [`Setting`] is one row of the table: its name, its default, what it allows
//! and what it means. It stands beside the code that reads it. A [`Program`] lists
//! its rows; `--help` and `docs/configure.md` are printed from that list. Each read
//! needs a row. A debug build also checks that the row is in the program's list.

mod environment;
mod error;
mod form;
mod help;
mod length;
mod program;
mod secret;
mod setting;

pub use environment::Settings;
pub use error::SettingError;
pub use form::{Length, Number, Parsed, SecretText, SettingForm, Text};
pub use length::{LENGTH_MAX, format_duration, parse_duration};
pub use program::Program;
pub use secret::Secret;
pub use setting::{DescribedSetting, Fallback, Group, Setting};
