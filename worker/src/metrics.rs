//! The worker's own metrics.

use crate::{apply::fold::FoldCounts, failure::Permanent, store::subscription::Waiting};
use prometheus::{HistogramVec, IntCounterVec, IntGauge, IntGaugeVec};
use shared::{
    metrics::{AGE_SECONDS, SECONDS, counter, gauge, gauges, histogram},
    settings::format_duration,
    topology::Topology,
};
use std::{sync::LazyLock, time::Duration};

/// What became of deliveries, by event type (`other` for types that are not handled).
pub static OUTCOMES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_deliveries_total",
        "Deliveries by event type and outcome: applied, ignored, duplicate, dead, retry.",
        &["type", "outcome"],
    )
});
/// Dead letters by reason.
pub static DEAD: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_dead_letters_total",
        "Messages given up, by reason.",
        &["reason"],
    )
});
/// Retries by the delay they wait.
pub static RETRIES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_retries_total",
        "Messages sent to a retry queue, by its delay.",
        &["delay"],
    )
});
/// Facts by the path on which they were folded.
pub static FOLDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_facts_folded_total",
        "Facts by how they were folded: first (nothing was known of the account), fast (newer than all that is known), slow (late or tied: the account is folded again).",
        &["path"],
    )
});
/// Ties that no evidence decides.
pub static UNDECIDED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_undecided_ties_total",
        "Seconds with several changes of one subscription whose order no evidence tells; their event ids decide.",
        &[],
    )
});
/// Events of invoices that were made outside Managed Payments.
pub static SELF_ISSUED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_self_issued_invoice_events_total",
        "Events of invoices that Stripe's Managed Payments did not issue (issuer.type self), while the catalog has managed_payments.",
        &[],
    )
});
/// Subscriptions that Stripe is to be asked about.
pub static QUESTIONS: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_worker_open_questions",
        "Subscriptions with changes whose order no event tells, of which Stripe has not said yet how they stand (never, without STRIPE_SECRET_KEY).",
    )
});
/// When a job of recovery last ended well.
pub static JOB_ENDED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "tollbridge_recovery_last_success_timestamp_seconds",
        "When it (backfill, reconcile) last came to its end, on any worker or by command.",
        &["recovery"],
    )
});
/// What the last reconcile found.
pub static DRIFT: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "tollbridge_reconcile_drift",
        "Subscriptions that the last reconcile found to differ from Stripe, by field; they were put on the work queue as Stripe showed them.",
        &["field"],
    )
});
/// How old the oldest event is that Stripe could not deliver and that is not here.
pub static OLDEST_UNDELIVERED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_backfill_oldest_undelivered_seconds",
        "Age of the oldest event that Stripe could not deliver and that the last backfill could not fetch either; 0: there is none. Stripe forgets events after 30 days.",
    )
});
/// Events per transaction.
pub static BATCH_SIZE: LazyLock<HistogramVec> = LazyLock::new(|| {
    let sizes = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0];
    histogram("tollbridge_worker_batch_events", "Events in a batch.", &sizes, &[])
});
/// Seconds from a gathered batch to its commit.
pub static APPLY_SECONDS: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "tollbridge_worker_apply_seconds",
        "Seconds to apply a batch, commit included.",
        SECONDS,
        &[],
    )
});
/// Tries to log in to the console.
pub static LOGINS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_console_logins_total",
        "Tries to log in to the console, by outcome: accepted, refused, throttled.",
        &["outcome"],
    )
});
/// Seconds from Stripe's `created` to the commit.
pub static AGE_CREATED: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "tollbridge_worker_created_to_commit_seconds",
        "Seconds from Stripe's created to the commit.",
        AGE_SECONDS,
        &[],
    )
});
/// Seconds from ingest's receipt to the commit.
pub static AGE_RECEIVED: LazyLock<HistogramVec> = LazyLock::new(|| {
    histogram(
        "tollbridge_worker_received_to_commit_seconds",
        "Seconds from ingest's receipt to the commit.",
        AGE_SECONDS,
        &[],
    )
});
/// Batches that the database refused and that were applied one by one.
pub static SPLITS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_split_batches_total",
        "Batches that failed as a whole and were applied one by one.",
        &[],
    )
});
/// Transactions repeated after a deadlock or serialization failure.
pub static CONFLICTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    counter(
        "tollbridge_worker_conflicts_total",
        "Transactions repeated after a deadlock.",
        &[],
    )
});
/// 1 while the database cannot be used and consumption waits.
pub static DATABASE_DOWN: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_worker_database_down",
        "1 while the database cannot be used and consumption waits.",
    )
});
/// Whether the database can be used, looked at every few seconds.
pub static DATABASE_UP: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_worker_database_up",
        "1 while PostgreSQL answers, takes writes and has the schema of this version.",
    )
});
/// Whether deliveries are taken right now.
pub static CONSUMING: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_worker_consuming",
        "1 while this worker consumes from RabbitMQ.",
    )
});
/// How old the oldest delivery is that this worker holds.
pub static OLDEST_UNAPPLIED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_worker_oldest_unapplied_seconds",
        "Seconds since ingest received the oldest event that this worker holds and has not settled; 0 if it holds none. While it does not consume, the oldest that it gave back.",
    )
});
/// Messages that wait in RabbitMQ, by what their queue is for; no series while
/// it cannot be asked.
pub static QUEUED: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "tollbridge_queue_messages",
        "Messages that wait in RabbitMQ, those that workers hold left out, by queue: work, dead, over-limit, retry. No series while it cannot be asked.",
        &["queue"],
    )
});
/// Connections of the pool, by state.
pub static POOL: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "tollbridge_worker_pool_connections",
        "Connections to PostgreSQL by state: busy, idle.",
        &["state"],
    )
});
/// Open dead letters, by reason.
pub static DEAD_OPEN: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    gauges(
        "tollbridge_dead_letters_open",
        "Dead letters that wait for an operator, by reason.",
        &["reason"],
    )
});
/// Subscriptions whose user is not known yet.
pub static UNLINKED: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_unlinked_subscriptions",
        "Subscriptions whose user is not known yet.",
    )
});
/// How long the oldest of them waits.
pub static UNLINKED_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_unlinked_oldest_seconds",
        "Seconds that the oldest subscription without a user has waited.",
    )
});

