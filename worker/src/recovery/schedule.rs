//! When a worker fetches missed events from Stripe by itself.

use super::{backfill, reconcile};
use shared::settings::{Fallback, Group, LENGTH_MAX, Length, Parsed, Setting, SettingError, Settings, parse_duration};
use std::time::Duration;

const INTERVAL: Parsed<Option<Duration>> = Parsed {
    read: interval,
    allowed: "off, or 1ms to 30d",
};

/// From one backfill to the next.
pub static BACKFILL_INTERVAL: Setting<Parsed<Option<Duration>>> = Setting {
    name: "BACKFILL_INTERVAL",
    group: Group::Recovery,
    form: INTERVAL,
    default: Fallback::Value("1h"),
    meaning: "How often a worker fetches the events that Stripe could not deliver. Needs STRIPE_SECRET_KEY.",
};
/// From one reconcile to the next.
pub static RECONCILE_INTERVAL: Setting<Parsed<Option<Duration>>> = Setting {
    name: "RECONCILE_INTERVAL",
    group: Group::Recovery,
    form: INTERVAL,
    default: Fallback::Value("1h"),
    meaning: "How often a worker compares all subscriptions with Stripe and repairs those that differ. Needs \
              STRIPE_SECRET_KEY.",
};
/// How long an event may be under way before a difference counts.
pub static RECONCILE_SETTLE: Setting<Length> = Setting {
    name: "RECONCILE_SETTLE",
    group: Group::Recovery,
    form: Length { max: LENGTH_MAX },
    default: Fallback::Value("5s"),
    meaning: "How long an event may be under way before a subscription that differs from Stripe counts as wrong.",
};

fn interval(text: &str) -> Result<Option<Duration>, String> {
    if text == "off" {
        return Ok(None);
    }
    parse_duration(text).map(Some)
}

/// When a worker fetches missed events from Stripe by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// From one backfill to the next; `None`: a worker does none by itself.
    pub backfill: Option<Duration>,
    /// From one reconcile to the next; `None`: a worker does none by itself.
    pub reconcile: Option<Duration>,
    /// How long an event may be under way before a difference counts.
    pub settle: Duration,
}

impl Schedule {
    /// Reads the settings of recovery alone.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            backfill: settings.get(&BACKFILL_INTERVAL)?,
            reconcile: settings.get(&RECONCILE_INTERVAL)?,
            settle: settings.get(&RECONCILE_SETTLE)?,
        })
    }

    /// The jobs that a worker does by itself.
    #[must_use]
    pub fn jobs(self) -> Vec<&'static str> {
        let jobs = [(self.backfill, backfill::JOB), (self.reconcile, reconcile::JOB)];
        let on = jobs.into_iter().filter(|(interval, _)| interval.is_some());
        on.map(|(_, job)| job).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_off_is_not_done() {
        let schedule = Schedule::from_settings(&Settings::from_pairs(&[("BACKFILL_INTERVAL", "off")]));
        let schedule = schedule.expect("can be used");
        assert_eq!(schedule.jobs(), [reconcile::JOB]);
        assert_eq!(schedule.reconcile, Some(Duration::from_hours(1)));
        let wrong = Schedule::from_settings(&Settings::from_pairs(&[("RECONCILE_INTERVAL", "never")]));
        let wrong = wrong.expect_err("not a length of time").to_string();
        assert!(wrong.starts_with("RECONCILE_INTERVAL: "), "{wrong}");
    }
}
