//! The settings of batches and lanes.

use crate::store::settings::LANES;
use shared::{
    http::DRAIN_TIMEOUT,
    settings::{Fallback, Group, LENGTH_MAX, Length, Number, Setting, SettingError, Settings},
};
use std::time::Duration;

/// Most events in one transaction.
pub static BATCH_SIZE: Setting<Number> = Setting {
    name: "BATCH_SIZE",
    group: Group::Work,
    form: Number { min: 1, max: 5_000 },
    default: Fallback::Value("200"),
    meaning: "Events in one transaction, at most.",
};
/// The longest wait for a full batch.
pub static BATCH_WAIT: Setting<Length> = Setting {
    name: "BATCH_WAIT",
    group: Group::Work,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("2ms"),
    meaning: "How long a batch that is not full waits for more events, at most.",
};
/// Most unacknowledged deliveries for each lane.
pub static PREFETCH: Setting<Number> = Setting {
    name: "PREFETCH",
    group: Group::Work,
    form: Number { min: 1, max: 65_535 },
    default: Fallback::Computed("2 x BATCH_SIZE"),
    meaning: "Deliveries that a worker takes from RabbitMQ before it has settled them, for each lane, at most. They \
              are in memory: LANES x PREFETCH bodies of ingest's BODY_LIMIT_BYTES at most.",
};

/// The settings of batches and lanes.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// Most events in one transaction.
    pub batch_size: usize,
    /// The longest wait for a full batch.
    pub batch_wait: Duration,
    /// The number of batches side by side.
    pub lanes: u32,
    /// Most unacknowledged deliveries for each lane.
    pub prefetch: u16,
    /// How long work under way may take after the stop.
    pub drain_timeout: Duration,
}

impl Tuning {
    /// Reads these settings.
    ///
    /// # Errors
    /// If one of them cannot be used.
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
