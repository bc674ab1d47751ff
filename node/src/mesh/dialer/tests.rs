//! Who is dialled when, and what is told of those that cannot be reached.

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
            let dials = dialer.due(now, false, |_| false);
            if !dials.is_empty() {
                break dials;
            }
            now += Duration::from_millis(10);
        };
        waits.push(now - start);
        assert_eq!(dialer.due(now, false, |_| false).len(), 0, "not while it is being dialled");
        dialer.failed(dials[0].connection_id(), true, now, 0.5);
    }
    assert_eq!(waits[..4], [0, 100, 200, 400].map(Duration::from_millis));
    assert_eq!(waits[11], WAIT_MAX);
}

#[test]
fn a_connected_target_is_left_alone_and_dialled_at_once_when_lost() {
    let now = Instant::now();
    let peer = PeerId::random();
    let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
    let dials = dialer.due(now, false, |_| false);
    dialer.connected(dials[0].connection_id(), peer);
    assert_eq!(dialer.due(now, false, |known| *known == peer).len(), 0);
    assert!(!dialer.lost(&peer, PROVEN_AFTER, true, false, now, 0.5));
    assert_eq!(dialer.due(now, false, |_| false).len(), 1);
}

#[test]
fn a_target_that_takes_connections_and_closes_them_is_dialled_ever_more_slowly_and_told_of_once() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
    let (start, mut dials, mut told) = (now, 0, 0);
    while now < start + Duration::from_secs(600) {
        for options in dialer.due(now, false, |_| false) {
            dials += 1;
            dialer.connected(options.connection_id(), peer);
            // It may even have lived for a while and have been identified.
            told += usize::from(dialer.lost(&peer, PROVEN_AFTER / 2, true, false, now, 0.5));
        }
        now += Duration::from_millis(10);
    }
    // Ten waits that double from 100 ms, and then one a minute.
    assert!((15..=20).contains(&dials), "{dials}");
    assert_eq!(told, 1);
    // Who has enough others comes back more rarely still, until it has no longer.
    now += REFUSED_WAIT_MAX;
    assert_eq!(dialer.due(now, true, |_| false).len(), 0);
    assert_eq!(dialer.due(now, false, |_| false).len(), 1);
    dialer.connected(dialer.targets[0].dialing.unwrap(), peer);
    // Once it has stayed, all of that is forgotten.
    dialer.lost(&peer, PROVEN_AFTER, true, false, now, 0.5);
    assert_eq!(dialer.due(now, false, |_| false).len(), 1);
    assert!(!dialer.lost(&peer, Duration::ZERO, false, false, now, 0.5), "nobody knows what a broken line means");
    assert!(dialer.lost(&peer, Duration::ZERO, true, false, now, 0.5));
}

#[test]
fn who_is_content_comes_back_ever_more_rarely_to_a_peer_that_closes_even_old_connections() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
    let (start, mut dials) = (now, 0);
    while now < start + Duration::from_secs(7200) {
        for options in dialer.due(now, true, |_| false) {
            dials += 1;
            dialer.connected(options.connection_id(), peer);
            now += PROVEN_AFTER;
            assert!(!dialer.lost(&peer, PROVEN_AFTER, true, true, now, 0.5), "that was not soon");
        }
        now += Duration::from_millis(100);
    }
    // Thirteen waits that double from 100 ms, and then one in ten minutes.
    assert!((18..=26).contains(&dials), "{dials}");
    // A connection that lasted for hours, or that this peer lost or closed itself, starts afresh.
    dialer.lost(&peer, FORGIVEN_AFTER, true, true, now, 0.5);
    assert!(!dialer.due(now + WAIT_FIRST, true, |_| false).is_empty());
    dialer.connected(dialer.targets[0].dialing.unwrap(), peer);
    dialer.lost(&peer, PROVEN_AFTER, false, true, now, 0.5);
    assert!(!dialer.due(now, true, |_| false).is_empty());
}

