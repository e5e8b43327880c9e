//! Limits how often the token may be guessed. Pure. Its memory is bounded.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// How long a wrong token counts.
const WINDOW: Duration = Duration::from_mins(1);
/// Wrong tokens from one network within the window.
const PER_SOURCE_MAX: usize = 5;
/// Wrong tokens from all networks within the window.
const TOTAL_MAX: usize = 50;

/// The wrong tokens within the window: when, and from which network.
#[derive(Debug, Default)]
pub(super) struct Throttle(VecDeque<(Instant, IpAddr)>);

impl Throttle {
    /// How long `source` must wait before its next try. None if it may try now.
    pub(super) fn wait(&mut self, source: IpAddr, now: Instant) -> Option<Duration> {
        self.0.retain(|(at, _)| now.duration_since(*at) < WINDOW);
        let source = network(source);
        let until = |tries: &mut dyn Iterator<Item = Instant>, max: usize| {
            let tries: Vec<Instant> = tries.collect();
            // One more try is allowed once this one leaves the window.
            let first = tries.len().checked_sub(max)?;
            tries
                .get(first)
                .map(|at| WINDOW.saturating_sub(now.duration_since(*at)))
        };
        let own = until(
            &mut self.0.iter().filter(|t| t.1 == source).map(|t| t.0),
            PER_SOURCE_MAX,
        );
        let all = until(&mut self.0.iter().map(|t| t.0), TOTAL_MAX);
        own.max(all)
    }

    /// Remembers a wrong token.
    pub(super) fn failed(&mut self, source: IpAddr, now: Instant) {
        self.0.push_back((now, network(source)));
    }
}

/// The source that is counted. A holder of an IPv6 address usually has the whole
/// /64 network, so this is the source.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v4(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    #[test]
    fn the_sixth_try_from_one_source_waits_and_other_sources_do_not() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for second in 0..5 {
            let now = start + Duration::from_secs(second);
            assert_eq!(throttle.wait(v4(1), now), None);
            throttle.failed(v4(1), now);
        }
        let now = start + Duration::from_secs(10);
        assert_eq!(
            throttle.wait(v4(1), now),
            Some(WINDOW.saturating_sub(Duration::from_secs(10)))
        );
        assert_eq!(throttle.wait(v4(2), now), None);
        assert_eq!(throttle.wait(v4(1), start + WINDOW), None, "the first is forgotten");
    }

    #[test]
    fn all_sources_together_are_limited_and_so_is_the_memory() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for source in 0..=255 {
            if throttle.wait(v4(source), now).is_none() {
                throttle.failed(v4(source), now);
            }
        }
        assert_eq!(throttle.0.len(), TOTAL_MAX);
        assert_eq!(throttle.wait(v4(200), now), Some(WINDOW));
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for last in 1..=5 {
            throttle.failed(address(&format!("2001:db8::{last}")), now);
        }
        assert!(throttle.wait(address("2001:db8::ffff:1"), now).is_some());
        assert!(throttle.wait(address("2001:db8:0:1::1"), now).is_none());
    }
}
