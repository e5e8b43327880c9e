//! The worker's settings, read once at start.

use crate::{
    read::{meaning::Mode, prepared::EventReader},
    recovery::{backfill, reconcile},
};
use shared::{
    broker::Broker,
    catalog::Catalog,
    settings::{Secret, SettingError, Settings},
    token::Token,
    topology::Topology,
};
use std::{sync::Arc, time::Duration};
use stripe_api::{Api, KeyMode};

/// For `--help`: every setting, its default and its meaning.
pub const HELP: &str = "\
Settings (environment; every secret also as NAME_FILE, the path of a file that holds it):
  DATABASE_URL          required    PostgreSQL 15 or later
  AMQP_URL              amqp://guest:guest@127.0.0.1:5672/%2f
                                    RabbitMQ 3.10 to 4.x; several with commas are nodes of one cluster
  QUEUE_NAMESPACE       billing     prefix of every queue
  STRIPE_LIVEMODE       any         live or test: events of the other mode are recorded as ignored
  STRIPE_SECRET_KEY     none        sk_... or a restricted rk_... that may read checkout sessions,
                                    subscriptions and events: asked for what events leave out or never
                                    told; without it the worker never calls Stripe
  STRIPE_API_BASE       https://api.stripe.com/    another URL, for tests against a stand-in
  STRIPE_REQUESTS_PER_SECOND    20    how often Stripe is asked at the most, 1 to 100
  BACKFILL_INTERVAL     1h          how often undelivered events are fetched, or off
  RECONCILE_INTERVAL    1h          how often all subscriptions are compared with Stripe, or off
  RECONCILE_SETTLE      5s          how long an event may be under way before a difference counts
  CATALOG_FILE          deploy/catalog.toml
  OPS_ADDR              127.0.0.1:9102    private listener: health, metrics, console
  OPS_TOKEN             none        unlocks the console there; 16 characters or more, all visible ASCII;
                                    without it the console is off, health and metrics stay
  LOG_FORMAT            text        text or json
  RUST_LOG              info        filter of the logs; lapin's and async-stripe's are always off
  OTEL_EXPORTER_OTLP_ENDPOINT  none    an http:// collector of spans, such as http://127.0.0.1:4318
  BATCH_SIZE            200         events in one transaction at the most
  BATCH_WAIT            2ms         longest wait for a batch to fill
  LANES                 4           batches side by side
  PREFETCH              2 x BATCH_SIZE    deliveries that a lane holds at the most
  RETRY_DELAYS          2s,10s,1m,5m,30m,2h
                                    waits between tries; after the last one an event is dead
  DRAIN_TIMEOUT         20s         time to finish work under way after SIGTERM
  DATABASE_POOL_SIZE    LANES + 4   connections at the most
  STATEMENT_TIMEOUT     10s         PostgreSQL's statement_timeout
  LOCK_TIMEOUT          5s          PostgreSQL's lock_timeout

Memory: LANES x PREFETCH deliveries of ingest's BODY_LIMIT_BYTES at the most.
Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct Database {
    /// `DATABASE_URL`
    pub url: Secret,
    /// Connections at the most.
    pub pool_size: u32,
    /// PostgreSQL's `statement_timeout`.
    pub statement_timeout: Duration,
    /// PostgreSQL's `lock_timeout`.
    pub lock_timeout: Duration,
}

impl Database {
    /// Reads the settings of the database alone.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let lanes = lanes(settings)?;
        Ok(Self {
            url: settings.required_secret(
                "DATABASE_URL",
                "set it to a PostgreSQL URL such as postgres://user:password@host:5432/database",
            )?,
            pool_size: settings.number("DATABASE_POOL_SIZE", lanes + 4, lanes + 2..=1_000)?,
            statement_timeout: settings.duration("STATEMENT_TIMEOUT", Duration::from_secs(10))?,
            lock_timeout: settings.duration("LOCK_TIMEOUT", Duration::from_secs(5))?,
        })
    }
}

/// How deliveries are gathered and worked on.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Events in one transaction at the most.
    pub batch_size: usize,
    /// Longest wait for a batch to fill.
    pub batch_wait: Duration,
    /// Batches side by side.
    pub lanes: u32,
    /// Deliveries that a lane holds at the most.
    pub prefetch: u16,
    /// Time to finish work under way after the stop.
    pub drain_timeout: Duration,
}

/// Everything that `worker run` needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// How to reach the database.
    pub database: Database,
    /// How to reach RabbitMQ.
    pub broker: Broker,
    /// The queues.
    pub topology: Topology,
    /// What is sold.
    pub catalog: Arc<Catalog>,
    /// Which events are applied.
    pub mode: Mode,
    /// `OPS_ADDR`
    pub ops_addr: String,
    /// `OPS_TOKEN`, if there is to be a console.
    pub ops_token: Option<Token>,
    /// How deliveries are gathered and worked on.
    pub tuning: Tuning,
    /// `STRIPE_SECRET_KEY` and `STRIPE_API_BASE`, if there is a key.
    pub stripe: Option<Api>,
    /// When what was missed is fetched, if there is a key.
    pub recovery: Recovery,
}

/// When what was missed is fetched from Stripe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// From one backfill to the next; none: it does not happen by itself.
    pub backfill: Option<Duration>,
    /// From one reconcile to the next; none: it does not happen by itself.
    pub reconcile: Option<Duration>,
    /// How long an event may be under way before a difference counts.
    pub settle: Duration,
}

