//! `worker backfill`: puts missed events on the work queue, either those that Stripe
//! could not deliver or all since a given time. Oldest first, because Stripe deletes
//! the oldest first.

use super::{
    error::RecoveryError,
    page::{self, Page},
    tools::RecoveryTools,
};
use crate::{
    domain::fact::Seconds,
    store::{job, reconcile as store},
};
use serde::{Deserialize, Serialize};
use shared::message::{Source, now_ms};
use shared::work_queue::Message;
use sqlx::PgConnection;
use stripe_api::{ApiAnswer, ApiError, Form};

/// The name of the job that workers run by themselves.
pub const JOB: &str = "backfill";
/// The name of the job that only `worker backfill --since` runs.
const JOB_SINCE: &str = "backfill_since";
/// Seconds for which Stripe lists an event ("List all events" in its API reference).
pub const LISTED_FOR: Seconds = 30 * 86_400;

/// Which events to fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackfillRange {
    /// Those that Stripe could not deliver to every endpoint. Events from before an
    /// endpoint existed are not among them.
    Undelivered,
    /// All that were created since this time, in seconds since 1970.
    Since(Seconds),
}

impl BackfillRange {
    /// The name of its job. Each is resumed separately.
    #[must_use]
    pub fn job(self) -> &'static str {
        match self {
            Self::Undelivered => JOB,
            Self::Since(_) => JOB_SINCE,
        }
    }
}

/// The figures of a backfill.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BackfillReport {
    /// Events that Stripe listed.
    pub listed: u64,
    /// Those that were never received.
    pub missed: u64,
    /// Those put on the work queue.
    pub put: u64,
    /// Requests to Stripe.
    pub requests: u64,
    /// When the oldest missed event was created that is not on the work queue yet.
    pub oldest_missing: Option<Seconds>,
    /// When the newest event was created that was listed.
    pub reached: Option<Seconds>,
}

/// How far a backfill came. It resumes there if it is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct BackfillCursor {
    which: BackfillRange,
    /// The newest event that is done.
    event: String,
    created: Seconds,
}

/// The fields that are read of a listed event.
#[derive(Debug, Deserialize)]
struct EventHead {
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    created: Seconds,
}

struct BackfillRun<'t, 's, T> {
    tools: &'t RecoveryTools,
    session: &'s mut PgConnection,
    which: BackfillRange,
    report: &'t mut BackfillReport,
    tell: T,
}

/// Fetches the events of `which`, and resumes where an earlier run was cut off.
/// `report` is filled in also if an error ends the run; `tell` is called after each page.
///
/// # Errors
/// Stripe's, PostgreSQL's or RabbitMQ's, or that it is time to stop. Events already on
/// the work queue stay there and are not fetched again.
pub async fn backfill(
    tools: &RecoveryTools,
    session: &mut PgConnection,
    which: BackfillRange,
    report: &mut BackfillReport,
    tell: impl FnMut(&BackfillReport) + Send,
) -> Result<(), RecoveryError> {
    let mut run = BackfillRun {
        tools,
        session,
        which,
        report,
        tell,
    };
    run.all().await
}

impl<T: FnMut(&BackfillReport) + Send> BackfillRun<'_, '_, T> {
    async fn all(&mut self) -> Result<(), RecoveryError> {
        // What the last run missed stays missing until this run has ended.
        let last: Option<BackfillReport> = job::report(self.session, self.which.job()).await?;
        self.report.oldest_missing = last.and_then(|last| last.oldest_missing);
        let from = match self.which {
            BackfillRange::Undelivered => now_ms() / 1_000 - LISTED_FOR,
            BackfillRange::Since(since) => since,
        };
        let resumed: Option<BackfillCursor> = job::cursor(self.session, self.which.job()).await?;
        let mut newest = match resumed.filter(|cursor| cursor.which == self.which) {
            // If Stripe does not list that event any more, start from its time.
            Some(cursor) if self.knows(&cursor).await? => Some(cursor.event),
            Some(cursor) => self.oldest_page(cursor.created.max(from)).await?,
            None => self.oldest_page(from).await?,
        };
        // From there to the newest event, page by page.
        while let Some(event) = newest {
            let newer = self.filter(from).with("ending_before", &event);
            let answer = self.get(&newer).await?;
            newest = self.take(&answer).await?;
        }
        self.report.oldest_missing = None;
        Ok(())
    }

