//! `worker reconcile`: compares every subscription with Stripe, and puts what
//! differs on the work queue as it stood when it was read.

use super::{
    RecoveryError, Tools,
    candidates::{Candidate, Verdict, Waiting, compare, user},
    page::{self, LIMIT, Page},
};
use crate::{
    domain::{
        fact::{Seconds, Snapshot},
        ids::{SubscriptionId, UserId},
        subscription::{drift::Drift, state::Subscription},
    },
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

/// Subscriptions that are walked through at once.
const STEP: i64 = 5_000;
/// Known subscriptions that are asked for to see whose account it is.
const PROOF: i64 = 10;
/// So many may be gone at once without anybody's word.
const GONE_LEAST: usize = 10;

/// The job's name.
pub const JOB: &str = "reconcile";

/// A subscription that differs.
#[derive(Debug, Serialize)]
pub struct Found {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Whose, as far as we know.
    pub user: Option<UserId>,
    /// What differs.
    pub drift: Vec<Drift>,
    /// Why it cannot be repaired, if it cannot.
    pub refused: Option<String>,
}

/// What is told while it goes on.
#[derive(Debug)]
pub enum Told<'a> {
    /// So many were compared.
    Listed(u64),
    /// One differs.
    Found(&'a Found),
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Subscriptions that Stripe listed.
    pub listed: u64,
    /// Those that are known here and that no list showed: asked for by id.
    pub asked: u64,
    /// Those that differed.
    pub differing: u64,
    /// Fields that differed.
    pub drift: BTreeMap<String, u64>,
    /// Those that Stripe does not have any more, and that are ended for that.
    pub ended: u64,
    /// Those that Stripe does not know by this key, and that are left as they are.
    pub unknown: u64,
    /// Those that Stripe did not tell of when it was asked.
    pub unanswered: u64,
    /// Those that cannot be applied, such as of an unknown price.
    pub refused: u64,
    /// Snapshots put on the work queue.
    pub put: u64,
    /// Questions to Stripe.
    pub requests: u64,
}

/// How it is to be done.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How long an event may be under way before a difference counts.
    pub settle: Duration,
    /// However many are gone at Stripe, and though none that is known here may be
    /// there: they are ended. Somebody has said so.
    pub end_gone: bool,
}

struct Run<'t, 's> {
    tools: &'t Tools,
    session: &'s mut PgConnection,
    manner: Manner,
    waiting: Waiting,
    report: &'t mut Report,
    /// The listed ones that were known here.
    matched: usize,
    /// Those that Stripe does not have any more, as they were seen last.
    gone: Vec<(SubscriptionId, Snapshot)>,
    /// Stripe's time at its last answer.
    at: Seconds,
}

