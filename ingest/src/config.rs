//! The settings of this process, read once at start.

use crate::{body::BodyLimits, signature::Secrets};
use shared::{
    broker::Broker,
    http::Limits,
    settings::{SettingError, Settings},
    token::Token,
    topology::Topology,
};
use std::time::Duration;

/// What `--help` says about the environment.
pub const HELP: &str = "\
Settings (environment; NAME_FILE names a file that holds a secret):
  STRIPE_WEBHOOK_SECRET  required; one or more whsec_..., comma-separated: all
                         are accepted while a secret is rolled (or ..._FILE)
  USAGE_TOKEN            none; bearer token of POST /v1/usage, 16 characters or
                         more; without it that route is off (or ..._FILE)
  AMQP_URL               amqp://guest:guest@127.0.0.1:5672/%2f; several, comma-
                         separated, are the nodes of one cluster (or ..._FILE)
  QUEUE_NAMESPACE        billing; prefix of every queue, as for the worker
  RETRY_DELAYS           2s,10s,1m,5m,30m,2h; as for the worker
  INGEST_ADDR            127.0.0.1:8080; the public listener
  OPS_ADDR               127.0.0.1:9101; /healthz, /readyz, /metrics
  BODY_LIMIT_BYTES       1048576; a larger body is answered 413
  BODY_TIMEOUT           10s; a body that takes longer is answered 408
  HEADER_TIMEOUT         10s; for the headers of a request, and idle connections
  MAX_CONNECTIONS        1024; public connections at once
  PUBLISH_TIMEOUT        2s, at most 2500ms; without a confirm by then: 503
  DRAIN_TIMEOUT          20s; for requests under way after SIGTERM or SIGINT
  LOG_FORMAT             text; or json
  RUST_LOG               info; lapin's are always off
  OTEL_EXPORTER_OTLP_ENDPOINT  none; an http:// collector of spans, such as
                         http://127.0.0.1:4318

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// RabbitMQ 4 takes messages of up to 16 MiB unless told otherwise.
const BODY_LIMIT_MOST: u32 = 16 * 1024 * 1024;
/// 503 must be out within 3 s, with time left to read the body and to answer.
const PUBLISH_TIMEOUT_MOST: Duration = Duration::from_millis(2_500);
/// Each secret costs one HMAC over a body that none of them signed.
const SECRETS_MOST: usize = 16;

/// Everything that this process is told.
#[derive(Debug)]
pub struct Config {
    /// The webhook's signing secrets.
    pub secrets: Secrets,
    /// The token of `POST /v1/usage`, if that is on.
    pub usage_token: Option<Token>,
    /// Where RabbitMQ is.
    pub broker: Broker,
    /// The queues.
    pub topology: Topology,
    /// How long a publish may wait for its confirm.
    pub publish_timeout: Duration,
    /// Address of the public listener.
    pub ingest_addr: String,
    /// Address of the private listener.
    pub ops_addr: String,
    /// Limits of the public listener.
    pub limits: Limits,
    /// Limits of a request's body.
    pub body_limits: BodyLimits,
}

