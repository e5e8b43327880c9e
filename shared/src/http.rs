//! The accept loop of every listener. It has a time limit for headers, a limit of
//! connections, and a drain at the end; `axum::serve` has none of them.

use crate::{
    settings::{Fallback, Group, LENGTH_MAX, Length, Setting, SettingError, Text},
    shutdown::CancellationToken,
};
use axum::Router;
use hyper::{
    Request,
    body::Incoming,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};

/// How long a process may take to finish its work after a signal to stop.
pub static DRAIN_TIMEOUT: Setting<Length> = Setting {
    name: "DRAIN_TIMEOUT",
    group: Group::Work,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("20s"),
    meaning: "How long requests and batches under way may take to end after SIGTERM or SIGINT.",
};

/// Limits of one listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// Most open connections. More connections wait in the kernel's backlog.
    pub connections_max: usize,
    /// A connection is closed if its headers do not arrive within this time, or if it is
    /// idle for this time between two requests.
    pub header_timeout: Duration,
    /// How long requests under way may take after `stop`.
    pub drain_timeout: Duration,
}

impl Default for ListenerLimits {
    /// The limits of a private listener.
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            header_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(20),
        }
    }
}

/// The address of the client, as an extension of each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// Serves `router` on `listener` until `stop`, then waits for the requests under way, for
/// [`ListenerLimits::drain_timeout`] at most.
pub async fn serve(listener: TcpListener, router: Router, limits: ListenerLimits, stop: CancellationToken) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // hyper answers 431 to longer headers. A thousand signatures still fit.
        .max_buf_size(128 * 1024);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let Some((stream, peer, slot)) = accepted else { continue };
        let service = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            service.call(request)
        });
        let connection = graceful.watch(builder.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
            drop(slot);
        });
    }
    drop(listener);
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(
            seconds = limits.drain_timeout.as_secs(),
            "requests were still under way at the end of the drain"
        );
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            // An answer is one small packet. Nagle's algorithm would only delay it.
            let _ = stream.set_nodelay(true);
            Some((stream, Peer(address.ip().to_canonical()), slot))
        }
        Err(error) => {
            // The usual reason is a lack of file descriptors. Some must be closed before the next try.
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

/// Listens on `addr`, the value of `setting`.
///
/// # Errors
/// If `addr` is not an address and a port, or is in use.
pub async fn bind(setting: &Setting<Text>, addr: &str) -> Result<TcpListener, SettingError> {
    let listener = TcpListener::bind(addr)
        .await
        .map_err(|e| setting.error(format!("cannot listen on {addr}: {e}")))?;
    if let Ok(bound) = listener.local_addr() {
        tracing::info!(setting = setting.name, addr = %bound, "listening");
    }
    Ok(listener)
}
