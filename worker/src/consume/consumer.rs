//! The consuming connection and its tasks. After an error all of it is replaced.

use crate::{
    consume::{
        acks::AckTracker,
        context::{Context, Shutdown},
        database,
        deal::deal,
        delivery::{Interrupted, SourceQueue},
    },
    metrics::CONSUMING,
};
use lapin::{
    Connection,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use shared::{
    broker::{self, Broker, BrokerError, SessionStatus},
    shutdown::CancellationToken,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::{sync::mpsc, task::JoinSet};

/// Consumes until `stop`. Keeps `consuming` true while it consumes.
///
/// # Errors
/// If RabbitMQ could not be reached for so long that the process gives up.
pub async fn run(
    broker: &Broker,
    context: &Context,
    stop: &CancellationToken,
    consuming: &Arc<AtomicBool>,
) -> Result<(), BrokerError> {
    let consuming = &**consuming;
    let session = |connection, status| async move {
        let ended = session(connection, status, context, stop, consuming).await;
        set_consuming(consuming, false);
        ended
    };
    broker.supervise("consume", stop, session).await
}

fn set_consuming(consuming: &AtomicBool, value: bool) {
    consuming.store(value, Ordering::Relaxed);
    CONSUMING.set(i64::from(value));
}

/// The life of one connection. An error of one lane ends it. The other lanes first finish
/// their batch, because a transaction must not be dropped in the middle.
async fn session(
    connection: Connection,
    status: SessionStatus,
    context: &Context,
    stop: &CancellationToken,
    consuming: &AtomicBool,
) -> Result<(), BrokerError> {
    let mut events = Box::pin(connection.events_listener());
    let mut lost = Box::pin(broker::lost(&mut events));
    tokio::select! {
        declared = declare(&connection, context) => declared?,
        error = &mut lost => return Err(error),
    }
    status.established();
    // Without a database the worker could only keep its deliveries unacknowledged.
    if let Err(Interrupted) = database::wait(&context.pool, stop, None).await {
        return Ok(());
    }
    let shutdown = Shutdown {
        stop: stop.child_token(),
        lost: CancellationToken::new(),
    };
    let mut lanes = JoinSet::new();
    tokio::select! {
        started = start(&connection, context, &shutdown, &mut lanes) => started?,
        error = &mut lost => return Err(error),
    }
    set_consuming(consuming, true);
    tracing::info!(
        lanes = context.tuning.lanes,
        queue = context.topology.work(),
        "consuming"
    );
    let first = tokio::select! {
        Some(ended) = lanes.join_next() => flatten(ended),
        error = &mut lost => {
            shutdown.lost.cancel();
            Err(error)
        }
    };
    set_consuming(consuming, false);
    shutdown.stop.cancel();
    while !lanes.is_empty() {
        tokio::select! {
            _ = lanes.join_next() => {}
            _ = &mut lost, if !shutdown.lost.is_cancelled() => shutdown.lost.cancel(),
        }
    }
    if stop.is_cancelled() { Ok(()) } else { first }
}

async fn declare(connection: &Connection, context: &Context) -> lapin::Result<()> {
    context.topology.declare(&connection.create_channel().await?).await
}

async fn start(
    connection: &Connection,
    context: &Context,
    shutdown: &Shutdown,
    lanes: &mut JoinSet<Result<(), BrokerError>>,
) -> lapin::Result<()> {
    let (work, over_limit) = (context.topology.work(), context.topology.over_limit());
    let lanes_count = u16::try_from(context.tuning.lanes).unwrap_or(u16::MAX);
    let prefetch = context.tuning.prefetch.saturating_mul(lanes_count);
    // Open both before any lane starts: a running lane must not be dropped in the middle.
    let sources = [
        (
            SourceQueue::Work,
            context.tuning.lanes,
            prefetch,
            open(connection, &work, prefetch).await?,
        ),
        (SourceQueue::OverLimit, 1, 1, open(connection, &over_limit, 1).await?),
    ];
    for (from, count, prefetch, consumer) in sources {
        let acks = Arc::new(AckTracker::new(prefetch));
        context.in_flight.add(&acks);
        let mut senders = Vec::new();
        for _ in 0..count {
            let (sender, dealt) = mpsc::unbounded_channel();
            senders.push(sender);
            lanes.spawn(context.clone().run(dealt, Arc::clone(&acks), shutdown.clone()));
        }
        lanes.spawn(deal(context.clone(), from, consumer, senders, acks, shutdown.clone()));
    }
    Ok(())
}

fn flatten(ended: Result<Result<(), BrokerError>, tokio::task::JoinError>) -> Result<(), BrokerError> {
    ended.unwrap_or_else(|error| Err(BrokerError::Unusable(format!("a lane failed: {error}"))))
}

async fn open(connection: &Connection, queue: &str, prefetch: u16) -> lapin::Result<lapin::Consumer> {
    let channel = connection.create_channel().await?;
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    channel
        .basic_consume(
            queue.into(),
            "".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        )
        .await
}
