//! `worker reconcile`: compares every subscription with Stripe. A subscription that
//! differs goes to the work queue as a snapshot: what Stripe showed, and when.

use super::{
    candidates::{Candidate, CandidateQueue, DriftCheck, compare, user},
    error::RecoveryError,
    page::{self, OBJECTS_MAX, StripePage},
    tools::RecoveryTools,
};
use crate::{
    domain::{
        fact::{Seconds, Snapshot},
        ids::{SubscriptionId, UserId},
        subscription::{drift::Drift, state::Subscription},
    },
    failure::Refusal,
    read::{
        meaning::Mode,
        stripe::snapshot::{self, StripeSubscription},
    },
    store::reconcile as store,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use shared::message::Source;
use shared::work_queue::Message;
use sqlx::PgConnection;
use std::{collections::BTreeMap, time::Duration};
use stripe_api::{ApiError, Form};
use tokio::time::Instant;

/// Stored subscriptions in one query.
const PAGE: i64 = 5_000;
/// Most stored subscriptions to ask for, to check that the key is of their account.
const PROOF_MAX: i64 = 10;
/// This many subscriptions may be gone at Stripe without `--end-gone`, or one percent
/// if that is more.
const GONE_MIN: usize = 10;

/// The job's name.
pub const JOB: &str = "reconcile";

/// A subscription that differs.
#[derive(Debug, Serialize)]
pub struct DriftFound {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its user, if one is known.
    pub user: Option<UserId>,
    /// The fields that differ.
    pub drift: Vec<Drift>,
    /// Why it cannot be repaired; `None` if it can.
    pub refused: Option<String>,
}

/// What a reconcile reports while it runs.
#[derive(Debug)]
pub enum ReconcileProgress<'a> {
    /// This many were compared so far.
    Listed(u64),
    /// A subscription differs.
    Differs(&'a DriftFound),
}

/// The figures of a reconcile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReconcileReport {
    /// Subscriptions that Stripe listed.
    pub listed: u64,
    /// Stored ones that Stripe did not list, so they were asked for by id.
    pub asked: u64,
    /// Subscriptions that differed.
    pub differing: u64,
    /// How often each field differed.
    pub drift: BTreeMap<String, u64>,
    /// Subscriptions that are gone at Stripe and were ended here.
    pub ended: u64,
    /// Subscriptions that are gone at Stripe, or unknown to this key, and were left as
    /// they are.
    pub unknown: u64,
    /// Subscriptions that Stripe gave no answer about.
    pub unanswered: u64,
    /// Subscriptions that cannot be applied, for example with an unknown price.
    pub refused: u64,
    /// Snapshots put on the work queue.
    pub put: u64,
    /// Requests to Stripe.
    pub requests: u64,
}

/// How to reconcile.
#[derive(Debug, Clone, Copy)]
pub struct ReconcileOptions {
    /// How long an event may be under way before a difference counts.
    pub settle: Duration,
    /// End all subscriptions that are gone at Stripe, however many. An operator asks
    /// for this with `--end-gone`.
    pub end_gone: bool,
}

struct ReconcileRun<'t, 's> {
    tools: &'t RecoveryTools,
    session: &'s mut PgConnection,
    options: ReconcileOptions,
    waiting: CandidateQueue,
    report: &'t mut ReconcileReport,
    /// Listed subscriptions that are stored here.
    matched: usize,
    /// Subscriptions that are gone at Stripe, with their last snapshot.
    gone: Vec<(SubscriptionId, Snapshot)>,
    /// Stripe's time of its last answer.
    at: Seconds,
}

