//! Who has a place here: the rules, without any socket or clock.
//!
//! * An incoming connection takes a free place. If there is none, or its source has as many as it may have, it is a
//!   *visitor* for a while: it is served like any other, so that it can identify itself and ask the Kademlia table for
//!   other peers. A new visitor takes the room of the oldest, of the source that has most.
//! * A visitor that is identified takes the place of the least useful connection, or of the least useful one of its
//!   source if the source is at its bound. But that one must *give way*: it has shown no use since it came, or for
//!   long. A connection shows use by gossip that was accepted here, by a stream that it is served or a blob that it
//!   gave, or by direct messages. So whoever merely holds a connection holds it only until somebody wants it.
//! * A peer has a bounded number of connections. Beyond it, a new one takes the place of the peer's own oldest.
//! * Connections that this peer dialled itself have a bound of their own. Beyond it, the least useful is given up, but
//!   one that must give way first, and a new one that has not been identified yet last: each dial would otherwise end
//!   the one before it.
//! * *Known* peers, which are the authorities and those that this peer is configured to join by, count for no bound but
//!   that of one peer's connections, and never give way.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use libp2p::{PeerId, swarm::ConnectionId};

use super::source::Source;

/// The bounds on established connections.
#[derive(Clone, Copy, Debug)]
pub(in crate::mesh) struct Bounds {
    /// The most incoming connections with a place.
    pub(in crate::mesh) places_max: usize,
    /// The most visitors.
    pub(in crate::mesh) visitors_max: usize,
    /// The most of them of one source.
    pub(in crate::mesh) source_max: usize,
    /// The most connections that this peer dialled.
    pub(in crate::mesh) dialled_max: usize,
    /// The most connections to one peer, in both directions.
    pub(in crate::mesh) peer_max: usize,
    /// How long a visitor may stay, and how long a place is kept for a connection that has shown no use yet.
    pub(in crate::mesh) visit: Duration,
    /// How long a place is kept for a connection since it last showed use.
    pub(in crate::mesh) use_lasts: Duration,
}

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::mesh) enum Refusal {
    /// Its peer has as many as it may have, and all of them were dialled from here.
    #[error("the peer has as many connections as it may have")]
    Peer,
}

/// Why a connection is given up that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mesh) enum Ended {
    /// It has to leave as a visitor: there is no place for it.
    Full,
    /// It has to leave as a visitor: its source has as many places as it may have.
    Address,
    /// It gave way to another one, which takes its place.
    GaveWay,
}

/// A connection that is given up.
pub(in crate::mesh) type Closing = (ConnectionId, PeerId, Ended);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dialled,
    Placed,
    Visiting,
}

#[derive(Debug)]
struct Connection {
    peer: PeerId,
    source: Source,
    kind: Kind,
    /// Its number in the order of arrival, which is the same as that of `since`.
    number: u64,
    since: Instant,
    identified: bool,
    used: Option<Instant>,
}

impl Connection {
    /// The connection with the smallest has been of the least use.
    fn usefulness(&self) -> (bool, Option<Instant>, u64) {
        (self.identified, self.used, self.number)
    }

    /// The dialled connection with the smallest is given up first.
    fn leaves(&self, bounds: &Bounds, now: Instant) -> (Leaves, (bool, Option<Instant>, u64)) {
        let leaves = match (self.gives_way(bounds, now), self.identified) {
            (true, _) => Leaves::First,
            (false, true) => Leaves::Next,
            (false, false) => Leaves::Last,
        };
        (leaves, self.usefulness())
    }

    fn gives_way(&self, bounds: &Bounds, now: Instant) -> bool {
        let (since, kept_for) = self.used.map_or((self.since, bounds.visit), |used| (used, bounds.use_lasts));
        now.saturating_duration_since(since) >= kept_for
    }
}

/// When a dialled connection is given up, compared to others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Leaves {
    First,
    Next,
    Last,
}

/// All established connections.
#[derive(Debug)]
pub(in crate::mesh) struct Places {
    bounds: Bounds,
    known: HashSet<PeerId>,
    connections: HashMap<ConnectionId, Connection>,
    arrived: u64,
}

impl Places {
    pub(in crate::mesh) fn new(bounds: Bounds) -> Self {
        Self { bounds, known: HashSet::new(), connections: HashMap::new(), arrived: 0 }
    }

