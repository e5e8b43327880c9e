//! The lock for replays and discards.

use super::{error::MoveError, selection::Selection, tools::MoveTools};
use crate::store::action::{self, ActionKind, Intent, Operator};
use sqlx::PgConnection;

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
        if !action::try_lock(&mut session).await? {
            return Err(MoveError::Busy);
        }
        action::end_cut_off(&mut session).await?;
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
