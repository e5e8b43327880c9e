//! The consuming connection: declared, opened and supervised as a whole.

use crate::{
    database::{self, Waited},
    lane::{Context, Feed},
};
use futures_util::StreamExt;
use lapin::{
    Connection, Event,
    options::{BasicConsumeOptions, BasicQosOptions},
    types::FieldTable,
};
use shared::{
    broker::{Broker, BrokerError, Up},
    shutdown::CancellationToken,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::task::JoinSet;

/// Consumes until `stop`; `consuming` tells whether it does right now.
pub async fn run(
    broker: &Broker,
    context: &Context,
    stop: &CancellationToken,
    consuming: &Arc<AtomicBool>,
) -> Result<(), BrokerError> {
    let consuming = &**consuming;
    let session = |connection, up| async move {
        let ended = session(connection, up, context, stop, consuming).await;
        consuming.store(false, Ordering::Relaxed);
        ended
    };
    broker.supervise("consume", stop, session).await
}

/// One connection's life. Any lane's error ends it; the other lanes finish the
/// batch they are at, since a transaction must not be dropped half-way.
async fn session(
    connection: Connection,
    up: Up,
    context: &Context,
    stop: &CancellationToken,
    consuming: &AtomicBool,
) -> Result<(), BrokerError> {
    let mut events = Box::pin(connection.events_listener());
    context.topology.declare(&connection.create_channel().await?).await?;
    up.established();
    // Without a database there is nothing to do with a delivery but to hold it.
    if database::wait(&context.pool, stop, None).await == Waited::Interrupted {
        return Ok(());
    }
    let session_stop = stop.child_token();
    let mut lanes = JoinSet::new();
    for _ in 0..context.tuning.lanes {
        let consumer = open(&connection, &context.topology.work(), context.tuning.prefetch).await?;
        lanes.spawn(context.clone().run(Feed::Work, consumer, session_stop.clone()));
    }
    let consumer = open(&connection, &context.topology.over_limit(), 1).await?;
    lanes.spawn(context.clone().run(Feed::OverLimit, consumer, session_stop.clone()));
    consuming.store(true, Ordering::Relaxed);
    tracing::info!(
        lanes = context.tuning.lanes,
        queue = context.topology.work(),
        "consuming"
    );
    let first = loop {
        tokio::select! {
            Some(ended) = lanes.join_next() => break flatten(ended),
            event = events.next() => match event {
                Some(Event::Error(error)) => break Err(error.into()),
                Some(_) => {}
                None => break Err(BrokerError::Unusable("the connection ended".to_owned())),
            },
        }
    };
    consuming.store(false, Ordering::Relaxed);
    session_stop.cancel();
    while lanes.join_next().await.is_some() {}
    if stop.is_cancelled() { Ok(()) } else { first }
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