    /// Says which peers count for no bound from now on.
    pub(in crate::mesh) fn set_known(&mut self, known: HashSet<PeerId>) {
        self.known = known;
    }

    /// Takes an incoming connection, and returns what is given up for it.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(in crate::mesh) fn arrive(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        source: Source,
        now: Instant,
    ) -> Result<Vec<Closing>, Refusal> {
        let mut closing = Vec::new();
        let of_peer = |other: &Connection| other.peer == peer;
        if self.count(of_peer) >= self.bounds.peer_max {
            let incoming = |other: &Connection| of_peer(other) && other.kind != Kind::Dialled;
            let oldest = self.least(incoming, |other| other.number).ok_or(Refusal::Peer)?;
            closing.extend(self.give_up(oldest, Ended::GaveWay));
        }
        let mut kind = Kind::Placed;
        if !self.known.contains(&peer) && (self.is_full() || self.is_source_full(source)) {
            kind = Kind::Visiting;
            if self.visitors().count() >= self.bounds.visitors_max {
                closing.extend(self.oldest_visitor(source).and_then(|oldest| self.end_visit(oldest)));
            }
        }
        self.insert(id, peer, source, kind, now);
        Ok(closing)
    }

    /// Takes a connection that this peer dialled, and returns what is given up for it.
    ///
    /// # Errors
    /// Why it is not taken.
    pub(in crate::mesh) fn dialled(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        source: Source,
        now: Instant,
    ) -> Result<Option<Closing>, Refusal> {
        if self.count(|other| other.peer == peer) >= self.bounds.peer_max {
            return Err(Refusal::Peer);
        }
        let mut closing = None;
        let dialled = |other: &Connection| other.kind == Kind::Dialled;
        if !self.known.contains(&peer) && self.count_unknown(dialled) >= self.bounds.dialled_max {
            let bounds = self.bounds;
            let least = self.least_unknown(dialled, |other| other.leaves(&bounds, now));
            closing = least.and_then(|least| self.give_up(least, Ended::GaveWay));
        }
        self.insert(id, peer, source, Kind::Dialled, now);
        Ok(closing)
    }

    /// The peer has said over this connection that it is of this network. Returns what gives way to it.
    pub(in crate::mesh) fn identified(&mut self, id: ConnectionId, now: Instant) -> Option<Closing> {
        self.connections.get_mut(&id)?.identified = true;
        self.settle(id, now)
    }

    /// The peer has shown use. That counts for all its connections. Returns what gives way to them.
    pub(in crate::mesh) fn used(&mut self, peer: &PeerId, now: Instant) -> Vec<Closing> {
        let mut visiting = Vec::new();
        for (id, connection) in self.connections.iter_mut().filter(|(_, connection)| connection.peer == *peer) {
            connection.used = Some(now);
            if connection.kind == Kind::Visiting {
                visiting.push(*id);
            }
        }
        visiting.into_iter().filter_map(|id| self.settle(id, now)).collect()
    }

    /// A connection has ended.
    pub(in crate::mesh) fn closed(&mut self, id: ConnectionId) {
        self.connections.remove(&id);
    }

    /// Gives visitors the places that have become free or give way meanwhile, the most useful visitor first, and ends
    /// visits that have lasted long enough.
    pub(in crate::mesh) fn tick(&mut self, now: Instant) -> Vec<Closing> {
        let mut visitors: Vec<ConnectionId> = self.visitors().map(|(id, _)| id).collect();
        visitors.sort_by_key(|id| {
            let visitor = &self.connections[id];
            std::cmp::Reverse((visitor.identified, visitor.used, std::cmp::Reverse(visitor.number)))
        });
        let mut closing: Vec<Closing> = visitors.into_iter().filter_map(|id| self.settle(id, now)).collect();
        let visit = self.bounds.visit;
        let over: Vec<ConnectionId> = self
            .visitors()
            .filter(|(_, visitor)| now.saturating_duration_since(visitor.since) >= visit)
            .map(|(id, _)| id)
            .collect();
        closing.extend(over.into_iter().filter_map(|id| self.end_visit(id)));
        closing
    }

    /// Gives a visitor a place if it is identified and there is one. Returns what gives way to it.
    fn settle(&mut self, id: ConnectionId, now: Instant) -> Option<Closing> {
        let visitor =
            self.connections.get(&id).filter(|visitor| visitor.kind == Kind::Visiting && visitor.identified)?;
        let mut gave_way = None;
        let (source, is_source_full) = (visitor.source, self.is_source_full(visitor.source));
        if !self.known.contains(&visitor.peer) && (is_source_full || self.is_full()) {
            let bounds = self.bounds;
            let may_be = |other: &Connection| other.kind == Kind::Placed && (!is_source_full || other.source == source);
            let gives_way = |other: &Connection| may_be(other) && other.gives_way(&bounds, now);
            let least = self.least_unknown(gives_way, Connection::usefulness)?;
            gave_way = self.give_up(least, Ended::GaveWay);
        }
        self.connections.get_mut(&id)?.kind = Kind::Placed;
        gave_way
    }

    fn insert(&mut self, id: ConnectionId, peer: PeerId, source: Source, kind: Kind, now: Instant) {
        self.arrived += 1;
        let connection =
            Connection { peer, source, kind, number: self.arrived, since: now, identified: false, used: None };
        self.connections.insert(id, connection);
    }

    fn give_up(&mut self, id: ConnectionId, ended: Ended) -> Option<Closing> {
        self.connections.remove(&id).map(|connection| (id, connection.peer, ended))
    }

    fn end_visit(&mut self, id: ConnectionId) -> Option<Closing> {
        let is_source_full = self.is_source_full(self.connections.get(&id)?.source);
        self.give_up(id, if is_source_full { Ended::Address } else { Ended::Full })
    }

    fn is_full(&self) -> bool {
        self.count_unknown(|other| other.kind == Kind::Placed) >= self.bounds.places_max
    }

    fn is_source_full(&self, source: Source) -> bool {
        let of_source = |other: &Connection| other.kind == Kind::Placed && other.source == source;
        self.count_unknown(of_source) >= self.bounds.source_max
    }

    fn count(&self, which: impl Fn(&Connection) -> bool) -> usize {
        self.connections.values().filter(|connection| which(connection)).count()
    }

    fn count_unknown(&self, which: impl Fn(&Connection) -> bool) -> usize {
        self.count(|connection| which(connection) && !self.known.contains(&connection.peer))
    }

    fn least<Key: Ord>(
        &self,
        which: impl Fn(&Connection) -> bool,
        key: impl Fn(&Connection) -> Key,
    ) -> Option<ConnectionId> {
        let those = self.connections.iter().filter(|(_, connection)| which(connection));
        those.min_by_key(|(_, connection)| key(connection)).map(|(id, _)| *id)
    }

    fn least_unknown<Key: Ord>(
        &self,
        which: impl Fn(&Connection) -> bool,
        key: impl Fn(&Connection) -> Key,
    ) -> Option<ConnectionId> {
        self.least(|connection| which(connection) && !self.known.contains(&connection.peer), key)
    }

    fn visitors(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        self.connections
            .iter()
            .filter(|(_, connection)| connection.kind == Kind::Visiting && !self.known.contains(&connection.peer))
            .map(|(id, connection)| (*id, connection))
    }

    /// The oldest visitor of the source that has most of them, together with a new one from `source`.
    fn oldest_visitor(&self, source: Source) -> Option<ConnectionId> {
        let mut sources = HashMap::from([(source, 1)]);
        for (_, visitor) in self.visitors() {
            *sources.entry(visitor.source).or_default() += 1;
        }
        let most = |visitor: &Connection| std::cmp::Reverse(sources.get(&visitor.source).copied().unwrap_or(0));
        self.least_unknown(|other| other.kind == Kind::Visiting, |visitor| (most(visitor), visitor.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        places_max: 3,
        visitors_max: 2,
        source_max: 2,
        dialled_max: 2,
        peer_max: 2,
        visit: Duration::from_secs(20),
        use_lasts: Duration::from_secs(120),
    };

    struct Scene {
        places: Places,
        now: Instant,
        next: usize,
    }

    impl Scene {
        fn new() -> Self {
            Self { places: Places::new(BOUNDS), now: Instant::now(), next: 0 }
        }

        fn wait(&mut self, seconds: u64) {
            self.now += Duration::from_secs(seconds);
        }

        /// A new peer's connection from this source.
        fn arrive(&mut self, source: u64) -> (ConnectionId, PeerId, Result<Vec<ConnectionId>, Refusal>) {
            self.next += 1;
            let (id, peer) = (ConnectionId::new_unchecked(self.next), PeerId::random());
            let closing = self.places.arrive(id, peer, Source::V6(source), self.now);
            (id, peer, closing.map(|closing| closing.into_iter().map(|(id, ..)| id).collect()))
        }

        /// New identified peers, each from a source of its own, until all places are taken.
        fn fill(&mut self) -> Vec<(ConnectionId, PeerId)> {
            (0..BOUNDS.places_max as u64)
                .map(|source| {
                    let (id, peer, closing) = self.arrive(source);
                    assert_eq!(closing, Ok(Vec::new()));
                    assert_eq!(self.places.identified(id, self.now), None);
                    (id, peer)
                })
                .collect()
        }

        fn has_place(&self, id: ConnectionId) -> bool {
            self.places.connections.get(&id).is_some_and(|connection| connection.kind == Kind::Placed)
        }
    }

    #[test]
    fn whoever_holds_a_place_without_use_loses_it_to_whoever_wants_it() {
        let mut scene = Scene::new();
        let idle = scene.fill();
        scene.wait(BOUNDS.visit.as_secs());
        let (new, _, closing) = scene.arrive(9);
        assert_eq!(closing, Ok(Vec::new()), "it is a visitor until it is identified");
        assert_eq!(scene.places.identified(new, scene.now), Some((idle[0].0, idle[0].1, Ended::GaveWay)));
        assert!(scene.has_place(new));
    }

    #[test]
    fn the_unidentified_give_way_first_and_then_the_longest_without_use() {
        let mut scene = Scene::new();
        let held = scene.fill();
        scene.places.connections.get_mut(&held[2].0).unwrap().identified = false;
        assert_eq!(scene.places.used(&held[0].1, scene.now), []);
        scene.wait(BOUNDS.use_lasts.as_secs());
        for expected in [2, 1, 0] {
            let (new, peer, _) = scene.arrive(9 + expected as u64);
            let gave_way = scene.places.identified(new, scene.now).map(|(id, ..)| id);
            assert_eq!(gave_way, Some(held[expected].0));
            scene.places.used(&peer, scene.now);
        }
    }

    #[test]
    fn whoever_is_of_use_keeps_its_place_and_the_new_one_has_to_leave_after_a_visit() {
        let mut scene = Scene::new();
        let held = scene.fill();
        scene.wait(BOUNDS.visit.as_secs());
        for (_, peer) in &held {
            scene.places.used(peer, scene.now);
        }
        let (new, peer, _) = scene.arrive(9);
        assert_eq!(scene.places.identified(new, scene.now), None);
        assert!(!scene.has_place(new));
        scene.wait(BOUNDS.visit.as_secs() - 1);
        assert_eq!(scene.places.tick(scene.now), []);
        scene.wait(1);
        assert_eq!(scene.places.tick(scene.now), [(new, peer, Ended::Full)]);
    }

    #[test]
    fn a_visitor_takes_a_place_that_becomes_free() {
        let mut scene = Scene::new();
        let held = scene.fill();
        let (silent, ..) = scene.arrive(8);
        let (new, ..) = scene.arrive(9);
        scene.places.identified(new, scene.now);
        scene.places.closed(held[1].0);
        assert_eq!(scene.places.tick(scene.now), []);
        assert!(scene.has_place(new) && !scene.has_place(silent));
    }

    #[test]
    fn new_visitors_take_the_room_of_the_source_that_has_most() {
        let mut scene = Scene::new();
        scene.fill();
        let (first, ..) = scene.arrive(9);
        let (mut before, ..) = scene.arrive(9);
        let (honest, _, closing) = scene.arrive(8);
        assert_eq!(closing, Ok(vec![first]));
        // Whoever comes again and again from one source displaces itself only.
        for _ in 0..10 {
            let (id, _, closing) = scene.arrive(9);
            assert_eq!(closing, Ok(vec![before]));
            before = id;
        }
        assert!(scene.places.connections.contains_key(&honest));
    }

    #[test]
    fn a_source_has_a_bound_of_its_own_within_which_its_least_useful_gives_way() {
        let mut scene = Scene::new();
        let first: Vec<_> = (0..BOUNDS.source_max).map(|_| scene.arrive(1)).collect();
        let (beyond, peer, _) = scene.arrive(1);
        scene.places.identified(beyond, scene.now);
        let (other, ..) = scene.arrive(2);
        assert!(!scene.has_place(beyond) && scene.has_place(other), "another source is not concerned");
        for (id, peer, _) in &first {
            scene.places.identified(*id, scene.now);
            scene.places.used(peer, scene.now);
        }
        scene.wait(BOUNDS.visit.as_secs());
        assert_eq!(scene.places.tick(scene.now), [(beyond, peer, Ended::Address)]);
        scene.places.used(&first[0].1, scene.now);
        // The other one's use is over earlier.
        scene.wait(BOUNDS.use_lasts.as_secs() - 1);
        let (new, ..) = scene.arrive(1);
        assert_eq!(scene.places.identified(new, scene.now).map(|(id, ..)| id), Some(first[1].0));
    }

    #[test]
    fn known_peers_count_for_no_bound_and_never_give_way() {
        let mut scene = Scene::new();
        let held = scene.fill();
        scene.places.set_known(held.iter().map(|(_, peer)| *peer).collect());
        scene.wait(1000);
        let unknown = scene.fill();
        scene.wait(1000);
        let (new, ..) = scene.arrive(9);
        assert_eq!(scene.places.identified(new, scene.now).map(|(id, ..)| id), Some(unknown[0].0));
        assert!(held.iter().all(|(id, _)| scene.has_place(*id)));
    }

    #[test]
    fn a_peers_own_oldest_connection_gives_way_to_its_newest() {
        let mut scene = Scene::new();
        let (first, peer, _) = scene.arrive(1);
        let mut again = |id| {
            let closing = scene.places.arrive(ConnectionId::new_unchecked(id), peer, Source::V6(1), scene.now);
            closing.unwrap().into_iter().map(|(id, ..)| id).collect::<Vec<_>>()
        };
        assert_eq!(again(100), []);
        assert_eq!(again(101), [first]);
        let dialled = scene.places.dialled(ConnectionId::new_unchecked(102), peer, Source::V6(1), scene.now);
        assert_eq!(dialled, Err(Refusal::Peer));
    }

    #[test]
    fn dialled_connections_have_their_own_bound() {
        let mut scene = Scene::new();
        scene.fill();
        let peers = [(); 3].map(|()| PeerId::random());
        let mut dial = |number: usize| {
            let id = ConnectionId::new_unchecked(100 + number);
            let gave_way = scene.places.dialled(id, peers[number], Source::V6(50), scene.now).unwrap();
            gave_way.map(|(_, peer, _)| peer)
        };
        assert_eq!([dial(0), dial(1)], [None, None]);
        assert_eq!(dial(2), Some(peers[0]));
    }

    #[test]
    fn a_new_dial_is_not_given_up_for_another_before_it_is_identified() {
        let mut scene = Scene::new();
        let peers = [(); 5].map(|()| PeerId::random());
        let dial = |scene: &mut Scene, number: usize| {
            let id = ConnectionId::new_unchecked(100 + number);
            let gave_way = scene.places.dialled(id, peers[number], Source::V6(50), scene.now).unwrap();
            (id, gave_way.map(|(_, peer, _)| peer))
        };
        let (first, _) = dial(&mut scene, 0);
        scene.places.identified(first, scene.now);
        scene.places.used(&peers[0], scene.now);
        dial(&mut scene, 1);
        assert_eq!(dial(&mut scene, 2).1, Some(peers[0]), "the others have not had time to say who they are");
        scene.wait(BOUNDS.visit.as_secs() - 1);
        let (third, gave_way) = dial(&mut scene, 3);
        assert_eq!(gave_way, Some(peers[1]), "the oldest of the new");
        scene.places.identified(third, scene.now);
        scene.wait(1);
        assert_eq!(dial(&mut scene, 4).1, Some(peers[2]), "it has had its time");
    }
}
