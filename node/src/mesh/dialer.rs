//! Keeps this peer connected to its targets: the peers that it was told to join by, and the authorities.
//!
//! A first dial that fails must not be the last one, or two nodes that start a second apart never connect. So every
//! target is dialled again forever, more and more slowly up to a bound.
//!
//! A peer that has no place for another one takes the connection all the same and closes it soon: libp2p has no words
//! for a refusal. So dialling starts fast again only after a connection that was identified and lasted for
//! [`PROVEN_AFTER`]. Whatever ends sooner has failed.
//!
//! A peer that is content, because it has enough others, counts every connection that the other side closed as refused,
//! however long it lasted. If more peers want a place somewhere than there are, each could otherwise come back at once
//! and displace the next one, for ever.

#[cfg(test)]
mod tests;

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use super::{
    handle::Unreached,
    peer::{public_key, split_address},
    trouble::Trouble,
};

/// The wait after the first failure; it doubles with each further one.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait.
const WAIT_MAX: Duration = Duration::from_secs(15);
/// The longest wait for a peer that takes connections and closes them. It is there, and knocking costs it work.
const REFUSED_WAIT_MAX: Duration = Duration::from_secs(60);
/// The same while this peer has enough others. Thousands may want to be connected to one authority.
const CONTENT_WAIT_MAX: Duration = Duration::from_secs(600);
/// How long a connection must last, once it is identified, to show that the peer has a place for this one.
pub(super) const PROVEN_AFTER: Duration = Duration::from_secs(30);
/// How long a connection must last for a content peer to forget earlier refusals.
const FORGIVEN_AFTER: Duration = Duration::from_secs(6 * 3600);

/// A peer to stay connected to.
#[derive(Debug)]
struct Target {
    /// Its address; `None` if only the routing table can say.
    address: Option<Multiaddr>,
    /// The peer that must answer there; `None` if any may.
    expected: Option<PeerId>,
    /// The peer that answered there last.
    found: Option<PeerId>,
    /// Dials in a row that failed, or led to a connection that ended too soon.
    failures: u32,
    /// Those of them that led to a connection which the peer closed.
    refusals: u32,
    /// When the last of them failed.
    failed: Instant,
    /// By how much the wait after it is longer or shorter.
    jitter: f64,
    dialing: Option<ConnectionId>,
    /// What has stood in its way since it was last connected.
    trouble: Option<Trouble>,
    /// Whether the target is this peer itself.
    itself: bool,
    /// Whether it is a target only because it is an authority.
    is_authority: bool,
}

impl Target {
    const fn new(address: Option<Multiaddr>, expected: Option<PeerId>, now: Instant) -> Self {
        Self {
            address,
            expected,
            found: None,
            failures: 0,
            refusals: 0,
            failed: now,
            jitter: 1.0,
            dialing: None,
            trouble: None,
            itself: false,
            is_authority: false,
        }
    }

    fn peer(&self) -> Option<PeerId> {
        self.expected.or(self.found)
    }

    fn unreached(&self) -> Option<Unreached> {
        let trouble = self.trouble.as_ref()?;
        let key = self.peer().as_ref().and_then(public_key);
        Some(Unreached { key, address: self.address.clone(), why: trouble.why.clone(), dials: trouble.dials })
    }

    fn fail(&mut self, now: Instant, jitter: f64) {
        self.failures = self.failures.saturating_add(1);
        self.failed = now;
        self.jitter = 0.75 + jitter.clamp(0.0, 1.0) / 2.0;
    }

    /// Whether it is time to dial it; `content` if this peer has enough others.
    fn is_due(&self, now: Instant, content: bool) -> bool {
        let Some(doublings) = self.failures.checked_sub(1) else { return true };
        let longest = match self.refusals {
            0 => WAIT_MAX,
            _ if content => CONTENT_WAIT_MAX,
            _ => REFUSED_WAIT_MAX,
        };
        let wait = WAIT_FIRST.saturating_mul(1 << doublings.min(20)).min(longest);
        now.saturating_duration_since(self.failed) >= wait.mul_f64(self.jitter)
    }

    fn options(&self) -> DialOpts {
        // Each dial uses a port of its own. With the listening port on both ends, two peers that dial each other at
        // the same time make one connection with two dialers, which fails.
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
        let mut targets: Vec<Target> = Vec::new();
        for address in addresses {
            let (address, peer) = split_address(address);
            let itself = peer == Some(local);
            targets.push(Target { itself, ..Target::new(Some(address), peer, now) });
        }
        let mut dialer = Self { targets };
        for authority in authorities {
            dialer.seek(authority, &[], now);
        }
        dialer
    }

    /// Adds an authority to stay connected to, at these addresses or wherever the routing table finds it.
    pub(super) fn seek(&mut self, peer: PeerId, addresses: &[Multiaddr], now: Instant) {
        let sought = |address: Option<&Multiaddr>| {
            let address = address.map(|address| split_address(address).0);
            Target { is_authority: true, ..Target::new(address, Some(peer), now) }
        };
        for target in addresses.iter().map(|address| sought(Some(address))) {
            let known = |known: &Target| known.expected == Some(peer) && known.address == target.address;
            if !self.targets.iter().any(known) {
                self.targets.push(target);
            }
        }
        if !self.targets.iter().any(|target| target.expected == Some(peer)) {
            self.targets.push(sought(None));
        }
    }