impl Config {
    /// Reads and checks all of it.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let defaults = Limits::default();
        let publish_timeout = settings.duration("PUBLISH_TIMEOUT", Duration::from_secs(2))?;
        if publish_timeout > PUBLISH_TIMEOUT_MOST {
            return Err(SettingError::new(
                "PUBLISH_TIMEOUT",
                "is too long: Stripe must have its 503 within 3 s; allowed is up to 2500ms",
            ));
        }
        let size = |name, default, most| {
            let number = settings.number(name, default, 1..=most)?;
            Ok(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Ok(Self {
            secrets: secrets(settings)?,
            usage_token: Token::from_settings(settings, "USAGE_TOKEN")?,
            broker: Broker::from_settings(settings, "ingest")?,
            topology: Topology::from_settings(settings)?,
            publish_timeout,
            ingest_addr: settings.text("INGEST_ADDR").unwrap_or("127.0.0.1:8080").to_owned(),
            ops_addr: settings.text("OPS_ADDR").unwrap_or("127.0.0.1:9101").to_owned(),
            limits: Limits {
                connections_most: size("MAX_CONNECTIONS", 1_024, 65_536)?,
                header_timeout: settings.duration("HEADER_TIMEOUT", defaults.header_timeout)?,
                drain_timeout: settings.duration("DRAIN_TIMEOUT", defaults.drain_timeout)?,
            },
            body_limits: BodyLimits {
                bytes_max: size("BODY_LIMIT_BYTES", 1024 * 1024, BODY_LIMIT_MOST)?,
                timeout: settings.duration("BODY_TIMEOUT", Duration::from_secs(10))?,
            },
        })
    }
}

/// Reads `STRIPE_WEBHOOK_SECRET`. Errors say which entry is wrong, never what it holds.
fn secrets(settings: &Settings) -> Result<Secrets, SettingError> {
    const NAME: &str = "STRIPE_WEBHOOK_SECRET";
    let all = settings.required_secret(NAME, "one or more whsec_… from Stripe's dashboard, comma-separated")?;
    let all: Vec<&str> = all.expose().split(',').map(str::trim).collect();
    for (index, secret) in all.iter().enumerate() {
        let problem = match secret.strip_prefix("whsec_") {
            _ if secret.is_empty() => "is empty",
            None => "does not start with whsec_ (is it another kind of key?)",
            Some("") => "has nothing after whsec_",
            Some(key) if !key.bytes().all(|b| b.is_ascii_graphic()) => "holds whitespace or other odd characters",
            Some(_) => continue,
        };
        return Err(SettingError::new(
            NAME,
            format!("entry {} of {} {problem}", index + 1, all.len()),
        ));
    }
    if all.len() > SECRETS_MOST {
        return Err(SettingError::new(
            NAME,
            format!("holds {} secrets; {SECRETS_MOST} at most", all.len()),
        ));
    }
    Ok(Secrets::new(&all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> Result<Config, String> {
        Config::from_settings(&Settings::from_pairs(pairs)).map_err(|e| e.to_string())
    }

    #[test]
    fn a_secret_is_all_that_must_be_set() {
        let config = config(&[("STRIPE_WEBHOOK_SECRET", "whsec_old, whsec_new")]).expect("defaults");
        assert_eq!(config.secrets.count(), 2);
        assert_eq!(
            (config.ingest_addr.as_str(), config.ops_addr.as_str()),
            ("127.0.0.1:8080", "127.0.0.1:9101")
        );
        assert_eq!(config.body_limits.bytes_max, 1_048_576);
        assert_eq!(config.publish_timeout, Duration::from_secs(2));
        assert!(
            !format!("{config:?}").contains("whsec_old"),
            "a secret must not be printable"
        );
    }

    #[test]
    fn a_bad_secret_is_named_by_its_place_and_never_shown() {
        for (value, expected) in [
            ("", "is not set"),
            ("hush", "entry 1 of 1 does not start with whsec_"),
            ("whsec_a,hush", "entry 2 of 2 does not start with whsec_"),
            ("whsec_a,,whsec_b", "entry 2 of 3 is empty"),
            ("whsec_a,", "entry 2 of 2 is empty"),
            ("whsec_", "has nothing after whsec_"),
            ("whsec_hush hush", "holds whitespace"),
        ] {
            let error = config(&[("STRIPE_WEBHOOK_SECRET", value)]).expect_err(value);
            assert!(
                error.starts_with("STRIPE_WEBHOOK_SECRET: ") && error.contains(expected),
                "{value}: {error}"
            );
            assert!(!error.contains("hush"), "{error}");
        }
        let many = vec!["whsec_x"; 17].join(",");
        let error = config(&[("STRIPE_WEBHOOK_SECRET", &many)]).expect_err("17 secrets");
        assert!(error.contains("16 at most"), "{error}");
    }

    #[test]
    fn a_usage_token_is_optional_and_a_bad_one_is_never_shown() {
        let secret = ("STRIPE_WEBHOOK_SECRET", "whsec_a");
        assert!(config(&[secret]).expect("none").usage_token.is_none());
        let good = config(&[secret, ("USAGE_TOKEN", "hush-0123456789abcdef")]).expect("a token");
        assert!(good.usage_token.is_some() && !format!("{good:?}").contains("hush"));
        for bad in ["hush", "hush 0123456789abcdef"] {
            let error = config(&[secret, ("USAGE_TOKEN", bad)]).expect_err(bad);
            assert!(error.starts_with("USAGE_TOKEN: must be at least 16"), "{error}");
            assert!(!error.contains("hush"), "{error}");
        }
        assert!(HELP.contains("USAGE_TOKEN"));
    }

    #[test]
    fn a_setting_out_of_range_is_refused_by_name() {
        for (name, value) in [
            ("PUBLISH_TIMEOUT", "3s"),
            ("BODY_LIMIT_BYTES", "0"),
            ("BODY_LIMIT_BYTES", "16777217"),
            ("MAX_CONNECTIONS", "0"),
            ("HEADER_TIMEOUT", "soon"),
            ("BODY_TIMEOUT", "0s"),
            ("DRAIN_TIMEOUT", "20"),
        ] {
            let error = config(&[("STRIPE_WEBHOOK_SECRET", "whsec_a"), (name, value)]).expect_err(name);
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
            assert!(HELP.contains(name), "--help does not mention {name}");
        }
    }
}
