//! `worker backfill`: puts events on the work queue that Stripe could not
//! deliver, or all since a time, oldest first: those first that Stripe will
//! forget first.

use super::{
    RecoveryError, Tools,
    page::{self, Page},
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

/// The job's name: that of what is done by itself.
pub const JOB: &str = "backfill";
/// The name of the other one, which is by command.
const JOB_SINCE: &str = "backfill_since";
/// For how long Stripe lists an event: its API reference, "List all events".
pub const LISTED_FOR: Seconds = 30 * 86_400;

/// Which events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Those that Stripe could not deliver to every endpoint. It does not know
    /// events from before an endpoint existed as such.
    Undelivered,
    /// All since then.
    Since(Seconds),
}

impl Which {
    /// The name of its job: each is resumed by itself.
    #[must_use]
    pub fn job(self) -> &'static str {
        match self {
            Self::Undelivered => JOB,
            Self::Since(_) => JOB_SINCE,
        }
    }
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Events that Stripe listed.
    pub listed: u64,
    /// Those that had never come.
    pub missed: u64,
    /// Those put on the work queue.
    pub put: u64,
    /// Questions to Stripe.
    pub requests: u64,
    /// When the oldest event was created that was missed and is not on the queue.
    pub oldest_missing: Option<Seconds>,
    /// When the newest event was created that it came to.
    pub reached: Option<Seconds>,
}

/// How far one got that is cut off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Cursor {
    which: Which,
    /// The newest event that is dealt with.
    event: String,
    created: Seconds,
}

/// What we read of an event in a list.
#[derive(Debug, Deserialize)]
struct Head {
    id: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(default)]
    created: Seconds,
}

struct Run<'t, 's, T> {
    tools: &'t Tools,
    session: &'s mut PgConnection,
    which: Which,
    report: &'t mut Report,
    tell: T,
}

/// Fetches all that `which` names, from where one got that was cut off; `report`
/// says how far it is, also after an error.
///
/// # Errors
/// What was put on the queue until then stays there, and is not fetched again.
pub async fn backfill(
    tools: &Tools,
    session: &mut PgConnection,
    which: Which,
    report: &mut Report,
    tell: impl FnMut(&Report) + Send,
) -> Result<(), RecoveryError> {
    let mut run = Run {
        tools,
        session,
        which,
        report,
        tell,
    };
    run.all().await
}

impl<T: FnMut(&Report) + Send> Run<'_, '_, T> {
    async fn all(&mut self) -> Result<(), RecoveryError> {
        // What the last one could not put is missing until this one has come to its end.
        let last: Option<Report> = job::report(self.session, self.which.job()).await?;
        self.report.oldest_missing = last.and_then(|last| last.oldest_missing);
        let from = match self.which {
            Which::Undelivered => now_ms() / 1_000 - LISTED_FOR,
            Which::Since(since) => since,
        };
        let resumed: Option<Cursor> = job::cursor(self.session, self.which.job()).await?;
        let mut newest = match resumed.filter(|cursor| cursor.which == self.which) {
            // Stripe may not list that event any more: then from its time on.
            Some(cursor) if self.knows(&cursor).await? => Some(cursor.event),
            Some(cursor) => self.oldest_page(cursor.created.max(from)).await?,
            None => self.oldest_page(from).await?,
        };
        // From there on, page by page, what is newer.
        while let Some(event) = newest {
            let newer = self.filter(from).with("ending_before", &event);
            let answer = self.get(&newer).await?;
            newest = self.take(&answer).await?;
        }
        self.report.oldest_missing = None;
        Ok(())
    }

