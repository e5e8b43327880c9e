//! The metrics of the worker. Metrics about the broker are in [`mod@shared::metrics`].

use crate::{domain::subscription::drift::FIELDS, failure::Permanent};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};
use shared::{
    metrics::{AGE_SECONDS, Label, SECONDS, Start},
    settings::format_duration,
    topology::{Purpose, Topology},
};
use std::time::Duration;

/// The outcomes of a delivery.
pub const DELIVERY_OUTCOMES: [&str; 5] = ["applied", "ignored", "duplicate", "retry", "dead"];
const REASONS: [&str; Permanent::ALL.len()] = {
    let mut words = [""; Permanent::ALL.len()];
    let mut place = 0;
    while place < words.len() {
        words[place] = Permanent::ALL[place].as_str();
        place += 1;
    }
    words
};
const QUEUES: &[&str] = &[
    Purpose::Work.as_str(),
    Purpose::Dead.as_str(),
    Purpose::OverLimit.as_str(),
    Purpose::Retry.as_str(),
];
const BATCH_EVENTS: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0, 5_000.0];

shared::metrics! {
    pub static METRICS;

    OUTCOMES: IntCounterVec = "tollbridge_worker_deliveries_total",
        "Deliveries by event type and outcome; the type is `other` for events that the worker does not handle.",
        labels: &[Label::open("type"), Label::of("outcome", &DELIVERY_OUTCOMES)];

    DEAD: IntCounterVec = "tollbridge_worker_dead_letters_total",
        "Messages that became dead letters, by reason.",
        labels: &[Label::of("reason", &REASONS)];

    DEAD_OPEN: IntGaugeVec = "tollbridge_dead_letters_open",
        "Dead letters that wait for an operator, by reason.",
        labels: &[Label::of("reason", &REASONS)], start: Start::Known;

    RETRIES: IntCounterVec = "tollbridge_worker_retries_total",
        "Messages sent to a retry queue, by its delay.",
        labels: &[Label::open("delay")];

    FOLDED: IntCounterVec = "tollbridge_worker_facts_folded_total",
        "Facts by how they were folded: first (nothing was known of the account), fast (newer than all that is known), slow (late or tied: the account is folded again).",
        labels: &[Label::of("path", &["first", "fast", "slow"])];

    UNDECIDED: IntCounter = "tollbridge_worker_undecided_ties_total",
        "Seconds with several changes of one subscription whose order no evidence decides; the ids of their events decide it.";

    RETURNED: IntCounter = "tollbridge_worker_returned_invoices_total",
        "Paid invoices of subscriptions whose money was refunded in full or lost to a dispute. The subscriptions still give access.";

    SELF_ISSUED: IntCounter = "tollbridge_worker_self_issued_invoice_events_total",
        "Events of invoices that Stripe's Managed Payments did not issue (issuer.type self), while the catalog has managed_payments.";

    QUESTIONS: IntGauge = "tollbridge_worker_open_questions",
        "Subscriptions with changes of unknown order, for which the worker has no answer of Stripe yet. Without STRIPE_SECRET_KEY it never asks.",
        start: Start::Known;

    JOB_ENDED: IntGaugeVec = "tollbridge_recovery_last_success_timestamp_seconds",
        "When the job last came to its end, on any worker or by command.",
        labels: &[Label::of("recovery", &["backfill", "reconcile"])], start: Start::Known;

    DRIFT: IntGaugeVec = "tollbridge_reconcile_drift",
        "Subscriptions that the last reconcile found to differ from Stripe, by field. They were put on the work queue as Stripe showed them.",
        labels: &[Label::of("field", &FIELDS)], start: Start::Known;

    OLDEST_UNDELIVERED: IntGauge = "tollbridge_backfill_oldest_undelivered_seconds",
        "Age of the oldest event that Stripe could not deliver and that the last backfill could not fetch either; 0 if there is none. Stripe forgets events after 30 days.",
        start: Start::Known;

    BATCH_SIZE: Histogram = "tollbridge_worker_batch_events",
        "Events in a batch.",
        buckets: BATCH_EVENTS;

    APPLY_SECONDS: Histogram = "tollbridge_worker_apply_seconds",
        "Seconds to apply a batch, commit included.",
        buckets: SECONDS;

    AGE_CREATED: Histogram = "tollbridge_worker_created_to_commit_seconds",
        "Seconds from Stripe's created to the commit.",
        buckets: AGE_SECONDS;

    AGE_RECEIVED: Histogram = "tollbridge_worker_received_to_commit_seconds",
        "Seconds from ingest's receipt to the commit.",
        buckets: AGE_SECONDS;

    SPLITS: IntCounter = "tollbridge_worker_split_batches_total",
        "Batches that the database refused as a whole and that were applied one by one.";

    CONFLICTS: IntCounter = "tollbridge_worker_conflicts_total",
        "Transactions repeated after a deadlock or a serialization failure.";

    DATABASE_DOWN: IntGauge = "tollbridge_worker_database_down",
        "1 while the database cannot be used and consumption waits.";

    DATABASE_UP: IntGauge = "tollbridge_worker_database_up",
        "1 while PostgreSQL answers, takes writes and has the schema of this version.";

    CONSUMING: IntGauge = "tollbridge_worker_consuming",
        "1 while this worker consumes from RabbitMQ.";

    OLDEST_UNAPPLIED: IntGauge = "tollbridge_worker_oldest_unapplied_seconds",
        "Seconds since ingest received the oldest delivered event that this worker has not settled; 0 if it has none. While it does not consume, the oldest that it gave back.";

    QUEUED: IntGaugeVec = "tollbridge_queue_messages",
        "Messages that wait in RabbitMQ, without those that workers have not acknowledged. No series while RabbitMQ cannot be asked.",
        labels: &[Label::of("queue", QUEUES)], start: Start::Known;

    POOL: IntGaugeVec = "tollbridge_worker_pool_connections",
        "Connections to PostgreSQL by state.",
        labels: &[Label::of("state", &["busy", "idle"])], start: Start::Known;

    UNLINKED: IntGauge = "tollbridge_unlinked_subscriptions",
        "Subscriptions whose user is not known yet.",
        start: Start::Known;

    UNLINKED_AGE: IntGauge = "tollbridge_unlinked_oldest_seconds",
        "Seconds that the oldest subscription without a user has waited.",
        start: Start::Known;

    UNSEEN: IntGauge = "tollbridge_unseen_subscriptions",
        "Subscriptions known only by an invoice or a session: their own events have not come.",
        start: Start::Known;

    UNSEEN_AGE: IntGauge = "tollbridge_unseen_oldest_seconds",
        "Seconds that the oldest subscription without an event of its own has waited.",
        start: Start::Known;

    UNLINKED_PACKS: IntGauge = "tollbridge_unlinked_packs",
        "Paid sessions that bought credits, and whose user is not known yet.",
        start: Start::Known;

    UNLINKED_PACKS_AGE: IntGauge = "tollbridge_unlinked_packs_oldest_seconds",
        "Seconds that the oldest paid session without a user has waited.",
        start: Start::Known;

    LOGINS: IntCounterVec = "tollbridge_console_logins_total",
        "Tries to log in to the console, by outcome.",
        labels: &[Label::of("outcome", &["accepted", "refused", "throttled"])];
}

/// Shows the metrics as 0 at the start. A value that is read from PostgreSQL or RabbitMQ
/// has no series until it is known.
pub fn init(topology: &Topology) {
    let roles = ["publish", "consume"];
    shared::metrics::init(
        env!("CARGO_PKG_VERSION"),
        &roles,
        &[METRICS, stripe_api::metrics::METRICS],
    );
    for delay in topology.retry_delays() {
        RETRIES.with_label_values(&[format_duration(*delay).as_str()]);
    }
}

/// Counts a batch with `events` settled events, applied in the time `took`.
pub fn applied(events: usize, took: Duration) {
    if events > 0 {
        BATCH_SIZE.observe(f64::from(u32::try_from(events).unwrap_or(u32::MAX)));
        APPLY_SECONDS.observe(took.as_secs_f64());
    }
}
