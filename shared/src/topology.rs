//! The names and arguments of all queues. They work on RabbitMQ 3.10 to 4.x: quorum
//! queues, the default exchange, no plugin. No setting changes an argument of a queue
//! that exists, because RabbitMQ refuses such a declaration.

use crate::settings::{Fallback, Group, Parsed, Setting, SettingError, Settings, format_duration, parse_duration};
use lapin::{
    Channel,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable, LongString},
};
use std::time::Duration;

/// Most deliveries of a message without an acknowledgement. After them the broker moves
/// the message from the work queue to the over-limit queue. The number is high, because a
/// crash of a worker counts for every message that the worker had prefetched.
pub const DELIVERY_LIMIT: i64 = 100;

/// RabbitMQ 4 drops a message after 20 deliveries if a queue has no limit of its
/// own. A dead letter may be delivered more often than that.
const DEAD_DELIVERY_LIMIT: i64 = 1_000_000_000;

/// Most bytes of a namespace. A queue's name has 255 at most (AMQP 0-9-1, "shortstr").
const NAMESPACE_BYTES_MAX: usize = 100;
const NAMESPACE_ALLOWED: &str = "letters, digits, '-', '_' and '.', at most 100 of them";
/// Most retry queues.
const RETRY_DELAYS_MAX: usize = 20;
const RETRY_DELAYS_ALLOWED: &str =
    "at most 20 lengths of time with commas between them, each longer than the one before";

/// The prefix of the names of all queues.
pub static QUEUE_NAMESPACE: Setting<Parsed<String>> = Setting {
    name: "QUEUE_NAMESPACE",
    group: Group::RabbitMq,
    form: Parsed {
        read: namespace,
        allowed: NAMESPACE_ALLOWED,
    },
    default: Fallback::Value("billing"),
    meaning: "What the names of all queues begin with. The same for ingest and workers.",
};
/// How long a failed message waits for each next try.
pub static RETRY_DELAYS: Setting<Parsed<Vec<Duration>>> = Setting {
    name: "RETRY_DELAYS",
    group: Group::RabbitMq,
    form: Parsed {
        read: retry_delays,
        allowed: RETRY_DELAYS_ALLOWED,
    },
    default: Fallback::Value("2s,10s,1m,5m,30m,2h"),
    meaning: "How long a failed event waits for each next try. After the last one it is a dead letter. The same for \
              ingest and workers. A new delay is a new queue.",
};

fn namespace(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() > NAMESPACE_BYTES_MAX || !text.chars().all(allowed) {
        return Err(format!("must be {NAMESPACE_ALLOWED}"));
    }
    Ok(text.to_owned())
}

fn retry_delays(text: &str) -> Result<Vec<Duration>, String> {
    let delays = text.split(',').map(|delay| parse_duration(delay.trim()));
    let delays = delays.collect::<Result<Vec<_>, _>>()?;
    if delays.len() > RETRY_DELAYS_MAX || !delays.is_sorted_by(|a, b| a < b) {
        return Err(format!("must be {RETRY_DELAYS_ALLOWED}, such as 2s,10s,1m"));
    }
    Ok(delays)
}

/// What a queue of a namespace is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Workers consume it.
    Work,
    /// Dead letters, for operators.
    Dead,
    /// Messages that the broker removed from the work queue. A worker records them.
    OverLimit,
    /// Messages that wait for their next try. There is one queue for each delay.
    Retry,
}

impl Purpose {
    /// Its word in the queue's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Dead => "dead",
            Self::OverLimit => "over-limit",
            Self::Retry => "retry",
        }
    }
}

/// The queues of one namespace. `{ns}` below is the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    namespace: String,
    retry_delays: Vec<Duration>,
}

impl Topology {
    /// Reads [`QUEUE_NAMESPACE`] and [`RETRY_DELAYS`].
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn from_settings(settings: &Settings) -> Result<Self, SettingError> {
        Ok(Self {
            namespace: settings.get(&QUEUE_NAMESPACE)?,
            retry_delays: settings.get(&RETRY_DELAYS)?,
        })
    }

    /// `{ns}.work`, the queue that workers consume.
    #[must_use]
    pub fn work(&self) -> String {
        format!("{}.work", self.namespace)
    }

    /// `{ns}.dead`, the dead-letter queue.
    #[must_use]
    pub fn dead(&self) -> String {
        format!("{}.dead", self.namespace)
    }

    /// `{ns}.over-limit`. The broker moves a message there that reached the delivery limit.
    /// A worker records it and moves it to [`dead`](Self::dead).
    #[must_use]
    pub fn over_limit(&self) -> String {
        format!("{}.over-limit", self.namespace)
    }

