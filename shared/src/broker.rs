//! Connections to RabbitMQ. A process has one connection for each role (`publish`,
//! `consume`). A supervisor replaces a connection after any error.

use crate::{
    metrics,
    reconnect::Reconnect,
    settings::{Fallback, Group, SecretText, Setting, SettingError, SettingForm as _, Settings},
    shutdown::CancellationToken,
};
use futures_util::{Stream, StreamExt};
use lapin::{Connection, ConnectionProperties, Event, uri::AMQPUri};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The process exits after this long without a usable connection, so that its service
/// manager sees the failure and starts it again.
const GIVE_UP_AFTER: Duration = Duration::from_mins(10);
/// A session that ends sooner does not reset the pauses; they go on growing.
const SESSION_MIN: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const HEARTBEAT_SECONDS: u16 = 10;

/// The URLs of RabbitMQ. A secret, because a URL has a password.
pub static AMQP_URL: Setting<SecretText> = Setting {
    name: "AMQP_URL",
    group: Group::RabbitMq,
    form: SecretText("amqp://user:password@host:5672/%2f, several with commas between them"),
    default: Fallback::Value("amqp://guest:guest@127.0.0.1:5672/%2f"),
    meaning: "RabbitMQ 3.10 to 4.x. Several URLs are the nodes of one cluster.",
};

/// The nodes of one RabbitMQ cluster.
#[derive(Clone)]
pub struct Broker {
    nodes: Vec<AMQPUri>,
    process: &'static str,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts = self
            .nodes
            .iter()
            .map(|n| format!("{}:{}", n.authority.host, n.authority.port));
        f.debug_list().entries(hosts).finish()
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// lapin's or the broker's own error.
    #[error(transparent)]
    Amqp(#[from] lapin::Error),
    /// No node answered in time.
    #[error("no node of the cluster answered within {} s", CONNECT_TIMEOUT.as_secs())]
    Timeout,
    /// The connection is open but cannot be used, for this reason.
    #[error("{0}")]
    Unusable(String),
    /// The supervisor gave up.
    #[error("no usable connection to RabbitMQ for {} s", GIVE_UP_AFTER.as_secs())]
    GaveUp,
}

impl Broker {
    /// Reads [`AMQP_URL`]. `process` names the connections in RabbitMQ's tools.
    ///
    /// # Errors
    /// If one of the URLs cannot be read. The error shows no URL.
    pub fn from_settings(settings: &Settings, process: &'static str) -> Result<Self, SettingError> {
        let urls = settings.get(&AMQP_URL)?;
        let nodes = urls
            .expose()
            .split(',')
            .map(|url| {
                // The parser's own message may repeat the URL, and with it the password.
                let wrong = |_| AMQP_URL.error(format!("is not an AMQP URL; write {}", AMQP_URL.form.allowed()));
                let mut node: AMQPUri = url.trim().parse().map_err(wrong)?;
                node.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
                Ok(node)
            })
            .collect::<Result<Vec<_>, SettingError>>()?;
        Ok(Self { nodes, process })
    }

    /// Connects to the first node that answers, for one short piece of work. For a lasting
    /// connection use [`supervise`](Self::supervise).
    ///
    /// # Errors
    /// The error of the last node.
    pub async fn connect(&self, role: &str) -> Result<Connection, BrokerError> {
        let mut last = BrokerError::Timeout;
        for node in &self.nodes {
            let properties =
                ConnectionProperties::default().with_connection_name(format!("{} {role}", self.process).into());
            #[expect(clippy::disallowed_methods, reason = "this is the one place")]
            let connecting = Connection::connect_uri(node.clone(), properties);
            match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) => last = error.into(),
                Err(_) => last = BrokerError::Timeout,
            }
        }
        Err(last)
    }

    /// Runs `session` on a new connection. Whenever it ends with an error, runs it again
    /// on another one, until `stop` is cancelled or the session returns `Ok`.
    /// The session calls [`SessionStatus::established`] once it can do its work.
    ///
    /// # Errors
    /// [`BrokerError::GaveUp`] after ten minutes without an established session.
    pub async fn supervise<S, F>(
        &self,
        role: &'static str,
        stop: &CancellationToken,
        session: S,
    ) -> Result<(), BrokerError>
    where
        S: Fn(Connection, SessionStatus) -> F,
        F: Future<Output = Result<(), BrokerError>>,
    {
        let mut reconnect = Reconnect::new(Some(GIVE_UP_AFTER));
        while !stop.is_cancelled() {
            let ended = match self.connect(role).await {
                Ok(connection) => {
                    metrics::BROKER_CONNECTIONS.with_label_values(&[role]).inc();
                    tracing::info!(role, "connected to RabbitMQ");
                    let (status, began) = (SessionStatus::new(role), Instant::now());
                    let ended = session(connection, status.clone()).await;
                    metrics::BROKER_UP.with_label_values(&[role]).set(0);
                    if status.worked.load(Ordering::Relaxed) && began.elapsed() > SESSION_MIN {
                        reconnect.reset();
                    }
                    ended
                }
                Err(error) => Err(error),
            };
            let Err(error) = ended else { return Ok(()) };
            metrics::BROKER_FAILURES.with_label_values(&[role]).inc();
            let Some(pause) = reconnect.next_pause() else {
                tracing::error!(role, %error, "giving up on RabbitMQ");
                return Err(BrokerError::GaveUp);
            };
            tracing::warn!(role, %error, retry_in_ms = pause.as_millis(), "no connection to RabbitMQ");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => {}
            }
        }
        Ok(())
    }
}

/// Waits until a connection ends, and returns why. `events` are the events of that
/// connection. Run it beside everything that waits for an answer of the broker: lapin
/// may never end a pending acknowledgement whose connection is lost.
pub async fn lost(events: &mut (impl Stream<Item = Event> + Unpin)) -> BrokerError {
    loop {
        match events.next().await {
            Some(Event::Error(error)) => return error.into(),
            Some(_) => {}
            None => return BrokerError::Unusable("the connection ended".to_owned()),
        }
    }
}

/// A session reports here that its connection works.
#[derive(Debug, Clone)]
pub struct SessionStatus {
    role: &'static str,
    worked: Arc<AtomicBool>,
}

impl SessionStatus {
    fn new(role: &'static str) -> Self {
        Self {
            role,
            worked: Arc::default(),
        }
    }

    /// Reports that the session works. If it lasts, the next pause is the shortest again.
    pub fn established(&self) {
        self.worked.store(true, Ordering::Relaxed);
        metrics::BROKER_UP.with_label_values(&[self.role]).set(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_url_is_refused_without_repeating_its_password() {
        let settings = Settings::from_pairs(&[("AMQP_URL", "amqp://u:hush@[::bad/%2f")]);
        let error = Broker::from_settings(&settings, "test")
            .expect_err("not a URL")
            .to_string();
        assert!(error.starts_with("AMQP_URL: ") && !error.contains("hush"), "{error}");
    }

    #[test]
    fn several_urls_are_the_nodes_of_one_cluster_and_show_no_credentials() {
        let settings = Settings::from_pairs(&[("AMQP_URL", "amqp://u:hush@one:5672/%2f, amqp://u:hush@two:5673/%2f")]);
        let broker = Broker::from_settings(&settings, "test").expect("two URLs");
        assert_eq!(format!("{broker:?}"), r#"["one:5672", "two:5673"]"#);
    }
}
