//! How to reach Stripe's API.

use crate::path::is_id;
use shared::settings::{Fallback, Group, Number, Parsed, SecretText, Setting};

/// The key for Stripe's API.
pub static STRIPE_SECRET_KEY: Setting<SecretText> = Setting {
    name: "STRIPE_SECRET_KEY",
    group: Group::Stripe,
    form: SecretText("sk_test_..., sk_live_..., or a restricted rk_..."),
    default: Fallback::None,
    meaning: "The key for Stripe's API. A worker asks for what events leave out and for events that were missed; its \
              key may be restricted to read checkout sessions, subscriptions and events, and its mode must be that \
              of STRIPE_LIVEMODE. Without a key a worker never calls Stripe. provision needs a key for every command \
              but check.",
};
/// The connected account whose events are applied.
pub static STRIPE_ACCOUNT: Setting<Parsed<String>> = Setting {
    name: "STRIPE_ACCOUNT",
    group: Group::Stripe,
    form: Parsed {
        read: account,
        allowed: "acct_...",
    },
    default: Fallback::None,
    meaning: "The connected account (Stripe Connect) whose events are applied, and which a worker asks. Without it, \
              only events of no connected account are applied. Other events are recorded as ignored.",
};
/// The URL of Stripe's API.
pub static STRIPE_API_BASE: Setting<Parsed<String>> = Setting {
    name: "STRIPE_API_BASE",
    group: Group::Stripe,
    form: Parsed {
        read: base,
        allowed: "an https:// or http:// URL",
    },
    default: Fallback::Value("https://api.stripe.com/"),
    meaning: "The URL of Stripe's API; another one is for tests against a stand-in.",
};
/// The limit of requests per second.
pub static STRIPE_REQUESTS_PER_SECOND: Setting<Number> = Setting {
    name: "STRIPE_REQUESTS_PER_SECOND",
    group: Group::Stripe,
    form: Number { min: 1, max: 100 },
    default: Fallback::Value("20"),
    meaning: "Requests to Stripe a second, at most, by each process. Stripe takes 100 in live mode and 25 in test \
              mode, those of your application included.",
};

/// The URL with one slash at its end, because the client appends paths as they are.
fn base(text: &str) -> Result<String, String> {
    if text.starts_with("https://") || text.starts_with("http://") {
        Ok(format!("{}/", text.trim_end_matches('/')))
    } else {
        Err(format!("'{text}' does not start with https:// or http://"))
    }
}

fn account(text: &str) -> Result<String, String> {
    if text.starts_with("acct_") && is_id(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("'{text}' is not the id of an account; it begins with acct_"))
    }
}
