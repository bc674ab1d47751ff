//! Whom this peer must be connected to, and when to try again: the peers that it was told to join by, and the authorities.
//!
//! A first dial that fails must not be the last one, or two nodes that start a second apart never meet. So every target is
//! dialled again for ever, ever more slowly up to a bound, and at once fast again after it was connected.

use std::time::{Duration, Instant};

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::peer::split_address;

/// The wait after the first failure; it doubles with each further one.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(15);

/// Someone to be connected to.
#[derive(Debug)]
struct Target {
    /// Where; none if only the routing table can say.
    address: Option<Multiaddr>,
    /// Who must be there; none if whoever answers is right.
    expected: Option<PeerId>,
    /// Who answered there last.
    found: Option<PeerId>,
    failures: u32,
    due: Instant,
    dialing: Option<ConnectionId>,
    /// It is this peer itself.
    itself: bool,
}

impl Target {
    fn peer(&self) -> Option<PeerId> {
        self.expected.or(self.found)
    }

    fn options(&self) -> DialOpts {
        // A port of its own for each dial: with the listening port on both ends, two peers that dial each other at the
        // same moment make one connection with two dialers, which fails.
        match (self.expected, &self.address) {
            (Some(peer), address) => DialOpts::peer_id(peer)
                .addresses(address.iter().cloned().collect())
                .extend_addresses_through_behaviour()
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .allocate_new_port()
                .build(),
            (None, Some(address)) => DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build(),
            (None, None) => unreachable!("a target has an address or a peer"),
        }
    }
}

/// All targets.
#[derive(Debug)]
pub(super) struct Dialer {
    targets: Vec<Target>,
}

impl Dialer {
    pub(super) fn new(
        local: PeerId,
        addresses: &[Multiaddr],
        authorities: impl IntoIterator<Item = PeerId>,
        now: Instant,
    ) -> Self {
        let target = |address, expected: Option<PeerId>| Target {
            address,
            expected,
            found: None,
            failures: 0,
            due: now,
            dialing: None,
            itself: expected == Some(local),
        };
        let mut targets: Vec<Target> = Vec::new();
        for address in addresses {
            let (address, peer) = split_address(address);
            targets.push(target(Some(address), peer));
        }
        for authority in authorities {
            // Those with an address stand above.
            if !targets.iter().any(|target| target.expected == Some(authority)) {
                targets.push(target(None, Some(authority)));
            }
        }
        Self { targets }
    }

    /// Who is to be dialled now. Each is to be reported by [`Dialer::dialing`], and later by what became of it.
    pub(super) fn due(&mut self, now: Instant, connected: impl Fn(&PeerId) -> bool) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        for target in self.targets.iter_mut().filter(|target| !target.itself) {
            if target.peer().is_some_and(|peer| connected(&peer)) {
                target.failures = 0;
                target.due = now;
            } else if target.dialing.is_none() && target.due <= now {
                let options = target.options();
                target.dialing = Some(options.connection_id());
                dials.push(options);
            }
        }
        dials
    }

    /// A dial led to `peer`.
    pub(super) fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(target) = self.targets.iter_mut().find(|target| target.dialing == Some(connection)) {
            target.dialing = None;
            target.found = Some(peer);
        }
    }

    /// A dial failed; `itself` if it reached this very peer. Returns the peer whose addresses should be looked for.
    pub(super) fn failed(
        &mut self,
        connection: ConnectionId,
        itself: bool,
        now: Instant,
        jitter: f64,
    ) -> Option<PeerId> {
        let target = self.targets.iter_mut().find(|target| target.dialing == Some(connection))?;
        target.dialing = None;
        target.itself |= itself;
        Self::delay(target, now, jitter);
        target.expected
    }

    /// `peer` is of another network: no hurry to meet it again.
    pub(super) fn foreign(&mut self, peer: &PeerId, now: Instant) {
        for target in self.targets.iter_mut().filter(|target| target.peer() == Some(*peer)) {
            target.failures = 32;
            Self::delay(target, now, 1.0);
        }
    }

    fn delay(target: &mut Target, now: Instant, jitter: f64) {
        let wait =
            WAIT_FIRST.saturating_mul(1u32.checked_shl(target.failures.min(20)).unwrap_or(u32::MAX)).min(WAIT_MAX);
        target.failures = target.failures.saturating_add(1);
        target.due = now + wait.mul_f64(0.75 + jitter.clamp(0.0, 1.0) / 2.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialer(addresses: &[&str], authorities: &[PeerId], now: Instant) -> Dialer {
        let addresses: Vec<Multiaddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        Dialer::new(PeerId::random(), &addresses, authorities.iter().copied(), now)
    }

    #[test]
    fn a_target_is_dialled_for_ever_ever_more_slowly() {
        let mut now = Instant::now();
        let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let start = now;
            let dials = loop {
                let dials = dialer.due(now, |_| false);
                if !dials.is_empty() {
                    break dials;
                }
                now += Duration::from_millis(10);
            };
            waits.push(now - start);
            assert_eq!(dialer.due(now, |_| false).len(), 0, "not while it is being dialled");
            dialer.failed(dials[0].connection_id(), false, now, 0.5);
        }
        assert_eq!(waits[..4], [0, 100, 200, 400].map(Duration::from_millis));
        assert_eq!(waits[11], WAIT_MAX);
    }

    #[test]
    fn a_connected_target_is_left_alone_and_dialled_at_once_when_lost() {
        let now = Instant::now();
        let peer = PeerId::random();
        let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
        let dials = dialer.due(now, |_| false);
        dialer.connected(dials[0].connection_id(), peer);
        assert_eq!(dialer.due(now, |known| *known == peer).len(), 0);
        assert_eq!(dialer.due(now, |_| false).len(), 1);
    }

    #[test]
    fn this_peers_own_address_is_dialled_once_only() {
        let now = Instant::now();
        let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
        let dials = dialer.due(now, |_| false);
        dialer.failed(dials[0].connection_id(), true, now, 0.5);
        assert_eq!(dialer.due(now + Duration::from_secs(3600), |_| false).len(), 0);
    }

    #[test]
    fn an_authority_with_an_address_is_one_target() {
        let peer = PeerId::random();
        let dialer = dialer(&[&format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}")], &[peer, PeerId::random()], Instant::now());
        assert_eq!(dialer.targets.len(), 2);
    }
}