impl Recovery {
    /// Reads the settings of recovery alone.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let interval = |name| match settings.text(name) {
            Some("off") => Ok(None),
            _ => settings.duration(name, Duration::from_hours(1)).map(Some),
        };
        Ok(Self {
            backfill: interval("BACKFILL_INTERVAL")?,
            reconcile: interval("RECONCILE_INTERVAL")?,
            settle: settings.duration("RECONCILE_SETTLE", Duration::from_secs(5))?,
        })
    }
}

impl Recovery {
    /// The jobs that are done by themselves.
    #[must_use]
    pub fn jobs(self) -> Vec<&'static str> {
        let jobs = [(self.backfill, backfill::JOB), (self.reconcile, reconcile::JOB)];
        let on = jobs.into_iter().filter(|(interval, _)| interval.is_some());
        on.map(|(_, job)| job).collect()
    }
}

/// Stripe's API, if there is a key; of the mode whose events are applied.
pub fn stripe(settings: &Settings, mode: Mode) -> Result<Option<Api>, SettingError> {
    let api = Api::from_settings(settings)?;
    let other = match (mode, api.as_ref().and_then(Api::key_mode)) {
        (Mode::Live, Some(KeyMode::Test)) => "test mode, and STRIPE_LIVEMODE is live",
        (Mode::Test, Some(KeyMode::Live)) => "live mode, and STRIPE_LIVEMODE is test",
        _ => return Ok(api),
    };
    Err(SettingError::new(
        "STRIPE_SECRET_KEY",
        format!("is of {other}: it knows none of the subscriptions that are kept here"),
    ))
}

/// A setting or the catalog that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A setting.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] shared::catalog::CatalogError),
}

impl Config {
    /// Reads all settings and the catalog.
    pub fn from_settings(settings: &Settings) -> Result<Self, ConfigError> {
        let batch_size = settings.number("BATCH_SIZE", 200, 1..=5_000)?;
        let prefetch = settings.number("PREFETCH", 2 * batch_size, 1..=u32::from(u16::MAX))?;
        let mode = settings.parse("STRIPE_LIVEMODE", Mode::Any)?;
        Ok(Self {
            database: Database::from_settings(settings)?,
            broker: Broker::from_settings(settings, "tollbridge worker")?,
            topology: Topology::from_settings(settings)?,
            catalog: Arc::new(Catalog::from_settings(settings)?),
            mode,
            ops_addr: settings.text("OPS_ADDR").unwrap_or("127.0.0.1:9102").to_owned(),
            ops_token: Token::from_settings(settings, "OPS_TOKEN")?,
            tuning: Tuning {
                batch_size: batch_size as usize,
                batch_wait: settings.duration("BATCH_WAIT", Duration::from_millis(2))?,
                lanes: lanes(settings)?,
                prefetch: u16::try_from(prefetch).unwrap_or(u16::MAX),
                drain_timeout: settings.duration("DRAIN_TIMEOUT", Duration::from_secs(20))?,
            },
            stripe: stripe(settings, mode)?,
            recovery: Recovery::from_settings(settings)?,
        })
    }
}

/// Reads the settings that reading payloads depends on, alone.
pub fn reader(settings: &Settings) -> Result<EventReader, ConfigError> {
    Ok(EventReader {
        catalog: Arc::new(Catalog::from_settings(settings)?),
        mode: settings.parse("STRIPE_LIVEMODE", Mode::Any)?,
    })
}

fn lanes(settings: &Settings) -> Result<u32, SettingError> {
    settings.number("LANES", 4, 1..=64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_needs_only_a_database_and_a_catalog() {
        let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/catalog.toml");
        let missing =
            Config::from_settings(&Settings::from_pairs(&[("CATALOG_FILE", catalog)])).expect_err("no database");
        assert!(missing.to_string().starts_with("DATABASE_URL: is not set"), "{missing}");
        let url = ("DATABASE_URL", "postgres://localhost/x");
        let config = Config::from_settings(&Settings::from_pairs(&[url, ("CATALOG_FILE", catalog)])).expect("defaults");
        assert_eq!(
            (config.tuning.batch_size, config.tuning.lanes, config.tuning.prefetch),
            (200, 4, 400)
        );
        assert_eq!(config.database.pool_size, 8);
    }

    #[test]
    fn an_ops_token_is_optional_and_a_bad_one_is_never_shown() {
        let catalog = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/catalog.toml");
        let config = |token: &str| {
            let url = ("DATABASE_URL", "postgres://localhost/x");
            let settings = Settings::from_pairs(&[url, ("CATALOG_FILE", catalog), ("OPS_TOKEN", token)]);
            Config::from_settings(&settings).map_err(|e| e.to_string())
        };
        assert!(config("").expect("none").ops_token.is_none());
        let good = config("hush-0123456789abcdef").expect("a token");
        assert!(good.ops_token.is_some() && !format!("{good:?}").contains("hush"));
        let error = config("hush").expect_err("too short");
        assert!(
            error.starts_with("OPS_TOKEN: must be at least 16") && !error.contains("hush"),
            "{error}"
        );
        assert!(HELP.contains("OPS_TOKEN"));
    }

    #[test]
    fn a_pool_smaller_than_its_lanes_is_refused() {
        let settings = Settings::from_pairs(&[("DATABASE_URL", "x"), ("LANES", "8"), ("DATABASE_POOL_SIZE", "4")]);
        let error = Database::from_settings(&settings).expect_err("too small").to_string();
        assert_eq!(error, "DATABASE_POOL_SIZE: 4 is out of range; allowed is 10 to 1000");
    }
}
