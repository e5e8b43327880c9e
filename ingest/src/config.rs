//! The settings of this process, read once at start.

use crate::{body::BodyLimits, signature::Secrets};
use shared::{
    broker::{self, Broker},
    http::{self, ListenerLimits},
    settings::{
        Fallback, Group, LENGTH_MAX, Length, Number, Program, SecretText, Setting, SettingError, Settings, Text,
    },
    telemetry,
    token::{self, Token},
    topology::{self, Topology},
    trace,
};
use std::time::Duration;

/// The webhook's signing secrets.
pub static STRIPE_WEBHOOK_SECRET: Setting<SecretText> = Setting {
    name: "STRIPE_WEBHOOK_SECRET",
    group: Group::Stripe,
    form: SecretText("one or more whsec_... from Stripe's dashboard, with commas between them, at most 16"),
    default: Fallback::Required,
    meaning: "The signing secrets of the webhook endpoint. A signature by any of them passes, so that a secret can be \
              rolled: put the new one first.",
};
/// The token of usage reports.
pub static USAGE_TOKEN: Setting<SecretText> = Setting {
    name: "USAGE_TOKEN",
    group: Group::Listeners,
    form: token::FORM,
    default: Fallback::None,
    meaning: "Bearer token of POST /v1/usage. Without it that route is off and answers 404.",
};
/// The age of usage reports.
pub static USAGE_MAX_AGE: Setting<Length> = Setting {
    name: "USAGE_MAX_AGE",
    group: Group::Listeners,
    form: Length {
        max: Duration::from_hours(3_650 * 24),
    },
    default: Fallback::Value("35d"),
    meaning: "How far back the time of a usage report may lie. An older report is answered 400.",
};
/// The public listener.
pub static INGEST_ADDR: Setting<Text> = Setting {
    name: "INGEST_ADDR",
    group: Group::Listeners,
    form: Text,
    default: Fallback::Value("127.0.0.1:8080"),
    meaning: "Address and port of the public listener: /webhooks/stripe, /v1/usage.",
};
/// The private listener.
pub static OPS_ADDR: Setting<Text> = Setting {
    name: "OPS_ADDR",
    group: Group::Listeners,
    form: Text,
    default: Fallback::Value("127.0.0.1:9101"),
    meaning: "Address and port of the private listener: /healthz, /readyz, /metrics.",
};
/// The longest body.
pub static BODY_LIMIT_BYTES: Setting<Number> = Setting {
    name: "BODY_LIMIT_BYTES",
    group: Group::Listeners,
    // RabbitMQ 4 takes messages of up to 16 MiB by default ("max_message_size").
    form: Number {
        min: 1,
        max: 16 * 1024 * 1024,
    },
    default: Fallback::Value("1048576"),
    meaning: "Bytes of a body, at most. A longer one is answered 413.",
};
/// The time for a body.
pub static BODY_TIMEOUT: Setting<Length> = Setting {
    name: "BODY_TIMEOUT",
    group: Group::Listeners,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("10s"),
    meaning: "How long a body may take to arrive. A slower one is answered 408.",
};
/// The time for headers.
pub static HEADER_TIMEOUT: Setting<Length> = Setting {
    name: "HEADER_TIMEOUT",
    group: Group::Listeners,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("10s"),
    meaning: "How long the headers of a request may take, and how long a connection may be idle. Then it is closed.",
};
/// Public connections.
pub static MAX_CONNECTIONS: Setting<Number> = Setting {
    name: "MAX_CONNECTIONS",
    group: Group::Listeners,
    form: Number { min: 1, max: 65_536 },
    default: Fallback::Value("1024"),
    meaning: "Public connections at once, at most. More wait until one is closed.",
};
/// The time for a confirm.
pub static PUBLISH_TIMEOUT: Setting<Length> = Setting {
    name: "PUBLISH_TIMEOUT",
    group: Group::Listeners,
    // The 503 must be out within 3 s, with time left to read the body and to answer.
    form: Length {
        max: Duration::from_millis(2_500),
    },
    default: Fallback::Value("2s"),
    meaning: "How long a publish may wait for the broker's confirm. Then the request is answered 503.",
};