/// Compares all; `session` is one that has the lead. `report` says how far it is,
/// also after an error.
///
/// # Errors
/// What was put on the queue until then stays there.
pub async fn reconcile(
    tools: &Tools,
    session: &mut PgConnection,
    manner: Manner,
    report: &mut Report,
    mut tell: impl FnMut(Told<'_>) + Send,
) -> Result<(), RecoveryError> {
    store::begin(session).await?;
    let mut run = Run {
        tools,
        session,
        manner,
        waiting: Waiting::new(manner.settle),
        report,
        matched: 0,
        gone: Vec::new(),
        at: 0,
    };
    run.prove().await?;
    run.list(&mut tell).await?;
    run.ask(&mut tell).await?;
    run.end_gone()?;
    run.settle_all(&mut tell).await
}

impl Run<'_, '_> {
    /// Before anything is believed: Stripe must know one of the subscriptions that
    /// are known here, if there are any. With a key of another account, all that
    /// is listed would be taken in, and all that is known be ended.
    async fn prove(&mut self) -> Result<(), RecoveryError> {
        let known = store::some(self.session, PROOF).await?;
        if known.is_empty() || self.manner.end_gone {
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
            "Stripe knows none of {} subscriptions that are known here: STRIPE_SECRET_KEY seems to be of another account or mode. Nothing was compared or changed; if they are gone for good, `worker reconcile --end-gone` ends them",
            known.len()
        )))
    }

    /// Goes through Stripe's list.
    async fn list(&mut self, tell: &mut (impl FnMut(Told<'_>) + Send)) -> Result<(), RecoveryError> {
        let all = Form::new().with("status", "all");
        let mut filter = all.clone();
        loop {
            self.tools.go_on()?;
            let answer = page::get(&self.tools.api, "/subscriptions", &filter).await?;
            self.report.requests += 1;
            self.at = answer.at;
            let page = Page::of(&answer)?;
            self.compare(&page.data).await?;
            self.settle_due(tell).await?;
            tell(Told::Listed(self.report.listed));
            match page.last_id()? {
                Some(last) if page.has_more => filter = all.clone().with("starting_after", &last),
                _ => return Ok(()),
            }
        }
    }

    async fn compare(&mut self, objects: &[&RawValue]) -> Result<(), RecoveryError> {
        let mut shown = Vec::with_capacity(objects.len());
        for object in objects {
            match snapshot::read(object, &self.tools.reader.catalog) {
                Ok(one) => shown.push((one, *object)),
                Err(refusal) => {
                    tracing::warn!(
                        detail = refusal.detail,
                        "a subscription of Stripe's list cannot be read"
                    );
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
            self.weigh(known.get(&one.id), one, object);
        }
        Ok(())
    }

    /// Keeps what differs, to be looked at once more.
    fn weigh(&mut self, ours: Option<&Subscription>, one: StripeSubscription, object: &RawValue) {
        let other_mode = match self.tools.reader.mode {
            Mode::Any => false,
            Mode::Live => !one.live,
            Mode::Test => one.live,
        };
        if !other_mode && !matches!(compare(ours, &one, self.at), Verdict::Same) {
            self.waiting.add(one, object.to_owned(), self.at);
        }
    }

    /// Asks by id for those that the list lacked: it leaves out those on test clocks.
    async fn ask(&mut self, tell: &mut (impl FnMut(Told<'_>) + Send)) -> Result<(), RecoveryError> {
        let mut after = String::new();
        loop {
            let step = store::unlisted(self.session, &after, STEP).await?;
            for (id, ours) in step.unlisted {
                self.tools.go_on()?;
                self.ask_for(id, &ours).await?;
                self.settle_due(tell).await?;
            }
            match step.until {
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
                if let Ok(one) = snapshot::read(object, &self.tools.reader.catalog) {
                    self.weigh(Some(ours), one, object);
                } else {
                    self.report.refused += 1;
                }
            }
            Err(ApiError::NotFound) => self.gone.extend(ours.latest.clone().map(|last| (id, last))),
            Err(error) if error.is_temporary() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, subscription = id.as_str(), "Stripe does not tell of a subscription");
                self.report.unanswered += 1;
            }
        }
        Ok(())
    }

    /// What Stripe does not have is ended, if all that we apply is of the key's
    /// mode: another key might know it. That many are gone at once is no
    /// accident, and needs somebody's word.
    fn end_gone(&mut self) -> Result<(), RecoveryError> {
        let gone = std::mem::take(&mut self.gone);
        let mode = self.tools.reader.mode;
        if mode == Mode::Any {
            self.report.unknown += gone.len() as u64;
            return Ok(());
        }
        let most = (self.matched / 100).max(GONE_LEAST);
        if gone.len() > most && !self.manner.end_gone {
            self.report.unknown += gone.len() as u64;
            return Err(RecoveryError::OtherAccount(format!(
                "{} subscriptions that are known here are gone at Stripe, more than {most}: is STRIPE_SECRET_KEY of another account? None was ended; `worker reconcile --end-gone` ends them",
                gone.len()
            )));
        }
        for (id, last) in gone {
            let object = snapshot::gone(&id, &last, mode == Mode::Live)?;
            if let Ok(one) = snapshot::read(&object, &self.tools.reader.catalog) {
                self.report.ended += 1;
                self.waiting.add(one, object, self.at);
            }
        }
        Ok(())
    }

    async fn settle_due(&mut self, tell: &mut (impl FnMut(Told<'_>) + Send)) -> Result<(), RecoveryError> {
        loop {
            if self.waiting.is_full()
                && let Some(due) = self.waiting.due()
            {
                tokio::time::sleep_until(due).await;
            }
            let some = self.waiting.take(Instant::now(), LIMIT.into());
            if some.is_empty() {
                return Ok(());
            }
            self.settle(some, tell).await?;
        }
    }

    async fn settle_all(&mut self, tell: &mut (impl FnMut(Told<'_>) + Send)) -> Result<(), RecoveryError> {
        while let Some(due) = self.waiting.due() {
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = self.tools.stop.cancelled() => return Err(RecoveryError::Stopped),
            }
            self.settle_due(tell).await?;
        }
        Ok(())
    }

    /// What differs still is drift: it is counted, told, and put on the work queue.
    async fn settle(
        &mut self,
        candidates: Vec<Candidate>,
        tell: &mut (impl FnMut(Told<'_>) + Send),
    ) -> Result<(), RecoveryError> {
        let ids: Vec<&str> = candidates.iter().map(|c| c.shown.id.as_str()).collect();
        let known = store::by_ids(self.session, &ids).await?;
        let mut messages = Vec::new();
        for candidate in candidates {
            let Candidate { shown, object, at, .. } = candidate;
            let ours = known.get(&shown.id);
            let (drift, refused) = match compare(ours, &shown, at) {
                Verdict::Same => continue,
                Verdict::Differs(drift) => (drift, None),
                Verdict::Refused(refusal) => (Vec::new(), Some(refusal.detail)),
            };
            let (id, body) = snapshot::message(&shown, &object, at, &drift)?;
            let kind = snapshot::KIND.to_owned();
            messages.push(Message { id, kind, body });
            self.report.refused += u64::from(refused.is_some());
            self.report.differing += u64::from(refused.is_none());
            for one in &drift {
                *self.report.drift.entry(one.field.to_owned()).or_default() += 1;
            }
            tell(Told::Found(&Found {
                user: user(ours),
                subscription: shown.id,
                drift,
                refused,
            }));
        }
        self.put(messages).await
    }

    async fn put(&mut self, mut messages: Vec<Message>) -> Result<(), RecoveryError> {
        let Some(outlet) = &self.tools.work_queue else {
            return Ok(());
        };
        // One that was refused has the same id each time.
        let ids: Vec<&str> = messages.iter().map(|m| m.id.as_str()).collect();
        let received = store::received(self.session, &ids).await?;
        messages.retain(|m| !received.iter().any(|known| known.as_str() == m.id));
        outlet.put(&messages, Source::Snapshot).await?;
        self.report.put += messages.len() as u64;
        Ok(())
    }
}