/// Compares all subscriptions. `session` must have the lead of the job. `report` is
/// filled in also if an error ends the run; `on_progress` is called as it goes on.
///
/// # Errors
/// Stripe's, PostgreSQL's or RabbitMQ's, that the key seems to be of another account,
/// or that it is time to stop. Snapshots already on the work queue stay there.
pub async fn reconcile(
    tools: &RecoveryTools,
    session: &mut PgConnection,
    options: ReconcileOptions,
    report: &mut ReconcileReport,
    mut on_progress: impl FnMut(ReconcileProgress<'_>) + Send,
) -> Result<(), RecoveryError> {
    store::begin(session).await?;
    let mut run = ReconcileRun {
        tools,
        session,
        options,
        waiting: CandidateQueue::new(options.settle),
        report,
        matched: 0,
        gone: Vec::new(),
        at: 0,
    };
    run.prove().await?;
    run.list(&mut on_progress).await?;
    run.ask(&mut on_progress).await?;
    run.end_gone()?;
    run.settle_all(&mut on_progress).await
}

impl ReconcileRun<'_, '_> {
    /// Checks first that Stripe knows a stored subscription, if there are any. With a
    /// key of another account, every listed subscription would be added and every
    /// stored one ended.
    async fn prove(&mut self) -> Result<(), RecoveryError> {
        let known = store::some(self.session, PROOF_MAX).await?;
        if known.is_empty() || self.options.end_gone {
            return Ok(());
        }
        for id in &known {
            self.report.requests += 1;
            match self.tools.api.subscription(id.as_str()).await {
                Ok(_) => return Ok(()),
                Err(ApiError::NotFound | ApiError::NoId) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(RecoveryError::OtherAccount(format!(
            "Stripe knows none of {} stored subscriptions: STRIPE_SECRET_KEY seems to be of another account or mode. Nothing was compared or changed; if they are gone for good, `worker reconcile --end-gone` ends them",
            known.len()
        )))
    }

    /// Compares all that Stripe lists.
    async fn list(
        &mut self,
        on_progress: &mut (impl FnMut(ReconcileProgress<'_>) + Send),
    ) -> Result<(), RecoveryError> {
        let all = Form::new().with("status", "all");
        let mut filter = all.clone();
        loop {
            self.tools.check_stop()?;
            let answer = page::get(&self.tools.api, "/subscriptions", &filter).await?;
            self.report.requests += 1;
            self.at = answer.at;
            let page = StripePage::of(&answer)?;
            self.compare(&page.data).await?;
            self.settle_due(on_progress).await?;
            on_progress(ReconcileProgress::Listed(self.report.listed));
            match page.last_id()? {
                Some(last) if page.has_more => filter = all.clone().with("starting_after", &last),
                _ => return Ok(()),
            }
        }
    }

    async fn compare(&mut self, objects: &[&RawValue]) -> Result<(), RecoveryError> {
        let mut shown = Vec::with_capacity(objects.len());
        for object in objects {
            match self.read(object).await? {
                Ok(one) => shown.push((one, *object)),
                Err(refusal) => {
                    tracing::warn!(detail = refusal.detail, "a listed subscription cannot be read");
                    self.report.refused += 1;
                }
            }
        }
        self.report.listed += objects.len() as u64;
        let ids: Vec<&str> = shown.iter().map(|(one, _)| one.id.as_str()).collect();
        store::listed(self.session, &ids).await?;
        let known = store::by_ids(self.session, &ids).await?;
        self.matched += known.len();
        for (one, object) in shown {
            self.queue_if_differing(known.get(&one.id), one, object);
        }
        Ok(())
    }

    /// Reads a subscription. If its list of items was cut where its plan may be, reads all of
    /// its items.
    async fn read(&mut self, object: &RawValue) -> Result<Result<StripeSubscription, Refusal>, RecoveryError> {
        let catalog = &self.tools.reader.catalog;
        let shown = match snapshot::read(object, None, self.at, catalog) {
            Ok(shown) if shown.cut => shown,
            read => return Ok(read),
        };
        self.report.requests += 1;
        let items = self.tools.api.subscription_items(shown.id.as_str()).await?;
        Ok(snapshot::read(object, Some(&items.body), self.at, catalog))
    }

    /// Queues a subscription that differs for its second comparison.
    fn queue_if_differing(&mut self, ours: Option<&Subscription>, one: StripeSubscription, object: &RawValue) {
        let other_mode = match self.tools.reader.scope.mode {
            Mode::Any => false,
            Mode::Live => !one.live,
            Mode::Test => one.live,
        };
        if !other_mode && !matches!(compare(ours, &one, self.at), DriftCheck::Same) {
            self.waiting.add(one, object.to_owned(), self.at);
        }
    }

    /// Asks by id for the stored subscriptions that were not listed. Stripe's list leaves
    /// out those on test clocks.
    async fn ask(&mut self, on_progress: &mut (impl FnMut(ReconcileProgress<'_>) + Send)) -> Result<(), RecoveryError> {
        let mut after = String::new();
        loop {
            let page = store::unlisted(self.session, &after, PAGE).await?;
            for (id, ours) in page.unlisted {
                self.tools.check_stop()?;
                self.ask_for(id, &ours).await?;
                self.settle_due(on_progress).await?;
            }
            match page.until {
                Some(until) => after = until,
                None => return Ok(()),
            }
        }
    }

    async fn ask_for(&mut self, id: SubscriptionId, ours: &Subscription) -> Result<(), RecoveryError> {
        self.report.asked += 1;
        self.report.requests += 1;
        match self.tools.api.subscription(id.as_str()).await {
            Ok(answer) => {
                self.at = answer.at;
                let object: &RawValue = answer.json()?;
                if let Ok(one) = self.read(object).await? {
                    self.queue_if_differing(Some(ours), one, object);
                } else {
                    self.report.refused += 1;
                }
            }
            Err(ApiError::NotFound) => self.gone.extend(ours.latest.clone().map(|last| (id, last))),
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, subscription = id.as_str(), "Stripe gave no answer about a subscription");
                self.report.unanswered += 1;
            }
        }
        Ok(())
    }

    /// Ends the subscriptions that are gone at Stripe. Not if events of both modes are
    /// applied: a key of the other mode may know them. Nor if many are gone at once:
    /// then an operator must ask for it.
    fn end_gone(&mut self) -> Result<(), RecoveryError> {
        let gone = std::mem::take(&mut self.gone);
        let mode = self.tools.reader.scope.mode;
        if mode == Mode::Any {
            self.report.unknown += gone.len() as u64;
            return Ok(());
        }
        let max = (self.matched / 100).max(GONE_MIN);
        if gone.len() > max && !self.options.end_gone {
            self.report.unknown += gone.len() as u64;
            return Err(RecoveryError::OtherAccount(format!(
                "{} stored subscriptions are gone at Stripe, more than {max}: is STRIPE_SECRET_KEY of another account? None was ended; `worker reconcile --end-gone` ends them",
                gone.len()
            )));
        }
        for (id, last) in gone {
            let object = snapshot::gone(&id, &last, mode == Mode::Live)?;
            if let Ok(one) = snapshot::read(&object, None, self.at, &self.tools.reader.catalog) {
                self.report.ended += 1;
                self.waiting.add(one, object, self.at);
            }
        }
        Ok(())
    }

    async fn settle_due(
        &mut self,
        on_progress: &mut (impl FnMut(ReconcileProgress<'_>) + Send),
    ) -> Result<(), RecoveryError> {
        loop {
            if self.waiting.is_full()
                && let Some(due) = self.waiting.due()
            {
                tokio::time::sleep_until(due).await;
            }
            let due = self.waiting.take(Instant::now(), OBJECTS_MAX.into());
            if due.is_empty() {
                return Ok(());
            }
            self.settle(due, on_progress).await?;
        }
    }

    async fn settle_all(
        &mut self,
        on_progress: &mut (impl FnMut(ReconcileProgress<'_>) + Send),
    ) -> Result<(), RecoveryError> {
        while let Some(due) = self.waiting.due() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.tools.stop.cancelled() => return Err(RecoveryError::Stopped),
            }
            self.settle_due(on_progress).await?;
        }
        Ok(())
    }

    /// Compares candidates again. Those that still differ are drift: they are counted,
    /// reported and put on the work queue.
    async fn settle(
        &mut self,
        candidates: Vec<Candidate>,
        on_progress: &mut (impl FnMut(ReconcileProgress<'_>) + Send),
    ) -> Result<(), RecoveryError> {
        let ids: Vec<&str> = candidates.iter().map(|c| c.shown.id.as_str()).collect();
        let known = store::by_ids(self.session, &ids).await?;
        let mut messages = Vec::new();
        for candidate in candidates {
            let Candidate { shown, object, at, .. } = candidate;
            let ours = known.get(&shown.id);
            let (drift, refused) = match compare(ours, &shown, at) {
                DriftCheck::Same => continue,
                DriftCheck::Differs(drift) => (drift, None),
                DriftCheck::Refused(refusal) => (Vec::new(), Some(refusal.detail)),
            };
            let (id, body) = snapshot::message(&shown, &object, at, &drift)?;
            let kind = snapshot::KIND.to_owned();
            messages.push(Message { id, kind, body });
            self.report.refused += u64::from(refused.is_some());
            self.report.differing += u64::from(refused.is_none());
            for field in &drift {
                *self.report.drift.entry(field.field.to_owned()).or_default() += 1;
            }
            on_progress(ReconcileProgress::Differs(&DriftFound {
                user: user(ours),
                subscription: shown.id,
                drift,
                refused,
            }));
        }
        self.put(messages).await
    }

    async fn put(&mut self, mut messages: Vec<Message>) -> Result<(), RecoveryError> {
        let Some(work_queue) = &self.tools.work_queue else {
            return Ok(());
        };
        // A refused snapshot has the same id each time, and may be a dead letter already.
        let ids: Vec<&str> = messages.iter().map(|m| m.id.as_str()).collect();
        let received = store::received(self.session, &ids).await?;
        messages.retain(|m| !received.iter().any(|known| known.as_str() == m.id));
        work_queue.put(&messages, Source::Snapshot).await?;
        self.report.put += messages.len() as u64;
        Ok(())
    }
}
