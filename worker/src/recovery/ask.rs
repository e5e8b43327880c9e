//! Changes of one second whose order no event tells: Stripe is asked how the
//! subscription stands. The question was written with the fold that found it, so
//! that no crash forgets it, and nothing waits for the answer: until it comes, a
//! fixed rule decides.

use super::{RecoveryError, Tools};
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
/// As many as are asked, one by one, within the lease.
const AT_ONCE: i64 = 4;
/// For so long nobody else asks; longer, up to a quarter of an hour, with each try.
const LEASE_S: i32 = 60;
/// When an answer was of too early a second.
const SOON_S: i32 = 2;

/// Asks what there is to ask, until it is time to stop.
pub async fn run(tools: Tools) {
    while !tools.stop.is_cancelled() {
        if let Err(error) = some(&tools).await {
            tracing::debug!(%error, "what Stripe is to be asked cannot be asked now");
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = tools.stop.cancelled() => {}
        }
    }
}

async fn some(tools: &Tools) -> Result<(), RecoveryError> {
    let questions = question::take(&mut *tools.pool.acquire().await?, AT_ONCE, LEASE_S).await?;
    for question in questions {
        tools.go_on()?;
        if let Err(error) = one(tools, &question).await {
            let subscription = question.subscription.as_str();
            tracing::warn!(%error, subscription, tries = question.tries, "Stripe does not say how a subscription stands; it is asked again later");
        }
    }
    Ok(())
}

async fn one(tools: &Tools, question: &StripeQuestion) -> Result<(), RecoveryError> {
    let id = &question.subscription;
    let Some(outlet) = &tools.work_queue else { return Ok(()) };
    match tools.api.subscription_once(id.as_str()).await {
        // Of the same second it may be from before the changes in question.
        Ok(answer) if answer.at <= question.after => {
            return Ok(question::postpone(&mut *tools.pool.acquire().await?, question, SOON_S).await?);
        }
        Ok(answer) => {
            let object: &RawValue = answer.json()?;
            if let Ok(shown) = snapshot::read(object, &tools.reader.catalog) {
                let (id, body) = snapshot::message(&shown, object, answer.at, &[])?;
                let kind = snapshot::KIND.to_owned();
                outlet.put(&[Message { id, kind, body }], Source::Snapshot).await?;
            }
        }
        Err(ApiError::NotFound | ApiError::NoId) => {
            tracing::warn!(
                subscription = id.as_str(),
                "Stripe does not know a subscription that events told of"
            );
        }
        Err(error) => return Err(error.into()),
    }
    Ok(question::answered(&mut *tools.pool.acquire().await?, question).await?)
}
