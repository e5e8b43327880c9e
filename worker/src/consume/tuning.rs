//! How deliveries are gathered and worked on.

use crate::store::settings::LANES;
use shared::{
    http::DRAIN_TIMEOUT,
    settings::{Fallback, Group, LENGTH_MAX, Length, Number, Setting, SettingError, Settings},
};
use std::time::Duration;

/// Events in one transaction.
pub static BATCH_SIZE: Setting<Number> = Setting {
    name: "BATCH_SIZE",
    group: Group::Work,
    form: Number { min: 1, max: 5_000 },
    default: Fallback::Value("200"),
    meaning: "Events in one transaction, at most.",
};
/// The longest wait for a batch to fill.
pub static BATCH_WAIT: Setting<Length> = Setting {
    name: "BATCH_WAIT",
    group: Group::Work,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("2ms"),
    meaning: "How long a batch that is not full waits for more events, at most.",
};
/// Deliveries that a lane has in hand.
pub static PREFETCH: Setting<Number> = Setting {
    name: "PREFETCH",
    group: Group::Work,
    form: Number { min: 1, max: 65_535 },
    default: Fallback::Computed("2 x BATCH_SIZE"),
    meaning: "Deliveries that a worker takes from RabbitMQ before it has settled them, for each lane, at most. They \
              are in memory: LANES x PREFETCH bodies of ingest's BODY_LIMIT_BYTES at most.",
};

/// How deliveries are gathered and worked on.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Events in one transaction, at most.
    pub batch_size: usize,
    /// The longest wait for a batch to fill.
    pub batch_wait: Duration,
    /// Batches side by side.
    pub lanes: u32,
    /// Deliveries that a lane has in hand, at most.
    pub prefetch: u16,
    /// Time to finish work under way after the stop.
    pub drain_timeout: Duration,
}

impl Tuning {
    /// Reads these settings alone.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        let batch_size = settings.get(&BATCH_SIZE)?;
        let prefetch = settings.find(&PREFETCH)?.unwrap_or(2 * batch_size);
        Ok(Self {
            batch_size: batch_size as usize,
            batch_wait: settings.get(&BATCH_WAIT)?,
            lanes: settings.get(&LANES)?,
            prefetch: u16::try_from(prefetch).unwrap_or(u16::MAX),
            drain_timeout: settings.get(&DRAIN_TIMEOUT)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_takes_two_batches_unless_set_otherwise() {
        let tuning = |pairs: &[(&str, &str)]| Tuning::from_settings(&Settings::from_pairs(pairs)).expect("can be used");
        let by_default = tuning(&[]);
        assert_eq!(
            (by_default.batch_size, by_default.lanes, by_default.prefetch),
            (200, 4, 400)
        );
        assert_eq!(tuning(&[("BATCH_SIZE", "50")]).prefetch, 100);
        assert_eq!(tuning(&[("BATCH_SIZE", "50"), ("PREFETCH", "7")]).prefetch, 7);
    }
}
