//! The settings of the worker, read once at start.

use crate::{
    consume::tuning::{self, Tuning},
    read::{
        meaning::{EventScope, Mode},
        message::EventReader,
    },
    recovery::schedule::{self, Schedule},
    store::settings::{self as database, Database},
};
use shared::{
    broker::{self, Broker},
    catalog::{CATALOG_FILE, Catalog, CatalogError},
    http,
    settings::{Fallback, Group, Parsed, Program, SecretText, Setting, SettingError, Settings, Text},
    telemetry,
    token::{self, Token},
    topology::{self, Topology},
    trace,
};
use std::{str::FromStr as _, sync::Arc};
use stripe_api::{Api, KeyMode};

/// The address of the private listener.
pub static OPS_ADDR: Setting<Text> = Setting {
    name: "OPS_ADDR",
    group: Group::Listeners,
    form: Text,
    default: Fallback::Value("127.0.0.1:9102"),
    meaning: "Address and port of the private listener: /healthz, /readyz, /metrics, and the console.",
};
/// The token of the console.
pub static OPS_TOKEN: Setting<SecretText> = Setting {
    name: "OPS_TOKEN",
    group: Group::Listeners,
    form: token::FORM,
    default: Fallback::None,
    meaning: "Unlocks the console. Without it the console is off; health and metrics stay.",
};
/// The mode of the events that are applied.
pub static STRIPE_LIVEMODE: Setting<Parsed<Mode>> = Setting {
    name: "STRIPE_LIVEMODE",
    group: Group::Stripe,
    form: Parsed {
        read: |text| Mode::from_str(text).map_err(|problem| format!("'{text}' cannot be used: {problem}")),
        allowed: "any, live, test",
    },
    default: Fallback::Value("any"),
    meaning: "Which of Stripe's modes is applied. Events of the other mode are recorded as ignored.",
};

/// Every setting of the worker.
pub static PROGRAM: Program = Program {
    name: "worker",
    settings: &[
        &broker::AMQP_URL,
        &topology::QUEUE_NAMESPACE,
        &topology::RETRY_DELAYS,
        &database::DATABASE_URL,
        &database::DATABASE_POOL_SIZE,
        &database::STATEMENT_TIMEOUT,
        &database::LOCK_TIMEOUT,
        &STRIPE_LIVEMODE,
        &stripe_api::STRIPE_ACCOUNT,
        &stripe_api::STRIPE_SECRET_KEY,
        &stripe_api::STRIPE_API_BASE,
        &stripe_api::STRIPE_REQUESTS_PER_SECOND,
        &CATALOG_FILE,
        &OPS_ADDR,
        &OPS_TOKEN,
        &tuning::BATCH_SIZE,
        &tuning::BATCH_WAIT,
        &database::LANES,
        &tuning::PREFETCH,
        &http::DRAIN_TIMEOUT,
        &schedule::BACKFILL_INTERVAL,
        &schedule::RECONCILE_INTERVAL,
        &schedule::RECONCILE_SETTLE,
        &telemetry::LOG_FORMAT,
        &telemetry::RUST_LOG,
        &trace::OTEL_EXPORTER_OTLP_ENDPOINT,
        &trace::OTEL_SERVICE_NAME,
    ],
    notes: "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
};

/// Everything that `worker run` needs.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach the database.
    pub database: Database,
    /// How to reach RabbitMQ.
    pub broker: Broker,
    /// The queues.
    pub topology: Topology,
    /// The tiers, prices, packs and meters.
    pub catalog: Arc<Catalog>,
    /// Whose events are applied.
    pub scope: EventScope,
    /// Address of the private listener.
    pub ops_addr: String,
    /// The token of the console. Without it there is no console.
    pub ops_token: Option<Token>,
    /// Sizes of batches, numbers of lanes, and waits.
    pub tuning: Tuning,
    /// Stripe's API, if there is a key.
    pub stripe: Option<Api>,
    /// When recovery jobs run, if there is a key.
    pub recovery: Schedule,
}

/// The client of Stripe's API, if there is a key. It reads from the account of the events
/// that are applied.
///
/// # Errors
/// If a setting cannot be used, or the key is of another mode than the events that are
/// applied.
pub fn stripe(settings: &Settings, scope: &EventScope) -> Result<Option<Api>, SettingError> {
    let api = Api::from_settings(settings)?;
    let api = match (api, &scope.account) {
        (Some(api), Some(account)) => Some(api.on_account(account)?),
        (api, _) => api,
    };
    let other = match (scope.mode, api.as_ref().and_then(Api::key_mode)) {
        (Mode::Live, Some(KeyMode::Test)) => "test mode, and STRIPE_LIVEMODE is live",
        (Mode::Test, Some(KeyMode::Live)) => "live mode, and STRIPE_LIVEMODE is test",
        _ => return Ok(api),
    };
    Err(stripe_api::STRIPE_SECRET_KEY.error(format!(
        "is of {other}: with it, Stripe shows none of the subscriptions that are stored here"
    )))
}

