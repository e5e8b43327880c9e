//! Arguments that several commands share.

use clap::Args;
use stripe_api::KeyMode;

#[derive(Debug, Clone, Copy, Args)]
#[group(required = true, multiple = false)]
pub(super) struct ModeArgs {
    /// Require a key of test mode
    #[arg(long)]
    test: bool,
    /// Require a key of live mode
    #[arg(long)]
    live: bool,
}

impl ModeArgs {
    /// The mode that the operator states.
    pub(super) fn stated(self) -> KeyMode {
        if self.live { KeyMode::Live } else { KeyMode::Test }
    }
}

#[derive(Debug, Default, Args)]
pub(super) struct ReplaceArgs {
    /// Replace this price by a new one if Stripe cannot change it, and archive it; may be repeated
    #[arg(long = "replace", value_name = "LOOKUP_KEY")]
    pub(super) lookup_keys: Vec<String>,
}