    async fn knows(&mut self, cursor: &BackfillCursor) -> Result<bool, RecoveryError> {
        self.report.requests += 1;
        match self
            .tools
            .api
            .get(&format!("/events/{}", cursor.event), &Form::new())
            .await
        {
            Ok(_) => Ok(true),
            Err(ApiError::NotFound) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn filter(&self, from: Seconds) -> Form {
        let filter = Form::new().with("created[gte]", &from);
        match self.which {
            BackfillRange::Undelivered => filter.with("delivery_success", "false"),
            BackfillRange::Since(_) => filter,
        }
    }

    async fn get(&mut self, filter: &Form) -> Result<ApiAnswer, RecoveryError> {
        self.tools.check_stop()?;
        self.report.requests += 1;
        Ok(page::get(&self.tools.api, "/events", filter).await?)
    }

    /// Finds and takes the oldest page. Stripe's lists begin with the newest event, so
    /// this halves the time span until one page is left. Returns the page's newest event.
    async fn oldest_page(&mut self, from: Seconds) -> Result<Option<String>, RecoveryError> {
        let top = now_ms() / 1_000 + 86_400;
        let middle = |low: Seconds, high: Seconds| low + ((high - low) / 2).max(1);
        // low to high holds more than one page; low to until is asked for next.
        let (mut low, mut high, mut until) = (from, top, top);
        loop {
            let answer = self.get(&self.filter(low).with("created[lt]", &until)).await?;
            let page = Page::of(&answer)?;
            if !page.data.is_empty() {
                match (page.has_more, until - low) {
                    (false, _) => return self.take(&answer).await,
                    // More than a page in one second: their order does not matter.
                    (true, ..=1) => return self.second(low, answer).await,
                    (true, _) => high = until,
                }
                until = middle(low, high);
            } else if until == top {
                return Ok(None);
            } else if until == high {
                // These events were delivered meanwhile. Look at the newer ones.
                (low, high, until) = (until, top, top);
            } else {
                low = until;
                until = middle(low, high);
            }
        }
    }

    /// Takes all events of one second. `first` is its newest page.
    async fn second(&mut self, second: Seconds, first: ApiAnswer) -> Result<Option<String>, RecoveryError> {
        let newest = Page::of(&first)?.first_id()?;
        let mut answer = first;
        loop {
            let page = Page::of(&answer)?;
            let (last, more) = (page.last_id()?, page.has_more);
            self.put(&answer).await?;
            let older_than = if more { last } else { None };
            let Some(last) = older_than else {
                if let Some(event) = &newest {
                    self.reach(event, second).await?;
                }
                return Ok(newest);
            };
            let older = self.filter(second).with("created[lt]", &(second + 1));
            answer = self.get(&older.with("starting_after", &last)).await?;
        }
    }

    /// Takes the oldest page of what is left. Returns its newest event, if there is one.
    async fn take(&mut self, answer: &ApiAnswer) -> Result<Option<String>, RecoveryError> {
        let Some(newest) = self.put(answer).await? else {
            return Ok(None);
        };
        self.reach(&newest.id, newest.created).await?;
        Ok(Some(newest.id))
    }

    /// Records that all events up to this one are done.
    async fn reach(&mut self, event: &str, created: Seconds) -> Result<(), RecoveryError> {
        let cursor = BackfillCursor {
            which: self.which,
            event: event.to_owned(),
            created,
        };
        Ok(job::reach(self.session, self.which.job(), &cursor).await?)
    }

    /// Puts the events of a page that were never received on the work queue. Returns
    /// the page's newest event.
    async fn put(&mut self, answer: &ApiAnswer) -> Result<Option<EventHead>, RecoveryError> {
        let page = Page::of(answer)?;
        let mut heads = Vec::with_capacity(page.data.len());
        for object in &page.data {
            let head: EventHead = serde_json::from_str(object.get())
                .map_err(|error| ApiError::Unavailable(format!("an event of its list: {error}")))?;
            heads.push((head, object.get()));
        }
        let ids: Vec<&str> = heads.iter().map(|(head, _)| head.id.as_str()).collect();
        let received = store::received(self.session, &ids).await?;
        let missed = heads
            .iter()
            .rev()
            .filter(|(head, _)| !received.iter().any(|id| id.as_str() == head.id));
        let missed: Vec<&(EventHead, &str)> = missed.collect();
        self.report.listed += heads.len() as u64;
        self.report.missed += missed.len() as u64;
        if let (Some(work_queue), Some((oldest, _))) = (&self.tools.work_queue, missed.first()) {
            let message = |(head, body): &&(EventHead, &str)| Message {
                id: head.id.clone(),
                kind: head.kind.clone(),
                body: body.as_bytes().to_vec(),
            };
            let messages: Vec<Message> = missed.iter().map(message).collect();
            let put = work_queue.put(&messages, Source::Backfill).await;
            if put.is_err() {
                let missing = self.report.oldest_missing.unwrap_or(oldest.created);
                self.report.oldest_missing = Some(missing.min(oldest.created));
            }
            put?;
            self.report.put += messages.len() as u64;
        }
        self.report.reached = heads.first().map(|(head, _)| head.created).max(self.report.reached);
        (self.tell)(self.report);
        Ok(heads.into_iter().next().map(|(head, _)| head))
    }
}