/// Why the worker cannot start with its settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting cannot be used.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The catalog cannot be used.
    #[error(transparent)]
    Catalog(#[from] CatalogError),
}

impl Config {
    /// Reads all settings and the catalog.
    ///
    /// # Errors
    /// If a setting or the catalog cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let tuning = Tuning::from_settings(settings)?;
        let scope = scope(settings)?;
        Ok(Self {
            database: Database::from_settings(settings)?,
            broker: Broker::from_settings(settings, "tollbridge worker")?,
            topology: Topology::from_settings(settings)?,
            catalog: Arc::new(Catalog::from_settings(settings)?),
            ops_addr: settings.get(&OPS_ADDR)?,
            ops_token: Token::from_settings(settings, &OPS_TOKEN)?,
            tuning,
            stripe: stripe(settings, &scope)?,
            scope,
            recovery: Schedule::from_settings(settings)?,
        })
    }
}

fn scope(settings: &Settings) -> Result<EventScope, SettingError> {
    Ok(EventScope {
        mode: settings.get(&STRIPE_LIVEMODE)?,
        account: settings.find(&stripe_api::STRIPE_ACCOUNT)?,
    })
}

/// Reads only the settings that an [`EventReader`] needs.
///
/// # Errors
/// If a setting or the catalog cannot be used.
pub fn reader(settings: &Settings) -> Result<EventReader, ConfigError> {
    Ok(EventReader {
        catalog: Arc::new(Catalog::from_settings(settings)?),
        scope: scope(settings)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOG: (&str, &str) = (
        "CATALOG_FILE",
        concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/catalog.toml"),
    );
    const URL: (&str, &str) = ("DATABASE_URL", "postgres://localhost/x");

    fn config(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_settings(&Settings::from_pairs(pairs)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_worker_needs_only_a_database_and_a_catalog() {
        let missing = config(&[CATALOG]).expect_err("no database");
        assert!(missing.starts_with("DATABASE_URL: is not set"), "{missing}");
        let config = config(&[URL, CATALOG]).expect("defaults");
        assert_eq!(
            (config.scope.mode, config.ops_addr.as_str()),
            (Mode::Any, "127.0.0.1:9102")
        );
        assert!(config.stripe.is_none() && config.ops_token.is_none());
    }

    #[test]
    fn every_default_is_a_value_that_its_setting_allows() {
        for setting in PROGRAM.settings {
            assert_eq!(setting.check_default(), Ok(()), "{}", setting.name());
        }
    }

    #[test]
    fn a_bad_ops_token_is_never_shown() {
        let good = config(&[URL, CATALOG, ("OPS_TOKEN", "hush-0123456789abcdef")]).expect("a token");
        assert!(good.ops_token.is_some() && !format!("{good:?}").contains("hush"));
        let error = config(&[URL, CATALOG, ("OPS_TOKEN", "hush")]).expect_err("too short");
        assert!(
            error.starts_with("OPS_TOKEN: must be at least 16") && !error.contains("hush"),
            "{error}"
        );
    }

    #[test]
    fn an_account_is_an_id_of_stripes() {
        let good = config(&[URL, CATALOG, ("STRIPE_ACCOUNT", "acct_1")]).expect("an account");
        assert_eq!(good.scope.account.as_deref(), Some("acct_1"));
        for bad in ["1", "cus_1", "acct_1,acct_2"] {
            let error = config(&[URL, CATALOG, ("STRIPE_ACCOUNT", bad)]).expect_err(bad);
            assert!(error.starts_with("STRIPE_ACCOUNT: "), "{error}");
        }
    }

    #[test]
    fn a_key_of_the_other_mode_is_refused() {
        let pairs = [
            URL,
            CATALOG,
            ("STRIPE_LIVEMODE", "live"),
            ("STRIPE_SECRET_KEY", "sk_test_hush"),
        ];
        let error = config(&pairs).expect_err("a key of test mode");
        assert!(error.starts_with("STRIPE_SECRET_KEY: is of test mode"), "{error}");
    }
}
