//! What all pages share.

use super::{database::PageDatabase, rates::Rates, session::SessionKeys, throttle::Throttle};
use crate::{dead_letters::tools::MoveTools, read::message::EventReader};
use shared::token::Token;
use std::sync::{Arc, Mutex};

/// The state that all pages share.
pub(crate) struct Console {
    /// `OPS_TOKEN`.
    pub(super) token: Token,
    pub(super) keys: SessionKeys,
    pub(super) throttle: Mutex<Throttle>,
    pub(super) database: PageDatabase,
    pub(super) rates: Arc<Rates>,
    pub(super) tools: MoveTools,
    pub(super) event_reader: EventReader,
}

impl Console {
    /// A console that `token` unlocks. It moves dead letters with `tools`, and
    /// reads their payloads with `event_reader`.
    pub(crate) fn new(token: Token, tools: MoveTools, event_reader: EventReader) -> Self {
        Self {
            keys: SessionKeys::of(&token),
            token,
            throttle: Mutex::default(),
            database: PageDatabase::new(tools.pool.clone()),
            rates: Arc::default(),
            tools,
            event_reader,
        }
    }
}