    async fn knows(&mut self, cursor: &Cursor) -> Result<bool, RecoveryError> {
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
            Which::Undelivered => filter.with("delivery_success", "false"),
            Which::Since(_) => filter,
        }
    }

    async fn get(&mut self, filter: &Form) -> Result<ApiAnswer, RecoveryError> {
        self.tools.go_on()?;
        self.report.requests += 1;
        Ok(page::get(&self.tools.api, "/events", filter).await?)
    }

    /// Finds the oldest page, since lists begin with the newest: by halving the
    /// time in which it lies. Takes it, and returns the newest event that is taken.
    async fn oldest_page(&mut self, from: Seconds) -> Result<Option<String>, RecoveryError> {
        let top = now_ms() / 1_000 + 86_400;
        let middle = |low: Seconds, high: Seconds| low + ((high - low) / 2).max(1);
        // From low to high there was more than a page; from low to until is looked at.
        let (mut low, mut high, mut until) = (from, top, top);
        loop {
            let answer = self.get(&self.filter(low).with("created[lt]", &until)).await?;
            let page = Page::of(&answer)?;
            if !page.data.is_empty() {
                match (page.has_more, until - low) {
                    (false, _) => return self.take(&answer).await,
                    // In one second: no need to be choosy about its order.
                    (true, ..=1) => return self.second(low, answer).await,
                    (true, _) => high = until,
                }
                until = middle(low, high);
            } else if until == top {
                return Ok(None);
            } else if until == high {
                // All of it was delivered meanwhile: what is newer is still to be found.
                (low, high, until) = (until, top, top);
            } else {
                low = until;
                until = middle(low, high);
            }
        }
    }

    /// Takes all of one second, of which this is the newest page.
    async fn second(&mut self, second: Seconds, first: ApiAnswer) -> Result<Option<String>, RecoveryError> {
        let newest = Page::of(&first)?.first_id()?;
        let mut answer = first;
        loop {
            let page = Page::of(&answer)?;
            let (last, more) = (page.last_id()?, page.has_more);
            self.put(&answer).await?;
            let Some(last) = last.filter(|_| more) else {
                if let Some(event) = &newest {
                    self.reach(event, second).await?;
                }
                return Ok(newest);
            };
            let older = self.filter(second).with("created[lt]", &(second + 1));
            answer = self.get(&older.with("starting_after", &last)).await?;
        }
    }

    /// Takes a page that is the oldest of what is left; returns its newest event,
    /// if there is one.
    async fn take(&mut self, answer: &ApiAnswer) -> Result<Option<String>, RecoveryError> {
        let Some(newest) = self.put(answer).await? else {
            return Ok(None);
        };
        self.reach(&newest.id, newest.created).await?;
        Ok(Some(newest.id))
    }

    /// Notes that all up to this event is dealt with.
    async fn reach(&mut self, event: &str, created: Seconds) -> Result<(), RecoveryError> {
        let cursor = Cursor {
            which: self.which,
            event: event.to_owned(),
            created,
        };
        Ok(job::reach(self.session, self.which.job(), &cursor).await?)
    }

    /// Puts those of a page on the queue that never came; returns its newest.
    async fn put(&mut self, answer: &ApiAnswer) -> Result<Option<Head>, RecoveryError> {
        let page = Page::of(answer)?;
        let mut heads = Vec::with_capacity(page.data.len());
        for object in &page.data {
            let head: Head = serde_json::from_str(object.get())
                .map_err(|error| ApiError::Unavailable(format!("an event of its list: {error}")))?;
            heads.push((head, object.get()));
        }
        let ids: Vec<&str> = heads.iter().map(|(head, _)| head.id.as_str()).collect();
        let received = store::received(self.session, &ids).await?;
        let missed = heads
            .iter()
            .rev()
            .filter(|(head, _)| !received.iter().any(|id| id.as_str() == head.id));
        let missed: Vec<&(Head, &str)> = missed.collect();
        self.report.listed += heads.len() as u64;
        self.report.missed += missed.len() as u64;
        if let (Some(outlet), Some((oldest, _))) = (&self.tools.work_queue, missed.first()) {
            let message = |(head, body): &&(Head, &str)| Message {
                id: head.id.clone(),
                kind: head.kind.clone(),
                body: body.as_bytes().to_vec(),
            };
            let messages: Vec<Message> = missed.iter().map(message).collect();
            let put = outlet.put(&messages, Source::Backfill).await;
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
