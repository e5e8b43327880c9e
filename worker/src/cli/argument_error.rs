//! Wrong arguments that clap cannot detect by itself.

use clap::error::ErrorKind;

/// The arguments of a subcommand do not fit together.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ArgumentError {
    /// The names of the subcommand, such as `dead-letters`, `replay`.
    pub(super) subcommand: &'static [&'static str],
    /// What is wrong, and what to do.
    pub(super) message: &'static str,
}

impl ArgumentError {
    /// clap's error with the usage of the subcommand. `command` is the whole program.
    pub(super) fn with_usage(&self, mut command: clap::Command) -> clap::Error {
        command.build();
        let mut current = &mut command;
        for name in self.subcommand {
            current = current
                .find_subcommand_mut(name)
                .expect("a usage error names a subcommand that exists");
        }
        current.error(ErrorKind::MissingRequiredArgument, self.message)
    }
}
