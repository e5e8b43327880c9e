//! Accepts Stripe's webhooks: verifies the raw bytes, publishes them, and answers 200 after
//! the broker has confirmed them. Also accepts usage reports from applications that have the
//! token, and answers 202 after the broker has confirmed them.
//!
//! Begin reading at [`routes`]: it follows a request from its body to its answer.
//! [`signature`], [`envelope`] and [`usage`] check it without IO, [`publish`] publishes it, and
//! [`error`] turns a refusal into an answer.

pub mod body;
pub mod config;
pub mod envelope;
pub mod error;
pub mod metrics;
pub mod publish;
pub mod routes;
pub mod signature;
pub mod token;
mod traced;
pub mod usage;

use config::Config;
use shared::{
    broker::BrokerError,
    http::{self, ListenerLimits},
    ops,
    publisher::Publisher,
    shutdown::CancellationToken,
};
use std::{sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// Serves until `stop`. Then it drains the public listener; after the last answer it stops the
/// publisher and the private listener.
///
/// # Errors
/// If RabbitMQ cannot be reached for ten minutes.
pub async fn run(
    config: Config,
    public: TcpListener,
    private: TcpListener,
    stop: CancellationToken,
) -> Result<(), BrokerError> {
    metrics::init(config.secrets.count());
    let drained = CancellationToken::new();
    let (publisher, connection) = Publisher::start(
        config.broker,
        config.topology.clone(),
        config.publish_timeout,
        drained.clone(),
    );

    let ops = ops::router(readiness(publisher.clone(), stop.clone()));
    let ops_limits = ListenerLimits {
        // The longest request on the private listener is a scrape of the metrics.
        drain_timeout: Duration::from_secs(1),
        ..ListenerLimits::default()
    };
    let routes = routes::router(Arc::new(routes::App {
        secrets: config.secrets,
        usage_token: config.usage_token,
        usage_age_max: config.usage_age_max,
        publisher,
        queue: config.topology.work(),
        body_limits: config.body_limits,
    }));

    let served = async {
        http::serve(public, routes, config.limits, stop.clone()).await;
        drained.cancel();
    };
    let connected = async {
        let ended = connection.await;
        // Without a broker the process cannot accept anything, so it stops.
        stop.cancel();
        ended
    };
    let observed = http::serve(private, ops, ops_limits, drained.clone());
    let ((), ended, ()) = tokio::join!(served, connected, observed);
    ended
}

/// The check behind `/readyz`: why ingest cannot accept events now.
fn readiness(
    publisher: Publisher,
    stop: CancellationToken,
) -> impl Fn() -> std::future::Ready<ops::Reasons> + Send + Sync + 'static {
    move || {
        let mut reasons = ops::Reasons::new();
        if let Err(error) = publisher.readiness() {
            reasons.push(error.to_string());
        }
        if stop.is_cancelled() {
            reasons.push("asked to stop; draining".to_owned());
        }
        std::future::ready(reasons)
    }
}