#[test]
fn a_peer_that_refused_and_then_is_away_is_dialled_as_often_as_any_that_is_away() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
    for _ in 0..20 {
        now += CONTENT_WAIT_MAX;
        let dials = dialer.due(now, true, |_| false);
        dialer.connected(dials[0].connection_id(), peer);
        dialer.lost(&peer, Duration::ZERO, true, true, now, 0.5);
    }
    for (is_away, wait) in [(false, CONTENT_WAIT_MAX), (true, WAIT_MAX)] {
        now += CONTENT_WAIT_MAX;
        let dials = dialer.due(now, true, |_| false);
        dialer.failed(dials[0].connection_id(), is_away, now, 0.5);
        assert!(dialer.due(now + wait - Duration::from_millis(1), true, |_| false).is_empty());
        let dials = dialer.due(now + wait, true, |_| false);
        dialer.failed(dials[0].connection_id(), false, now, 0.5);
    }
}

#[test]
fn this_peers_own_address_is_not_dialled() {
    let now = Instant::now();
    let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1"], &[], now);
    dialer.met_itself(&"/ip4/127.0.0.1/tcp/1".parse().unwrap());
    assert_eq!(dialer.due(now, false, |_| false).len(), 0);
}

#[test]
fn an_authority_with_an_address_is_one_target() {
    let peer = PeerId::random();
    let dialer = dialer(&[&format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}")], &[peer, PeerId::random()], Instant::now());
    assert_eq!(dialer.targets.len(), 2);
}

#[test]
fn whoever_becomes_an_authority_is_sought_and_whoever_ceases_to_be_is_not() {
    let now = Instant::now();
    let (stays, leaves, joins) = (PeerId::random(), PeerId::random(), PeerId::random());
    let told = format!("/ip4/127.0.0.1/tcp/1/p2p/{stays}");
    let mut dialer = dialer(&[&told], &[stays, leaves], now);
    let address: Multiaddr = "/ip4/127.0.0.1/tcp/2".parse().unwrap();
    let known: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
    dialer.seek(stays, &[known], now);
    dialer.seek(joins, std::slice::from_ref(&address), now);
    dialer.seek(joins, std::slice::from_ref(&address), now);
    dialer.keep(&HashSet::from([joins]));
    let sought: Vec<_> = dialer.targets.iter().map(|target| target.expected).collect();
    assert_eq!(sought, [Some(stays), Some(joins)], "one by whom this peer was told to join is dialled all the same");
    assert_eq!(dialer.targets[1].address, Some(address));
}

#[test]
fn what_stands_in_a_targets_way_is_known_until_it_is_connected() {
    let mut now = Instant::now();
    let peer = PeerId::random();
    let mut dialer = dialer(&["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"], &[], now);
    let mut told = 0;
    for _ in 0..8 {
        now += WAIT_MAX * 2;
        let dials = dialer.due(now, false, |_| false);
        let connection = dials[0].connection_id();
        told += usize::from(dialer.trouble(connection, "refused".into(), now).is_some());
        dialer.failed(connection, true, now, 0.5);
        if dials.len() > 1 {
            dialer.connected(dials[1].connection_id(), peer);
        }
    }
    let unreached = dialer.unreached(|known| *known == peer);
    assert_eq!(unreached.len(), 1, "{unreached:?}");
    assert_eq!((unreached[0].why.as_str(), unreached[0].dials), ("refused", 8));
    assert!((1..=4).contains(&told), "{told}");
    // Whoever made the connection, what was in the way before is over.
    let named = format!("/ip4/127.0.0.1/tcp/3/p2p/{peer}");
    let mut other = Dialer::new(PeerId::random(), &[named.parse().unwrap()], [], now);
    let connection = other.due(now, false, |_| false)[0].connection_id();
    other.trouble(connection, "refused".into(), now);
    other.failed(connection, true, now, 0.5);
    assert_eq!(other.unreached(|_| false).len(), 1);
    other.reached(peer);
    assert!(other.unreached(|_| false).is_empty());
    now += WAIT_MAX * 2;
    let dials = dialer.due(now, false, |known| *known == peer);
    dialer.connected(dials[0].connection_id(), PeerId::random());
    assert!(dialer.unreached(|_| true).is_empty());
}
