//! The lock for replays, discards and sweeps.

use super::{error::MoveError, selection::Selection, tools::MoveTools};
use crate::{
    failure::DatabaseFault,
    store::{
        action::{self, ActionKind, Intent, Operator},
        job,
    },
};
use sqlx::PgConnection;
use std::time::Duration;
use tokio::time::Instant;

/// The job of a worker that removes messages of resolved dead letters.
const SWEEP: &str = "dead_letter_sweep";
/// How long an operator's command waits for that job.
const SWEEP_MAX: Duration = Duration::from_secs(30);
/// How often the record of actions that were cut off is tried to be closed.
const CUT_OFF_TRIES: usize = 5;
/// The pause before it looks again.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// The lock on the messages of the dead-letter queue. One replay or discard has
/// it at a time: a message that another one has taken would look like a lost
/// message. PostgreSQL frees the lock when the session ends, also if the process
/// is killed.
pub(super) struct MoveLock {
    /// The session that has the lock.
    pub(super) session: PgConnection,
}

impl MoveLock {
    /// Takes the lock, and closes the record of actions that were cut off.
    ///
    /// # Errors
    /// [`MoveError::Busy`] if another replay or discard has the lock.
    pub(super) async fn take(tools: &MoveTools) -> Result<Self, MoveError> {
        // Detached from the pool: the session must end with the lock.
        let mut session = tools.pool.acquire().await?.detach();
        let until = Instant::now() + SWEEP_MAX;
        while !action::try_lock(&mut session).await? {
            // A worker that sweeps is done soon; another operator may take long.
            let is_swept = !job::lead(&mut session, SWEEP).await?;
            if !is_swept || Instant::now() > until {
                return Err(MoveError::Busy);
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        end_cut_off(&mut session).await?;
        Ok(Self { session })
    }

    /// Takes the lock for a worker that sweeps the queue. Operators wait for it.
    ///
    /// # Errors
    /// [`MoveError::Busy`] if an action or another worker has the lock.
    pub(super) async fn take_for_sweep(tools: &MoveTools) -> Result<Self, MoveError> {
        let mut session = tools.pool.acquire().await?.detach();
        if !job::lead(&mut session, SWEEP).await? || !action::try_lock(&mut session).await? {
            return Err(MoveError::Busy);
        }
        Ok(Self { session })
    }

    /// Puts the intent of an action on record. Returns the number of the action.
    pub(super) async fn begin(
        &mut self,
        operator: &Operator,
        kind: ActionKind,
        selection: &Selection,
        why: Option<&str>,
        dead_letters: usize,
    ) -> Result<i64, sqlx::Error> {
        let selection = selection.words();
        let intent = Intent {
            operator,
            kind,
            selection: &selection,
            why,
            dead_letters,
        };
        action::begin_action(&mut self.session, &intent).await
    }
}

/// Closes the record of actions that were cut off. Workers may settle the same letters just
/// now, so PostgreSQL may end the statement; then it is done again.
async fn end_cut_off(session: &mut PgConnection) -> Result<(), sqlx::Error> {
    for _ in 1..CUT_OFF_TRIES {
        match action::end_cut_off(session).await {
            Err(error) if DatabaseFault::of(&error) == DatabaseFault::Conflict => {}
            done => return done,
        }
    }
    action::end_cut_off(session).await
}
