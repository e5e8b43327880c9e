//! Takes Stripe's webhooks: verifies the raw bytes, publishes them, and answers
//! 200 once the broker has confirmed them. Takes applications' usage reports
//! against a token too, and answers them 202 in the same way.

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

/// Serves until `stop`, then drains: first the public listener, and only when
/// its last answer is out the publisher and the private listener.
///
/// # Errors
/// When RabbitMQ could not be reached for so long that the process gives up.
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
        // The longest request there is a scrape of the metrics.
        drain_timeout: Duration::from_secs(1),
        ..ListenerLimits::default()
    };
    let routes = routes::router(Arc::new(routes::App {
        secrets: config.secrets,
        usage_token: config.usage_token,
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
        // Without a broker there is nothing left to serve.
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