    /// Drops targets that were authorities and are not among these.
    pub(super) fn keep(&mut self, authorities: &HashSet<PeerId>) {
        self.targets.retain(|target| {
            !target.is_authority || target.expected.is_some_and(|expected| authorities.contains(&expected))
        });
    }

    /// The peers of all targets, as far as they are known.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.targets.iter().filter_map(Target::peer)
    }

    /// The dials to make now; `content` if this peer has enough others. The caller reports the result of each by
    /// [`Dialer::connected`] or [`Dialer::failed`], and the end of a connection by [`Dialer::lost`].
    pub(super) fn due(&mut self, now: Instant, content: bool, connected: impl Fn(&PeerId) -> bool) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        for target in self.targets.iter_mut().filter(|target| !target.itself) {
            if target.peer().is_some_and(|peer| connected(&peer)) {
                continue;
            }
            if target.dialing.is_none() && target.is_due(now, content) {
                let options = target.options();
                target.dialing = Some(options.connection_id());
                dials.push(options);
            }
        }
        dials
    }

    /// Reports that a dial led to `peer`.
    pub(super) fn connected(&mut self, connection: ConnectionId, peer: PeerId) {
        if let Some(target) = self.targets.iter_mut().find(|target| target.dialing == Some(connection)) {
            target.dialing = None;
            target.found = Some(peer);
        }
        self.reached(peer);
    }

    /// Reports that there is a connection with `peer`, whoever made it.
    pub(super) fn reached(&mut self, peer: PeerId) {
        for target in self.targets.iter_mut().filter(|target| target.peer() == Some(peer)) {
            target.trouble = None;
        }
    }

    /// Reports why a dial failed, before [`Dialer::failed`]. Returns what is to be told of it, if it lasts.
    pub(super) fn trouble(&mut self, connection: ConnectionId, why: String, now: Instant) -> Option<Unreached> {
        let target = self.targets.iter_mut().find(|target| target.dialing == Some(connection))?;
        // Where an authority is that has no address, the routing table says sooner or later.
        let tells = Trouble::add(&mut target.trouble, why, now) && target.address.is_some();
        if tells { target.unreached() } else { None }
    }

    /// The targets that stay unreached, and why.
    pub(super) fn unreached(&self, connected: impl Fn(&PeerId) -> bool) -> Vec<Unreached> {
        let is_away = |target: &&Target| !target.itself && !target.peer().is_some_and(|peer| connected(&peer));
        self.targets.iter().filter(is_away).filter_map(Target::unreached).collect()
    }

    /// Reports that an address is this very peer's. It is not dialled.
    pub(super) fn met_itself(&mut self, address: &Multiaddr) {
        for target in self.targets.iter_mut().filter(|target| target.address.as_ref() == Some(address)) {
            target.itself = true;
        }
    }

    /// Reports that a dial failed; `is_away` if nobody was there. Whoever is away refuses nothing, so it is not left
    /// alone for as long. Returns the peer whose addresses should be looked up.
    pub(super) fn failed(
        &mut self,
        connection: ConnectionId,
        is_away: bool,
        now: Instant,
        jitter: f64,
    ) -> Option<PeerId> {
        let target = self.targets.iter_mut().find(|target| target.dialing == Some(connection))?;
        target.dialing = None;
        if is_away {
            target.refusals = 0;
        }
        target.fail(now, jitter);
        target.expected
    }

    /// Reports that `peer` is no longer connected, `lasted` after it had been identified (zero if it never was), whether
    /// it was the peer that closed the connection, and whether this peer is `content`: it has enough others. Returns
    /// whether the peer has refused this one for the first time in a row, and soon.
    pub(super) fn lost(
        &mut self,
        peer: &PeerId,
        lasted: Duration,
        closed_by_peer: bool,
        content: bool,
        now: Instant,
        jitter: f64,
    ) -> bool {
        let mut is_news = false;
        for target in self.targets.iter_mut().filter(|target| target.peer() == Some(*peer)) {
            if lasted >= PROVEN_AFTER {
                if !closed_by_peer || !content {
                    (target.failures, target.refusals) = (0, 0);
                    continue;
                }
                if lasted >= FORGIVEN_AFTER {
                    target.refusals = 0;
                }
                // Dials that reached nobody are over.
                target.failures = target.refusals;
            }
            if closed_by_peer && lasted < PROVEN_AFTER {
                let why = "it takes this peer's connections and soon closes them: it has no place for this one";
                Trouble::add(&mut target.trouble, why.to_owned(), now);
            }
            if closed_by_peer {
                target.refusals = target.refusals.saturating_add(1);
                is_news |= target.refusals == 1 && lasted < PROVEN_AFTER;
            }
            target.fail(now, jitter);
        }
        is_news
    }

    /// Reports that `peer` is of another network. It is dialled at the slowest rate.
    pub(super) fn foreign(&mut self, peer: &PeerId, now: Instant) {
        for target in self.targets.iter_mut().filter(|target| target.peer() == Some(*peer)) {
            target.failures = 32;
            Trouble::add(&mut target.trouble, "it is of another network".to_owned(), now);
            target.fail(now, 1.0);
        }
    }
}
