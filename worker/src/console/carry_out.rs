//! Carries out a replay or a discard that an operator confirmed.

use super::{
    confirm::{WHY_CHARS_MAX, confirmed, page_error},
    fields::FormFields,
    page_error::PageError,
    state::Console,
    visitor::Visitor,
};
use crate::{
    dead_letters::{
        discard,
        error::MoveError,
        replay::{self, ReplayReport},
    },
    store::action::{Operator, Via},
};
use axum::{
    Extension,
    extract::State,
    response::{IntoResponse, Redirect, Response},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::mpsc;

/// How long the answer waits until an action is on record. The action first takes
/// the lock on dead letters, and connects to the broker.
const BEGIN_TIMEOUT: Duration = Duration::from_secs(20);

/// The number of an action, as soon as it is on record, or its error.
type BegunAction = Result<i64, MoveError>;

/// `POST /console/replay`
pub(super) async fn replay(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Response, PageError> {
    let (selection, why) = (confirmed(&console, &fields, visitor.now_ms).await?, why(&fields)?);
    let (tools, operator) = (console.tools.clone(), operator(visitor));
    let (sender, receiver) = mpsc::unbounded_channel();
    // The replay continues after the answer. The action's page shows its progress.
    tokio::spawn(async move {
        let on_progress = sender.clone();
        let progress = move |so_far: &ReplayReport| {
            // The handler that waits for the number may be gone.
            let _ = on_progress.send(Ok(so_far.action));
        };
        let done = replay::replay(&tools, &selection, &operator, why.as_deref(), progress).await;
        report(done.map(|done| done.action), &sender);
    });
    answer(receiver).await
}

/// `POST /console/discard`
pub(super) async fn discard(
    State(console): State<Arc<Console>>,
    Extension(visitor): Extension<Visitor>,
    Extension(fields): Extension<FormFields>,
) -> Result<Response, PageError> {
    let why = why(&fields)?.ok_or_else(|| PageError::Invalid("give a reason: it goes on record".to_owned()))?;
    let selection = confirmed(&console, &fields, visitor.now_ms).await?;
    let (tools, operator) = (console.tools.clone(), operator(visitor));
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let done = discard::discard(&tools, &selection, &operator, &why).await;
        report(done.map(|done| done.action), &sender);
    });
    answer(receiver).await
}

/// Logs an error, because the handler that waits for it may be gone.
fn report(done: BegunAction, sender: &mpsc::UnboundedSender<BegunAction>) {
    if let Err(error) = &done {
        tracing::error!(%error, "an action of the console failed");
    }
    let _ = sender.send(done);
}

fn operator(visitor: Visitor) -> Operator {
    Operator {
        name: visitor.operator,
        via: Via::Console,
    }
}

fn why(fields: &FormFields) -> Result<Option<String>, PageError> {
    let why = fields.get("why");
    if why.is_some_and(|why| why.chars().count() > WHY_CHARS_MAX) {
        let limit = format!("give a reason of at most {WHY_CHARS_MAX} characters");
        return Err(PageError::Invalid(limit));
    }
    Ok(why.map(str::to_owned))
}

/// Redirects to the action's page as soon as the action is on record.
async fn answer(mut receiver: mpsc::UnboundedReceiver<BegunAction>) -> Result<Response, PageError> {
    match tokio::time::timeout(BEGIN_TIMEOUT, receiver.recv()).await {
        Ok(Some(Ok(action))) => Ok(Redirect::to(&format!("/console/actions/{action}")).into_response()),
        Ok(Some(Err(error))) => Err(page_error(error)),
        Ok(None) => Err(PageError::Bug),
        Err(_) => Ok(Redirect::to("/console/actions").into_response()),
    }
}
