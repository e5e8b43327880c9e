//! How often the token may be guessed. Pure; bounded by what it counts.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// For so long a wrong token is remembered.
const WINDOW: Duration = Duration::from_mins(1);
/// Wrong tokens from one source in that time.
const OF_ONE_MOST: usize = 5;
/// Wrong tokens from all sources in that time.
const OF_ALL_MOST: usize = 50;

/// The wrong tokens of late.
#[derive(Debug, Default)]
pub(super) struct Throttle(VecDeque<(Instant, IpAddr)>);

impl Throttle {
    /// How long `source` must wait before its next try; none if it need not.
    pub(super) fn wait(&mut self, source: IpAddr, now: Instant) -> Option<Duration> {
        self.0.retain(|(at, _)| now.duration_since(*at) < WINDOW);
        let source = network(source);
        let until = |tries: &mut dyn Iterator<Item = Instant>, most: usize| {
            let tries: Vec<Instant> = tries.collect();
            // The first that must be forgotten before one more fits.
            let first = tries.len().checked_sub(most)?;
            tries
                .get(first)
                .map(|at| WINDOW.saturating_sub(now.duration_since(*at)))
        };
        let own = until(&mut self.0.iter().filter(|t| t.1 == source).map(|t| t.0), OF_ONE_MOST);
        let all = until(&mut self.0.iter().map(|t| t.0), OF_ALL_MOST);
        own.max(all)
    }

    /// Remembers a wrong token.
    pub(super) fn failed(&mut self, source: IpAddr, now: Instant) {
        self.0.push_back((now, network(source)));
    }
}

/// Whoever has an address of IPv6 has all of its network.
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
    fn the_sixth_try_of_one_source_waits_and_others_do_not() {
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
    fn many_sources_together_are_limited_too_and_so_is_the_memory() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for source in 0..=255 {
            if throttle.wait(v4(source), now).is_none() {
                throttle.failed(v4(source), now);
            }
        }
        assert_eq!(throttle.0.len(), OF_ALL_MOST);
        assert_eq!(throttle.wait(v4(200), now), Some(WINDOW));
    }

    #[test]
    fn a_network_of_ipv6_is_one_source() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        for last in 1..=5 {
            throttle.failed(address(&format!("2001:db8::{last}")), now);
        }
        assert!(throttle.wait(address("2001:db8::ffff:1"), now).is_some());
        assert!(throttle.wait(address("2001:db8:0:1::1"), now).is_none());
    }
}
