//! How much is taken from whom. Everything that grows with what strangers send is bounded here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How much is taken.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Connections from the network at once.
    pub connections: usize,
    /// Connections to the socket at once. They have a number of their own, so that no stranger shuts the operator out.
    pub operators: usize,
    /// Time for the head of a request, and between two of a connection.
    pub head: Duration,
    /// Time for a body.
    pub body: Duration,
    /// Requests of one peer.
    pub requests: Rate,
    /// Webhooks of one peer: they cost more, for a body is read and hashed before anything is known of its sender.
    pub hooks: Rate,
    /// Bodies of webhooks that are read at once.
    pub bodies: usize,
    /// Listeners to events at once.
    pub listeners: usize,
    /// Time after which a listener must ask again.
    pub listening: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            operators: 32,
            head: Duration::from_secs(10),
            body: Duration::from_secs(10),
            requests: Rate { burst: 200.0, per_second: 100.0 },
            hooks: Rate { burst: 60.0, per_second: 20.0 },
            bodies: 64,
            listeners: 32,
            listening: Duration::from_secs(60 * 60),
        }
    }
}

/// The longest body of an order, in bytes.
pub(super) const ORDER_BODY: usize = 64 * 1024;
/// The longest body of a webhook, in bytes.
pub(super) const HOOK_BODY: usize = 1024 * 1024;
/// The longest head of a request, in bytes.
pub(super) const HEAD: usize = 16 * 1024;
/// What is read of a connection at once, in bytes.
pub(super) const BUFFER: usize = 64 * 1024;

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// So often at once.
    pub burst: f64,
    /// So often a second in the long run.
    pub per_second: f64,
}

/// A token bucket.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    level: f64,
    at: Instant,
}

impl Bucket {
    fn full(rate: Rate, now: Instant) -> Self {
        Self { level: rate.burst, at: now }
    }

    fn level(self, rate: Rate, now: Instant) -> f64 {
        let gained = now.saturating_duration_since(self.at).as_secs_f64() * rate.per_second;
        (self.level + gained).min(rate.burst)
    }

    fn take(&mut self, rate: Rate, now: Instant) -> bool {
        let level = self.level(rate, now);
        let is_there = level >= 1.0;
        *self = Self { level: if is_there { level - 1.0 } else { level }, at: now };
        is_there
    }
}

/// A rate for each peer.
#[derive(Debug)]
pub(super) struct Peers {
    rate: Rate,
    buckets: Mutex<BTreeMap<IpAddr, Bucket>>,
}

/// Peers that are told apart at most. All further ones share one bucket.
const PEERS: usize = 4096;

impl Peers {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, buckets: Mutex::default() }
    }

    /// Whether this peer may do it once more now.
    pub(super) fn admit(&self, peer: IpAddr, now: Instant) -> bool {
        const REST: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let mut peer = network(peer);
        if buckets.len() >= PEERS && !buckets.contains_key(&peer) {
            buckets.retain(|_, bucket| bucket.level(self.rate, now) < self.rate.burst);
            if buckets.len() >= PEERS {
                peer = REST;
            }
        }
        buckets.entry(peer).or_insert_with(|| Bucket::full(self.rate, now)).take(self.rate, now)
    }
}

/// What one customer of a provider gets is one peer: an address, or a network of 64 bits.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// A rate, and how much was left out because of it.
#[derive(Debug)]
pub(super) struct Tap {
    rate: Rate,
    state: Mutex<(Option<Bucket>, u64)>,
}

impl Tap {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, state: Mutex::default() }
    }

    /// How many were left out since the last one, if this one is not left out too.
    pub(super) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (bucket, missed) = &mut *state;
        if bucket.get_or_insert_with(|| Bucket::full(self.rate, now)).take(self.rate, now) {
            Some(std::mem::take(missed))
        } else {
            *missed += 1;
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3.0, per_second: 2.0 };

    #[test]
    fn a_burst_passes_and_then_a_steady_rate() {
        let (peers, start) = (Peers::new(RATE), Instant::now());
        let at = |seconds: f64| start + Duration::from_secs_f64(seconds);
        let peer = IpAddr::from([10, 0, 0, 1]);
        let admitted = |seconds: f64| (0..10).filter(|_| peers.admit(peer, at(seconds))).count();
        assert_eq!((admitted(0.0), admitted(0.6), admitted(100.0)), (3, 1, 3));
        assert!(peers.admit(IpAddr::from([10, 0, 0, 2]), at(100.0)), "others have their own");
    }

    #[test]
    fn the_table_stays_small_and_a_network_is_one_peer() {
        let (peers, start) = (Peers::new(RATE), Instant::now());
        for number in 0..20_000_u32 {
            peers.admit(IpAddr::from(number.to_be_bytes()), start);
        }
        assert!(peers.buckets.lock().unwrap().len() <= PEERS + 1);
        // When those have been quiet for long enough there is room again.
        let later = start + Duration::from_secs(60);
        let [one, other] = ["2001:db8::1", "2001:db8::ffff:2"].map(|text| text.parse::<IpAddr>().unwrap());
        let admitted = (0..4).filter(|_| peers.admit(one, later) | peers.admit(other, later)).count();
        assert_eq!(admitted, 2);
        assert_eq!(peers.buckets.lock().unwrap().len(), 1);
    }

    #[test]
    fn what_was_left_out_is_counted() {
        let (tap, start) = (Tap::new(RATE), Instant::now());
        let answers: Vec<_> = (0..5).map(|_| tap.admit(start)).collect();
        assert_eq!(answers, [Some(0), Some(0), Some(0), None, None]);
        assert_eq!(tap.admit(start + Duration::from_secs(1)), Some(2));
    }
}