/// Every setting of ingest.
pub static PROGRAM: Program = Program {
    name: "ingest",
    settings: &[
        &broker::AMQP_URL,
        &topology::QUEUE_NAMESPACE,
        &topology::RETRY_DELAYS,
        &STRIPE_WEBHOOK_SECRET,
        &INGEST_ADDR,
        &OPS_ADDR,
        &USAGE_TOKEN,
        &USAGE_MAX_AGE,
        &BODY_LIMIT_BYTES,
        &BODY_TIMEOUT,
        &HEADER_TIMEOUT,
        &MAX_CONNECTIONS,
        &PUBLISH_TIMEOUT,
        &http::DRAIN_TIMEOUT,
        &telemetry::LOG_FORMAT,
        &telemetry::RUST_LOG,
        &trace::OTEL_EXPORTER_OTLP_ENDPOINT,
        &trace::OTEL_SERVICE_NAME,
    ],
    notes: "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.",
};

/// Each secret costs one HMAC over a body that none of them signed.
const SECRETS_MAX: usize = 16;

/// Everything that ingest needs to know.
#[derive(Debug)]
pub struct Config {
    /// The webhook's signing secrets.
    pub secrets: Secrets,
    /// The token of `POST /v1/usage`, if that is on.
    pub usage_token: Option<Token>,
    /// How far back the time of a usage report may lie.
    pub usage_age_max: Duration,
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
    pub limits: ListenerLimits,
    /// Limits of a request's body.
    pub body_limits: BodyLimits,
}

impl Config {
    /// Reads and checks all of it.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let size = |setting| {
            let number: u32 = settings.get(setting)?;
            Ok(usize::try_from(number).unwrap_or(usize::MAX))
        };
        Ok(Self {
            secrets: secrets(settings)?,
            usage_token: Token::from_settings(settings, &USAGE_TOKEN)?,
            usage_age_max: settings.get(&USAGE_MAX_AGE)?,
            broker: Broker::from_settings(settings, "ingest")?,
            topology: Topology::from_settings(settings)?,
            publish_timeout: settings.get(&PUBLISH_TIMEOUT)?,
            ingest_addr: settings.get(&INGEST_ADDR)?,
            ops_addr: settings.get(&OPS_ADDR)?,
            limits: ListenerLimits {
                connections_max: size(&MAX_CONNECTIONS)?,
                header_timeout: settings.get(&HEADER_TIMEOUT)?,
                drain_timeout: settings.get(&http::DRAIN_TIMEOUT)?,
            },
            body_limits: BodyLimits {
                bytes_max: size(&BODY_LIMIT_BYTES)?,
                timeout: settings.get(&BODY_TIMEOUT)?,
            },
        })
    }
}

/// Reads the signing secrets. An error says which entry is wrong, never what it is.
fn secrets(settings: &Settings) -> Result<Secrets, SettingError> {
    let all = settings.get(&STRIPE_WEBHOOK_SECRET)?;
    let all: Vec<&str> = all.expose().split(',').map(str::trim).collect();
    for (index, secret) in all.iter().enumerate() {
        let problem = match secret.strip_prefix("whsec_") {
            _ if secret.is_empty() => "is empty",
            None => "does not start with whsec_ (is it another kind of key?)",
            Some("") => "has nothing after whsec_",
            Some(key) if !key.bytes().all(|b| b.is_ascii_graphic()) => {
                "has white space or other characters that no secret has"
            }
            Some(_) => continue,
        };
        let problem = format!("entry {} of {} {problem}", index + 1, all.len());
        return Err(STRIPE_WEBHOOK_SECRET.error(problem));
    }
    if all.len() > SECRETS_MAX {
        return Err(STRIPE_WEBHOOK_SECRET.error(format!("has {} secrets; {SECRETS_MAX} at most", all.len())));
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
        assert_eq!(config.usage_age_max, Duration::from_hours(35 * 24));
        assert!(
            !format!("{config:?}").contains("whsec_old"),
            "a secret must not be printable"
        );
    }

    #[test]
    fn every_default_is_a_value_that_its_setting_allows() {
        for setting in PROGRAM.settings {
            assert_eq!(setting.check_default(), Ok(()), "{}", setting.name());
        }
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
            ("whsec_hush hush", "has white space"),
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
            ("USAGE_MAX_AGE", "3651d"),
        ] {
            let error = config(&[("STRIPE_WEBHOOK_SECRET", "whsec_a"), (name, value)]).expect_err(name);
            assert!(error.starts_with(&format!("{name}: ")), "{error}");
        }
    }
}
