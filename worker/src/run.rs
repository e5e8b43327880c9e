//! `worker run`: starts all parts of a worker, and stops them in order.

use crate::{
    config::{self, Config},
    console::{self, Console},
    consume::{acks::InFlight, consumer, context::Context, watchdog::Watchdog},
    dead_letters::{sweep, tools::MoveTools},
    metrics,
    read::message::EventReader,
    recovery,
    store::pool,
    watch,
};
use anyhow::Context as _;
use shared::work_queue::WorkQueue;
use shared::{http, ops, publisher::Publisher, shutdown::CancellationToken};
use sqlx::PgPool;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The time limit of one publish to a retry or dead-letter queue. A publish is repeated until
/// it is confirmed, so this limit only decides when a connection is replaced.
const PUBLISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Consumes until `stop`, then finishes the work under way.
///
/// # Errors
/// If a setting cannot be used, RabbitMQ cannot be reached for ten minutes, or a
/// transaction does not end.
pub async fn run(config: Config, stop: CancellationToken) -> anyhow::Result<()> {
    metrics::init(&config.topology);
    let database = pool::open(&config.database)?;
    let listener = http::bind(&config::OPS_ADDR, &config.ops_addr).await?;
    let publish_stop = CancellationToken::new();
    let topology = Arc::new(config.topology.clone());
    let reader = EventReader {
        catalog: Arc::clone(&config.catalog),
        scope: config.scope.clone(),
    };
    let (publisher, publishing) = Publisher::start(
        config.broker.clone(),
        config.topology.clone(),
        PUBLISH_TIMEOUT,
        publish_stop.clone(),
    );
    let publishing = tokio::spawn(publishing);
    let consuming = Arc::new(AtomicBool::new(false));
    let limits = http::ListenerLimits {
        connections_max: 64,
        ..http::ListenerLimits::default()
    };
    let check = readiness(database.clone(), publisher.clone(), Arc::clone(&consuming));
    let mut routes = ops::router(check);
    let tools = MoveTools {
        pool: database.clone(),
        broker: config.broker.clone(),
        topology: config.topology.clone(),
        publisher: publisher.clone(),
    };
    tokio::spawn(sweep::run(tools.clone(), stop.clone()));
    if let Some(token) = config.ops_token {
        routes = routes.merge(console::router(
            Console::new(token, tools, reader.clone()),
            &publish_stop,
        ));
    }
    let ops = tokio::spawn(http::serve(listener, routes, limits, publish_stop.clone()));
    let in_flight = InFlight::default();
    tokio::spawn(watch::database(
        database.clone(),
        config.catalog.tiers().to_vec(),
        config.stripe.as_ref().map_or(Vec::new(), |_| config.recovery.jobs()),
        stop.clone(),
    ));
    tokio::spawn(watch::queues(publisher.clone(), config.topology.clone(), stop.clone()));
    tokio::spawn(watch::age(in_flight.clone(), Arc::clone(&consuming), stop.clone()));

    if let Some(api) = config.stripe.clone() {
        let tools = recovery::tools::RecoveryTools {
            api,
            pool: database.clone(),
            reader: reader.clone(),
            work_queue: Some(WorkQueue::new(publisher.clone(), &config.topology)),
            stop: stop.clone(),
        };
        tokio::spawn(recovery::ask::run(tools.clone()));
        tokio::spawn(recovery::jobs::run(tools, config.recovery));
    }

    let watchdog = Watchdog::default();
    let context = Context {
        pool: database.clone(),
        publisher,
        topology,
        reader,
        tuning: config.tuning,
        in_flight,
        watchdog: watchdog.clone(),
        lock_timeout: config.database.lock_timeout,
        stripe: config.stripe,
    };
    let work = consumer::run(&config.broker, &context, &stop, &consuming);
    let drained = async {
        stop.cancelled().await;
        tokio::time::sleep(config.tuning.drain_timeout).await;
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = drained => {
            tracing::warn!("work was still under way at the end of the drain; the broker will deliver it again");
            Ok(())
        }
        () = watchdog.transaction_overdue() => anyhow::bail!("a transaction does not end; the connection to PostgreSQL must be half open"),
        ended = publishing => ended.context("the publisher stopped")?,
    };
    publish_stop.cancel();
    // Only answers under way and the close of a connection are left.
    let _ = tokio::time::timeout(Duration::from_secs(1), ops).await;
    ended.context("gave up on RabbitMQ")
}

/// The check behind `/readyz`: why this worker cannot apply events now.
fn readiness(
    database: PgPool,
    publisher: Publisher,
    consuming: Arc<AtomicBool>,
) -> impl Fn() -> std::pin::Pin<Box<dyn Future<Output = ops::Reasons> + Send>> + Send + Sync + 'static {
    move || {
        let (database, publisher, consuming) = (database.clone(), publisher.clone(), Arc::clone(&consuming));
        Box::pin(async move {
            let mut reasons = ops::Reasons::new();
            reasons.extend(pool::ready(&database).await.err().map(|e| e.to_string()));
            reasons.extend(publisher.readiness().err().map(|e| e.to_string()));
            if !consuming.load(Ordering::Relaxed) {
                reasons.push("not consuming from RabbitMQ".to_owned());
            }
            reasons
        })
    }
}