    /// `{ns}.retry.{delay}`. A message waits there for `delay`, then the broker moves it
    /// back to the work queue.
    #[must_use]
    pub fn retry(&self, delay: Duration) -> String {
        format!("{}.retry.{}", self.namespace, format_duration(delay))
    }

    /// The purpose of the queue with this name; `None` if it is not in this topology.
    #[must_use]
    pub fn purpose(&self, queue: &str) -> Option<Purpose> {
        let named = [
            (self.work(), Purpose::Work),
            (self.dead(), Purpose::Dead),
            (self.over_limit(), Purpose::OverLimit),
        ];
        let retries = self.retry_delays.iter().map(|d| (self.retry(*d), Purpose::Retry));
        let found = named.into_iter().chain(retries).find(|(name, _)| name == queue);
        found.map(|(_, purpose)| purpose)
    }

    /// The delays, shortest first. Their number is the number of retries.
    #[must_use]
    pub fn retry_delays(&self) -> &[Duration] {
        &self.retry_delays
    }

    /// All names and arguments, in the order of declaration: the target of dead-lettering
    /// before the queue that dead-letters into it.
    #[must_use]
    pub fn queues(&self) -> Vec<(String, FieldTable)> {
        let mut queues = vec![
            (self.dead(), quorum(DEAD_DELIVERY_LIMIT, None)),
            (self.over_limit(), quorum(DEAD_DELIVERY_LIMIT, None)),
            (self.work(), quorum(DELIVERY_LIMIT, Some(&self.over_limit()))),
        ];
        for delay in &self.retry_delays {
            let mut arguments = quorum(DEAD_DELIVERY_LIMIT, Some(&self.work()));
            let ttl_ms = i64::try_from(delay.as_millis()).unwrap_or(i64::MAX);
            arguments.insert("x-message-ttl".into(), AMQPValue::LongLongInt(ttl_ms));
            queues.push((self.retry(*delay), arguments));
        }
        queues
    }

    /// Declares every queue. A queue that exists with the same arguments does not change.
    ///
    /// # Errors
    /// If a queue exists with other arguments, or the channel fails.
    pub async fn declare(&self, channel: &Channel) -> lapin::Result<()> {
        for (name, arguments) in self.queues() {
            channel
                .queue_declare(name.into(), QueueDeclareOptions::durable(), arguments)
                .await?;
        }
        Ok(())
    }
}

/// The arguments of a quorum queue that refuses messages when it is full, and that
/// keeps a message until its dead-letter target has confirmed it (RabbitMQ's page
/// "Quorum Queues", at-least-once dead-lettering).
fn quorum(delivery_limit: i64, dead_letter_to: Option<&str>) -> FieldTable {
    let text = |value: &str| AMQPValue::LongString(LongString::from(value.to_owned()));
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(delivery_limit));
    arguments.insert("x-overflow".into(), text("reject-publish"));
    if let Some(target) = dead_letter_to {
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(target));
        arguments.insert("x-dead-letter-strategy".into(), text("at-least-once"));
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(pairs: &[(&str, &str)]) -> Result<Topology, SettingError> {
        Topology::from_settings(&Settings::from_pairs(pairs))
    }

    #[test]
    fn a_queue_is_declared_after_the_queue_it_dead_letters_into() {
        let queues = topology(&[]).expect("defaults").queues();
        for (position, (name, arguments)) in queues.iter().enumerate() {
            if let Some(AMQPValue::LongString(target)) = arguments.inner().get("x-dead-letter-routing-key") {
                let target = target.to_string();
                assert!(
                    queues[..position].iter().any(|(earlier, _)| *earlier == target),
                    "{name} before {target}"
                );
            }
        }
    }

    #[test]
    fn a_retry_delay_is_part_of_the_name_so_that_no_setting_changes_a_queue() {
        let topology = topology(&[("QUEUE_NAMESPACE", "acme"), ("RETRY_DELAYS", "500ms, 60s")]).expect("valid");
        let names: Vec<_> = topology.queues().into_iter().map(|(name, _)| name).collect();
        assert_eq!(
            names,
            [
                "acme.dead",
                "acme.over-limit",
                "acme.work",
                "acme.retry.500ms",
                "acme.retry.1m"
            ]
        );
    }

    #[test]
    fn names_and_delays_that_cannot_work_are_refused() {
        for pair in [
            ("QUEUE_NAMESPACE", "a b"),
            ("RETRY_DELAYS", "10s,2s"),
            ("RETRY_DELAYS", "1s,1s"),
            ("RETRY_DELAYS", "soon"),
        ] {
            assert!(topology(&[pair]).is_err(), "{pair:?}");
        }
    }
}