/// Subscriptions of which only an invoice or a session told.
pub static UNSEEN: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_unseen_subscriptions",
        "Subscriptions known only by an invoice or a session: their own events have not come.",
    )
});
/// How long the oldest of them waits.
pub static UNSEEN_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_unseen_oldest_seconds",
        "Seconds that the oldest subscription without an event of its own has waited.",
    )
});

/// Sessions that bought credits and whose user is not known yet.
pub static UNLINKED_PACKS: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_unlinked_packs",
        "Paid sessions that bought credits, and whose user is not known yet.",
    )
});
/// How long the oldest of them waits.
pub static UNLINKED_PACKS_AGE: LazyLock<IntGauge> = LazyLock::new(|| {
    gauge(
        "tollbridge_unlinked_packs_oldest_seconds",
        "Seconds that the oldest paid session without a user has waited.",
    )
});

/// Shows what waits for a missing link.
pub fn waiting(waiting: Waiting) {
    let gauges = [
        (&UNLINKED, &UNLINKED_AGE),
        (&UNSEEN, &UNSEEN_AGE),
        (&UNLINKED_PACKS, &UNLINKED_PACKS_AGE),
    ];
    let values = [waiting.unlinked, waiting.unseen, waiting.packs];
    for ((count, age), (waiting, oldest_seconds)) in gauges.into_iter().zip(values) {
        count.set(waiting);
        age.set(oldest_seconds);
    }
}

/// What becomes of a try to log in.
const LOGIN_OUTCOMES: [&str; 3] = ["accepted", "refused", "throttled"];

/// Counts a batch of which so many events were settled.
pub fn applied(events: usize, took: Duration) {
    if events > 0 {
        let events = f64::from(u32::try_from(events).unwrap_or(u32::MAX));
        BATCH_SIZE.with_label_values::<&str>(&[]).observe(events);
        APPLY_SECONDS.with_label_values::<&str>(&[]).observe(took.as_secs_f64());
    }
}

/// Counts how a batch was folded.
pub fn folded(folds: FoldCounts) {
    for (path, facts) in [("first", folds.first), ("fast", folds.fast), ("slow", folds.slow)] {
        FOLDED.with_label_values(&[path]).inc_by(facts);
    }
    UNDECIDED.with_label_values::<&str>(&[]).inc_by(folds.undecided);
}

/// Makes what is watched show as 0 before it first happens: a series that
/// appears with its first failure has no increase to alert on. What is read from
/// the database is not known yet, and is not said to be 0.
pub fn init(topology: &Topology) {
    shared::metrics::init(env!("CARGO_PKG_VERSION"), &["publish", "consume"]);
    for reason in Permanent::ALL.map(Permanent::as_str) {
        DEAD.with_label_values(&[reason]);
    }
    for delay in topology.retry_delays() {
        RETRIES.with_label_values(&[format_duration(*delay).as_str()]);
    }
    folded(FoldCounts::default());
    SELF_ISSUED.with_label_values::<&str>(&[]);
    stripe_api::metrics::init();
    for outcome in LOGIN_OUTCOMES {
        LOGINS.with_label_values(&[outcome]);
    }
    for histogram in [&BATCH_SIZE, &APPLY_SECONDS, &AGE_CREATED, &AGE_RECEIVED] {
        histogram.with_label_values::<&str>(&[]);
    }
    SPLITS.with_label_values::<&str>(&[]);
    CONFLICTS.with_label_values::<&str>(&[]);
    for gauge in [&DATABASE_DOWN, &DATABASE_UP, &CONSUMING, &OLDEST_UNAPPLIED] {
        gauge.set(0);
    }
}
