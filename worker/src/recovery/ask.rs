//! Asks Stripe about subscriptions with several changes in one second whose order the
//! events do not show. The fold that finds this writes a question to the database, in
//! its own transaction, so that no crash loses it. No delivery waits for the answer:
//! until it comes, a fixed rule decides the order.

use super::{error::RecoveryError, tools::RecoveryTools};
use crate::{
    read::stripe::snapshot,
    store::question::{self, StripeQuestion},
};
use serde_json::value::RawValue;
use shared::message::Source;
use shared::work_queue::Message;
use std::time::Duration;
use stripe_api::ApiError;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Questions that a worker takes at once. It asks them one by one, within the lease.
const BATCH_MAX: i64 = 4;
/// Seconds in which no other worker asks the same. Longer with each attempt, up to a
/// quarter of an hour.
const LEASE_S: i32 = 60;
/// Seconds until the next attempt, after an answer of too early a second.
const SOON_S: i32 = 2;

/// Asks the questions that are due, until it is time to stop.
pub async fn run(tools: RecoveryTools) {
    while !tools.stop.is_cancelled() {
        if let Err(error) = ask_due(&tools).await {
            tracing::debug!(%error, "the questions to Stripe cannot be asked now");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = tools.stop.cancelled() => {}
        }
    }
}

async fn ask_due(tools: &RecoveryTools) -> Result<(), RecoveryError> {
    let questions = question::take(&mut *tools.pool.acquire().await?, BATCH_MAX, LEASE_S).await?;
    for question in questions {
        tools.check_stop()?;
        if let Err(error) = ask(tools, &question).await {
            let subscription = question.subscription.as_str();
            tracing::warn!(%error, subscription, tries = question.tries, "Stripe did not answer about a subscription; it is asked again later");
        }
    }
    Ok(())
}

async fn ask(tools: &RecoveryTools, question: &StripeQuestion) -> Result<(), RecoveryError> {
    let id = &question.subscription;
    let Some(work_queue) = &tools.work_queue else {
        return Ok(());
    };
    match tools.api.subscription_once(id.as_str()).await {
        // An answer of the same second may be older than the changes.
        Ok(answer) if answer.at <= question.after => {
            return Ok(question::postpone(&mut *tools.pool.acquire().await?, question, SOON_S).await?);
        }
        Ok(answer) => {
            let object: &RawValue = answer.json()?;
            if let Ok(shown) = snapshot::read(object, None, answer.at, &tools.reader.catalog) {
                let (id, body) = snapshot::message(&shown, object, answer.at, &[])?;
                let kind = snapshot::KIND.to_owned();
                work_queue.put(&[Message { id, kind, body }], Source::Snapshot).await?;
            }
        }
        Err(ApiError::NotFound | ApiError::NoId) => {
            tracing::warn!(
                subscription = id.as_str(),
                "Stripe does not know a subscription, although events mention it"
            );
        }
        Err(error) => return Err(error.into()),
    }
    Ok(question::answered(&mut *tools.pool.acquire().await?, question).await?)
}
